package pipe

import (
	"io"
	"math/bits"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

const (
	// minRingBytes is what a ring begins with: an idle or a chatty connection
	// never needs more. It doubles up to its bound when more is in it.
	minRingBytes = 4 << 10

	// inlineBytes is up to what size bytes are copied under the lock. Above it
	// the copy takes longer than letting the lock go and taking it again, and
	// the other end copies at the same time.
	inlineBytes = 4 << 10

	// writerShare is the share of the ring that has to be free before a writer
	// that found it full is woken. Without it a reader of small pieces and a
	// writer of large ones take turns for every piece.
	writerShare = 4
)

// A ring is one direction of a connection: a bounded first-in first-out queue
// of bytes that blocks its reader when it is empty and its writer when it is
// full.
//
// Reads and writes may be called concurrently, each several times. Large copies
// happen outside the lock, between a claim and an advance: the reader's bytes
// and the writer's room cannot be touched by anyone else in between.
type ring struct {
	max int // bound of n, a power of two

	mu struct {
		sync.Mutex
		readable sync.Cond // bytes, end of stream, close, deadline, or another reader is done
		writable sync.Cond // room, close, deadline, or another writer is done

		buf []byte // a power of two, at most max; nil before the first write
		r   int    // index of the oldest byte
		n   int    // bytes held, from r on and around the end

		reading bool // a reader copies out of buf outside the lock
		copying bool // a writer copies into buf outside the lock
		writing bool // a Write is under way: its bytes stay together
		need    int  // free bytes that the writer waits for

		readClosed, writeClosed     bool
		readDeadline, writeDeadline Deadline
	}
}

func newRing(size int) *ring {
	r := &ring{max: 1 << bits.Len(uint(max(size, minRingBytes)-1))}
	r.mu.readable.L = &r.mu
	r.mu.writable.L = &r.mu
	return r
}

// read copies out what is there, up to len(p), and blocks only while nothing
// is. Errors: net.ErrClosed, os.ErrDeadlineExceeded, io.EOF.
func (r *ring) read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		switch {
		case r.mu.readClosed:
			return 0, net.ErrClosed
		case r.mu.readDeadline.Expired():
			return 0, os.ErrDeadlineExceeded
		case len(p) == 0:
			return 0, nil
		case r.mu.reading:
			// Another reader is ahead of us in the stream.
		case r.mu.n > 0:
			return r.takeLocked(p), nil
		case r.mu.writeClosed:
			return 0, io.EOF
		}
		r.mu.readable.Wait()
	}
}

// takeLocked copies min(len(p), n) bytes into p and lets the lock go meanwhile
// if they are many.
func (r *ring) takeLocked(p []byte) int {
	p = p[:min(len(p), r.mu.n)]
	if from, buf := r.mu.r, r.mu.buf; len(p) <= inlineBytes {
		copyOut(p, buf, from)
	} else {
		// The writer may exchange buf for a larger one meanwhile. It does not
		// touch the old one, and ours are the first bytes of the new.
		r.mu.reading = true
		r.mu.Unlock()
		copyOut(p, buf, from)
		r.mu.Lock()
		r.mu.reading = false
		r.mu.readable.Broadcast()
	}
	if r.mu.readClosed {
		r.releaseLocked()
		return len(p)
	}
	r.mu.n -= len(p)
	r.mu.r = (r.mu.r + len(p)) & (len(r.mu.buf) - 1)
	if r.mu.n == 0 && !r.mu.copying {
		r.mu.r = 0 // small messages stay in the same few cache lines
	}
	if r.max-r.mu.n >= r.mu.need {
		r.mu.writable.Broadcast()
	}
	return len(p)
}

// write copies p in, in pieces if need be, and blocks while there is no room.
// It returns how much went in. Errors: net.ErrClosed, os.ErrDeadlineExceeded,
// syscall.EPIPE.
func (r *ring) write(p []byte) (n int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.mu.writing && r.writeErrLocked() == nil {
		r.mu.writable.Wait()
	}
	if err := r.writeErrLocked(); err != nil || len(p) == 0 {
		return 0, err
	}
	r.mu.writing = true
	for n < len(p) {
		if err = r.writeErrLocked(); err != nil {
			break
		}
		if r.max-r.mu.n < r.mu.need || r.mu.n == r.max {
			r.mu.need = min(len(p)-n, r.max/writerShare)
			r.mu.writable.Wait()
			continue
		}
		n += r.putLocked(p[n:])
	}
	r.mu.writing, r.mu.need = false, 0
	r.mu.writable.Broadcast()
	return n, err
}

// writeErrLocked says why nothing can be written now and later.
func (r *ring) writeErrLocked() error {
	switch {
	case r.mu.writeClosed:
		return net.ErrClosed
	case r.mu.readClosed:
		return syscall.EPIPE
	case r.mu.writeDeadline.Expired():
		return os.ErrDeadlineExceeded
	}
	return nil
}

// putLocked copies as much of p as there is room for, at least one byte, and
// lets the lock go meanwhile if that is much.
func (r *ring) putLocked(p []byte) int {
	p = p[:min(len(p), r.max-r.mu.n)]
	r.growLocked(r.mu.n + len(p))
	// Reads move r and n but not their sum, so the place is ours until n grows.
	to, buf := (r.mu.r+r.mu.n)&(len(r.mu.buf)-1), r.mu.buf
	if len(p) <= inlineBytes {
		copyIn(buf, to, p)
	} else {
		r.mu.copying = true
		r.mu.Unlock()
		copyIn(buf, to, p)
		r.mu.Lock()
		r.mu.copying = false
	}
	if r.mu.readClosed {
		r.releaseLocked()
		return len(p)
	}
	r.mu.n += len(p)
	r.mu.readable.Broadcast()
	return len(p)
}

// growLocked makes buf at least size bytes, which is at most max.
func (r *ring) growLocked(size int) {
	if size <= len(r.mu.buf) {
		return
	}
	buf := make([]byte, 1<<bits.Len(uint(max(size, minRingBytes)-1)))
	copyOut(buf[:r.mu.n], r.mu.buf, r.mu.r)
	r.mu.buf, r.mu.r = buf, 0
}

// releaseLocked drops what nobody will read, once nobody copies.
func (r *ring) releaseLocked() {
	if !r.mu.reading && !r.mu.copying {
		r.mu.buf, r.mu.r, r.mu.n = nil, 0, 0
	}
}

// closeRead drops what is in the ring and fails its writer. It reports whether
// it was still open.
func (r *ring) closeRead() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	open := !r.mu.readClosed
	r.mu.readClosed = true
	r.mu.readDeadline.Stop()
	r.releaseLocked()
	r.wakeLocked()
	return open
}

// closeWrite ends the stream behind what is in it. It reports whether it was
// still open.
func (r *ring) closeWrite() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	open := !r.mu.writeClosed
	r.mu.writeClosed = true
	r.mu.writeDeadline.Stop()
	r.wakeLocked()
	return open
}

func (r *ring) wakeLocked() {
	r.mu.readable.Broadcast()
	r.mu.writable.Broadcast()
}

// setReadDeadline reports whether the reader's end is open.
func (r *ring) setReadDeadline(t time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.mu.readClosed {
		r.mu.readDeadline.Set(t, &r.mu.readable)
	}
	return !r.mu.readClosed
}

// setWriteDeadline reports whether the writer's end is open.
func (r *ring) setWriteDeadline(t time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.mu.writeClosed {
		r.mu.writeDeadline.Set(t, &r.mu.writable)
	}
	return !r.mu.writeClosed
}

// copyOut fills p with the bytes of the ring buf from index from on.
func copyOut(p, buf []byte, from int) {
	n := copy(p, buf[from:])
	copy(p[n:], buf)
}

// copyIn puts p into the ring buf from index to on.
func copyIn(buf []byte, to int, p []byte) {
	n := copy(buf[to:], p)
	copy(buf, p[n:])
}
