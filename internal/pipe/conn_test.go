package pipe_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/internal/pipe"
)

// bubble runs f with both ends of a connection on virtual time and closes them.
func bubble(t *testing.T, size int, f func(t *testing.T, a, b *pipe.Conn)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		a, b := newPair(size)
		defer a.Close()
		defer b.Close()
		f(t, a, b)
	})
}

func want(t *testing.T, what string, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("%s: %v, want %v", what, err, target)
	}
}

// Every mix of sizes, above and below the ring's and the copy's limits, carries
// the same bytes: growth, the wrap around the end and partial reads included.
func TestBytesArriveInOrder(t *testing.T) {
	for seed := range uint64(8) {
		bubble(t, 16<<10, func(t *testing.T, a, b *pipe.Conn) {
			sent := make([]byte, 512<<10)
			rand.NewChaCha8([32]byte{byte(seed)}).Read(sent)
			go func() {
				rng := rand.New(rand.NewPCG(seed, 1))
				for p := sent; len(p) > 0; {
					n := min(len(p), 1+rng.IntN(1<<(1+rng.IntN(16))))
					if _, err := a.Write(p[:n]); err != nil {
						t.Errorf("Write: %v", err)
					}
					p = p[n:]
				}
				a.CloseWrite()
			}()
			rng := rand.New(rand.NewPCG(seed, 2))
			var got []byte
			for {
				p := make([]byte, 1+rng.IntN(1<<(1+rng.IntN(16))))
				n, err := b.Read(p)
				got = append(got, p[:n]...)
				if err == io.EOF {
					break
				}
				if err != nil || n == 0 {
					t.Fatalf("Read: %d, %v", n, err)
				}
			}
			if !bytes.Equal(got, sent) {
				t.Errorf("seed %d: %d other bytes arrived than were sent", seed, len(got))
			}
		})
	}
}

func TestWriteBlocksWhenFull(t *testing.T) {
	bubble(t, 4096, func(t *testing.T, a, b *pipe.Conn) {
		if n, err := a.Write(make([]byte, 4096)); n != 4096 || err != nil {
			t.Fatalf("Write of a buffer's size: %d, %v", n, err)
		}
		var done time.Time
		begin := time.Now()
		go func() {
			a.Write(make([]byte, 100))
			done = time.Now()
		}()
		time.Sleep(time.Second)
		io.ReadFull(b, make([]byte, 4096))
		synctest.Wait()
		if done.Sub(begin) != time.Second {
			t.Errorf("Write into a full buffer returned after %v, the room came after 1s", done.Sub(begin))
		}
	})
}

// A Write that fails half-way says how much the reader will get.
func TestPartialWrite(t *testing.T) {
	bubble(t, 4096, func(t *testing.T, a, b *pipe.Conn) {
		a.SetWriteDeadline(time.Now().Add(time.Second))
		n, err := a.Write(make([]byte, 10_000))
		want(t, "Write", err, os.ErrDeadlineExceeded)
		if n != 4096 {
			t.Errorf("Write reports %d bytes, the buffer holds 4096", n)
		}
		// Little room is room: what the failed Write waited for is forgotten.
		io.ReadFull(b, make([]byte, 10))
		a.SetWriteDeadline(time.Now().Add(time.Second))
		if _, err := a.Write(make([]byte, 10)); err != nil {
			t.Errorf("Write of as much as was read: %v", err)
		}
	})
}

// The buffer grows while what is in it begins in its middle.
func TestGrowthKeepsOrder(t *testing.T) {
	bubble(t, 64<<10, func(t *testing.T, a, b *pipe.Conn) {
		sent := make([]byte, 50_000)
		rand.NewChaCha8([32]byte{}).Read(sent)
		var got []byte
		for written := 0; written < len(sent); {
			n := min(3000, len(sent)-written)
			a.Write(sent[written : written+n])
			written += n
			p := make([]byte, 1000)
			n, _ = b.Read(p)
			got = append(got, p[:n]...)
		}
		a.Close()
		rest, err := io.ReadAll(b)
		if got = append(got, rest...); err != nil || !bytes.Equal(got, sent) {
			t.Errorf("%d other bytes arrived than were sent, %v", len(got), err)
		}
	})
}

// A reader that drains the buffer while a large write is being copied into it
// does not move the place that the write is copied to. This one, and the next,
// need real processors.
func TestDrainDuringCopy(t *testing.T) {
	a, b := newPair(1 << 20)
	sent := make([]byte, 4<<20)
	rand.NewChaCha8([32]byte{}).Read(sent)
	const rounds = 10
	go func() {
		defer a.Close()
		for range rounds {
			for i, p := 0, sent; len(p) > 0; i++ {
				// The small write wakes the reader, the large one follows.
				n := min(len(p), 8+i%2*(100<<10))
				a.Write(p[:n])
				p = p[n:]
			}
		}
	}()
	defer b.Close()
	got := make([]byte, 64<<10)
	for at := 0; at < rounds*len(sent); {
		n, err := b.Read(got)
		if want := sent[at%len(sent):]; err != nil || !bytes.Equal(got[:min(n, len(want))], want[:min(n, len(want))]) {
			t.Fatalf("other bytes than were sent within %d at %d, %v", n, at, err)
		}
		at += n
	}
}

// Readers that copy at the same time get each byte once between them.
func TestManyReaders(t *testing.T) {
	const numbers, spacing, readers = 1 << 18, 64, 3
	a, b := newPair(1 << 20)
	defer b.Close()
	go func() {
		defer a.Close()
		p := make([]byte, spacing*numbers)
		for i := range numbers {
			binary.LittleEndian.PutUint64(p[spacing*i:], uint64(i))
		}
		a.Write(p)
	}()
	var seen [numbers]atomic.Bool
	var all sync.WaitGroup
	for range readers {
		all.Go(func() {
			// Every piece is a multiple of the spacing, so numbers stay whole.
			p := make([]byte, 64<<10)
			for {
				n, err := b.Read(p)
				if err != nil {
					return
				}
				for i := 0; i < n; i += spacing {
					x := binary.LittleEndian.Uint64(p[i:])
					if x >= numbers || seen[x].Swap(true) {
						t.Errorf("%d was read twice, or never sent", x)
						b.Close()
						return
					}
				}
			}
		})
	}
	all.Wait()
	for i := range seen {
		if !seen[i].Load() {
			t.Fatalf("%d is missing", i)
		}
	}
}

func TestPeerCloses(t *testing.T) {
	bubble(t, 4096, func(t *testing.T, a, b *pipe.Conn) {
		a.Write([]byte("bye"))
		blocked := make(chan error, 1)
		go func() {
			_, err := b.Write(make([]byte, 5000))
			blocked <- err
		}()
		synctest.Wait()
		a.Close()
		want(t, "blocked Write to a closed peer", <-blocked, syscall.EPIPE)
		if got, err := io.ReadAll(b); string(got) != "bye" || err != nil {
			t.Errorf("read %q, %v from a closed peer", got, err)
		}
		_, err := b.Write([]byte("x"))
		want(t, "Write to a closed peer", err, syscall.EPIPE)
	})
}

func TestCloseWriteLeavesTheOtherWay(t *testing.T) {
	bubble(t, 4096, func(t *testing.T, a, b *pipe.Conn) {
		if err := a.CloseWrite(); err != nil {
			t.Errorf("CloseWrite: %v", err)
		}
		want(t, "second CloseWrite", a.CloseWrite(), net.ErrClosed)
		_, err := a.Write([]byte("x"))
		want(t, "Write after CloseWrite", err, net.ErrClosed)
		if err := a.SetDeadline(time.Now().Add(time.Hour)); err != nil {
			t.Errorf("SetDeadline after CloseWrite: %v", err)
		}
		_, err = b.Read(make([]byte, 1))
		want(t, "Read", err, io.EOF)
		b.Write([]byte("still here"))
		b.Close()
		if got, err := io.ReadAll(a); string(got) != "still here" || err != nil {
			t.Errorf("read %q, %v", got, err)
		}
	})
}

func TestOwnCloseEndsEveryCall(t *testing.T) {
	bubble(t, 4096, func(t *testing.T, a, b *pipe.Conn) {
		a.Write(make([]byte, 4096))
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() {
				_, err := a.Read(make([]byte, 1))
				want(t, "Read", err, net.ErrClosed)
			})
			all.Go(func() {
				_, err := a.Write([]byte("x"))
				want(t, "Write", err, net.ErrClosed)
			})
		}
		synctest.Wait()
		if err := a.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		all.Wait()
		want(t, "second Close", a.Close(), net.ErrClosed)
		want(t, "SetDeadline", a.SetDeadline(time.Now()), net.ErrClosed)
		want(t, "SetWriteDeadline", a.SetWriteDeadline(time.Now()), net.ErrClosed)
	})
}

// Deadlines expire at their instant, whether they were moved there from later,
// from earlier or from never.
func TestDeadlineMoves(t *testing.T) {
	bubble(t, 4096, func(t *testing.T, a, b *pipe.Conn) {
		for _, first := range []time.Duration{0, time.Second, time.Minute} {
			begin := time.Now()
			if first != 0 {
				a.SetReadDeadline(begin.Add(first))
			}
			go func() {
				time.Sleep(500 * time.Millisecond)
				a.SetReadDeadline(begin.Add(10 * time.Second))
			}()
			_, err := a.Read(make([]byte, 1))
			want(t, "Read", err, os.ErrDeadlineExceeded)
			if took := time.Since(begin); took != 10*time.Second {
				t.Errorf("a deadline moved from %v to 10s ended Read after %v", first, took)
			}
			a.SetReadDeadline(time.Time{})
		}
	})
}

// An expired deadline hides bytes but keeps them.
func TestExpiredDeadlineKeepsBytes(t *testing.T) {
	bubble(t, 4096, func(t *testing.T, a, b *pipe.Conn) {
		b.Write([]byte("kept"))
		a.SetReadDeadline(time.Now().Add(-time.Second))
		_, err := a.Read(make([]byte, 10))
		want(t, "Read", err, os.ErrDeadlineExceeded)
		a.SetReadDeadline(time.Time{})
		p := make([]byte, 10)
		if n, err := a.Read(p); string(p[:n]) != "kept" || err != nil {
			t.Errorf("read %q, %v", p[:n], err)
		}
	})
}

func TestEmptyCalls(t *testing.T) {
	bubble(t, 0, func(t *testing.T, a, b *pipe.Conn) {
		if n, err := a.Read(nil); n != 0 || err != nil {
			t.Errorf("Read(nil): %d, %v", n, err)
		}
		if n, err := a.Write(nil); n != 0 || err != nil {
			t.Errorf("Write(nil): %d, %v", n, err)
		}
	})
}

func TestErrorsNameTheEnds(t *testing.T) {
	a, _ := newPair(0)
	a.Close()
	_, err := a.Read(make([]byte, 1))
	if got := err.Error(); got != "read memory a->b: use of closed network connection" {
		t.Errorf("error reads %q", got)
	}
}
