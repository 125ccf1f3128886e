package repltest

import (
	"net"
	"os"
	"syscall"
	"time"

	"github.com/emberkv/ember/internal/pipe"
)

// An endpoint is the [net.Conn] that a node holds.
type endpoint struct {
	conn          *Conn
	in, out       *stream
	local, remote net.Addr

	closed bool // guarded by conn.network.mu
}

// Read blocks until something has arrived. It returns bytes of one piece at
// most.
func (e *endpoint) Read(p []byte) (int, error) {
	mu := &e.conn.network.mu
	mu.Lock()
	defer mu.Unlock()
	for {
		switch {
		case e.closed:
			return 0, e.fail("read", net.ErrClosed)
		case e.in.readDeadline.Expired():
			return 0, e.fail("read", os.ErrDeadlineExceeded)
		case e.conn.reset:
			return 0, e.fail("read", syscall.ECONNRESET)
		case len(p) == 0:
			return 0, nil
		}
		if n, ok, err := e.in.takeLocked(p); ok {
			return n, err
		}
		e.in.readable.Wait()
	}
}

// Write blocks until there was room for all of p in the window.
func (e *endpoint) Write(p []byte) (n int, err error) {
	mu := &e.conn.network.mu
	mu.Lock()
	defer mu.Unlock()
	s := e.out
	for s.writing && e.writeErrLocked() == nil {
		s.writable.Wait()
	}
	if err = e.writeErrLocked(); err != nil {
		return 0, e.fail("write", err)
	}
	s.writing = true
	for n < len(p) {
		if err = e.writeErrLocked(); err != nil {
			err = e.fail("write", err)
			break
		}
		room := s.roomLocked()
		if room <= 0 {
			s.writable.Wait()
			continue
		}
		k := min(room, len(p)-n)
		s.sendLocked(p[n : n+k])
		n += k
	}
	s.writing = false
	s.writable.Broadcast()
	return n, err
}

// writeErrLocked says why nothing can be written now and later.
func (e *endpoint) writeErrLocked() error {
	switch {
	case e.closed || e.out.ended:
		return net.ErrClosed
	case e.conn.reset:
		return syscall.ECONNRESET
	case e.in.goneLocked():
		return syscall.EPIPE
	case e.out.writeDeadline.Expired():
		return os.ErrDeadlineExceeded
	}
	return nil
}

// Close ends both directions; the peer learns of it as fast as the link is.
func (e *endpoint) Close() error {
	mu := &e.conn.network.mu
	mu.Lock()
	defer mu.Unlock()
	if e.closed {
		return e.fail("close", net.ErrClosed)
	}
	e.closed = true
	e.endLocked()
	if e.conn.open {
		if !e.out.vanishesLocked() {
			e.out.gone, e.out.goneAt = true, e.out.dueLocked(0)
			e.out.armLocked()
		}
		e.in.readClosed = true
		e.in.dropLocked()
	}
	e.in.readDeadline.Stop()
	e.out.writeDeadline.Stop()
	if e.conn.near.closed && e.conn.far.closed {
		e.conn.finishLocked()
	}
	e.conn.wakeLocked()
	return nil
}

// CloseWrite ends the stream to the peer; reading goes on.
func (e *endpoint) CloseWrite() error {
	mu := &e.conn.network.mu
	mu.Lock()
	defer mu.Unlock()
	if e.closed || e.out.ended {
		return e.fail("close", net.ErrClosed)
	}
	e.endLocked()
	e.conn.wakeLocked()
	return nil
}

// endLocked sends the end of the stream, once.
func (e *endpoint) endLocked() {
	if e.out.ended {
		return
	}
	e.out.ended = true
	if e.conn.open && !e.out.vanishesLocked() {
		e.out.controlLocked(fin)
	}
}

func (e *endpoint) LocalAddr() net.Addr  { return e.local }
func (e *endpoint) RemoteAddr() net.Addr { return e.remote }

func (e *endpoint) SetDeadline(t time.Time) error {
	return e.setDeadlines(t, true, true)
}

func (e *endpoint) SetReadDeadline(t time.Time) error {
	return e.setDeadlines(t, true, false)
}

func (e *endpoint) SetWriteDeadline(t time.Time) error {
	return e.setDeadlines(t, false, true)
}

func (e *endpoint) setDeadlines(t time.Time, read, write bool) error {
	mu := &e.conn.network.mu
	mu.Lock()
	defer mu.Unlock()
	switch {
	case e.closed:
		return e.fail("set", net.ErrClosed)
	case e.conn.reset:
		return nil // the error comes from Read and Write; no timer is wanted
	}
	if read {
		e.in.readDeadline.Set(t, &e.in.readable)
	}
	if write {
		e.out.writeDeadline.Set(t, &e.out.writable)
	}
	return nil
}

// fail wraps an error as package net does.
func (e *endpoint) fail(op string, err error) error {
	return pipe.OpError(op, e.local, e.remote, err)
}
