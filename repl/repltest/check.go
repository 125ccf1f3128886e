package repltest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/emberkv/ember/repl"
)

// CheckTransport fails t unless a transport does what package repl relies on:
// connections that carry bytes whole and in order both ways at once, buffer
// them, end with io.EOF, keep their deadlines, and can be used and closed by
// several goroutines; listeners that own their address until they are closed.
//
// The server listens on addr, which may stand for any free address; the client
// dials the listener's address. Server and client are usually the same
// transport. It runs subtests, so it cannot be called inside a testing/synctest
// bubble, and takes well under a second of real time.
func CheckTransport(t *testing.T, server, client repl.Transport, addr string) {
	t.Helper()
	c := &check{server: server, client: client, addr: addr}
	t.Run("Address", c.address)
	t.Run("DialContext", c.dialContext)
	t.Run("AcceptEnds", c.acceptEnds)
	t.Run("Echo", c.echo)
	t.Run("EndOfStream", c.endOfStream)
	t.Run("BothWays", c.bothWays)
	t.Run("WholeWrites", c.wholeWrites)
	t.Run("ReadDeadline", c.readDeadline)
	t.Run("WriteDeadline", c.writeDeadline)
	t.Run("CloseEndsCalls", c.closeEndsCalls)
	t.Run("Concurrent", c.concurrent)
}

// checkPatience bounds what must not block: only a failure waits that long, and a busy
// machine may take seconds.
const checkPatience = time.Minute

type check struct {
	server, client repl.Transport
	addr           string
}

func (c *check) listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := c.server.Listen(c.addr)
	if err != nil {
		t.Fatalf("Listen(%q): %v", c.addr, err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// pair returns both ends of a new connection. The accepting end has been heard
// of: a TLS handshake, for one, is over.
func (c *check) pair(t *testing.T) (dialed, accepted net.Conn) {
	t.Helper()
	l := c.listen(t)
	accepts := make(chan net.Conn, 1)
	go func() {
		conn, err := l.Accept()
		if err == nil {
			io.ReadFull(conn, make([]byte, 1))
		}
		accepts <- conn
	}()
	ctx, cancel := context.WithTimeout(context.Background(), checkPatience)
	defer cancel()
	dialed, err := c.client.Dial(ctx, l.Addr().String())
	if err != nil {
		l.Close()
		<-accepts
		t.Fatalf("Dial(%q): %v", l.Addr(), err)
	}
	t.Cleanup(func() { dialed.Close() })
	if _, err := dialed.Write([]byte{0}); err != nil {
		t.Fatalf("first Write: %v", err)
	}
	if accepted = <-accepts; accepted == nil {
		t.Fatal("Accept failed")
	}
	t.Cleanup(func() { accepted.Close() })
	return dialed, accepted
}

func (c *check) address(t *testing.T) {
	l := c.listen(t)
	addr := l.Addr().String()
	if second, err := c.server.Listen(addr); err == nil {
		second.Close()
		t.Errorf("Listen(%q) succeeded twice", addr)
	}
	if err := l.Close(); err != nil {
		t.Errorf("Close of the listener: %v", err)
	}
	if conn, err := c.client.Dial(context.Background(), addr); err == nil {
		conn.Close()
		t.Errorf("Dial(%q) succeeded when nobody listened", addr)
	}
	again, err := c.server.Listen(addr)
	if err != nil {
		t.Fatalf("Listen(%q) after Close: %v", addr, err)
	}
	again.Close()
}

func (c *check) dialContext(t *testing.T) {
	l := c.listen(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if conn, err := c.client.Dial(ctx, l.Addr().String()); err == nil {
		conn.Close()
		t.Error("Dial succeeded with a context that had ended")
	}
}

func (c *check) acceptEnds(t *testing.T) {
	l := c.listen(t)
	result := make(chan error)
	go func() {
		_, err := l.Accept()
		result <- err
	}()
	l.Close()
	if err := <-result; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept after Close: %v, want net.ErrClosed", err)
	}
}

func (c *check) echo(t *testing.T) {
	a, b := c.pair(t)
	for _, conn := range []net.Conn{a, b} {
		if conn.LocalAddr() == nil || conn.RemoteAddr() == nil {
			t.Error("connection without addresses")
		}
	}
	for i := range 100 {
		question := []byte(fmt.Sprintf("message %d", i))
		for _, way := range [][2]net.Conn{{a, b}, {b, a}} {
			if n, err := way[0].Write(question); n != len(question) || err != nil {
				t.Fatalf("Write: %d, %v", n, err)
			}
			got := make([]byte, len(question))
			if _, err := io.ReadFull(way[1], got); err != nil || !bytes.Equal(got, question) {
				t.Fatalf("read %q, %v, want %q", got, err, question)
			}
		}
	}
}

// endOfStream checks that closing loses nothing that was written, and that the
// writer did not need a reader for it.
func (c *check) endOfStream(t *testing.T) {
	a, b := c.pair(t)
	sent := bytes.Repeat([]byte("last words "), 300)
	if _, err := a.Write(sent); err != nil {
		t.Fatalf("Write without a reader: %v", err)
	}
	a.Close()
	got, err := io.ReadAll(b)
	if err != nil || !bytes.Equal(got, sent) {
		t.Errorf("read %d bytes, %v, want %d and the end", len(got), err, len(sent))
	}
	if n, err := b.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("Read after the end: %d, %v, want io.EOF", n, err)
	}
}

// bothWays sends more than buffers usually hold in both directions at once: each
// side reads while it writes.
func (c *check) bothWays(t *testing.T) {
	a, b := c.pair(t)
	const size = 1 << 20
	var all sync.WaitGroup
	for i, conn := range []net.Conn{a, b} {
		mine, theirs := payload(uint64(i), size), payload(uint64(1-i), size)
		all.Go(func() {
			for p := mine; len(p) > 0; {
				n := min(len(p), 100_000)
				if _, err := conn.Write(p[:n]); err != nil {
					t.Errorf("Write: %v", err)
					conn.Close()
					return
				}
				p = p[n:]
			}
		})
		all.Go(func() {
			got := make([]byte, size)
			if _, err := io.ReadFull(conn, got); err != nil {
				t.Errorf("ReadFull: %v", err)
				conn.Close()
			} else if !bytes.Equal(got, theirs) {
				t.Error("other bytes arrived than were sent")
			}
		})
	}
	all.Wait()
}

// wholeWrites checks that the bytes of one Write stay together when several
// goroutines write.
func (c *check) wholeWrites(t *testing.T) {
	a, b := c.pair(t)
	const writers, writes, size = 4, 20, 50_000
	var all sync.WaitGroup
	for i := range writers {
		all.Go(func() {
			for range writes {
				if _, err := a.Write(bytes.Repeat([]byte{byte(i)}, size)); err != nil {
					t.Errorf("Write: %v", err)
					return
				}
			}
		})
	}
	p := make([]byte, size)
	for range writers * writes {
		if _, err := io.ReadFull(b, p); err != nil {
			t.Fatalf("ReadFull: %v", err)
		}
		if bytes.Count(p, p[:1]) != size {
			t.Fatal("the bytes of two writes are mixed")
		}
	}
	all.Wait()
}

func (c *check) readDeadline(t *testing.T) {
	a, b := c.pair(t)
	p := make([]byte, 1)
	for _, after := range []time.Duration{-time.Hour, 0, 5 * time.Millisecond} {
		a.SetReadDeadline(time.Now().Add(after))
		if _, err := a.Read(p); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Read with %v to go: %v, want os.ErrDeadlineExceeded", after, err)
		} else if ne := net.Error(nil); !errors.As(err, &ne) || !ne.Timeout() {
			t.Errorf("%#v does not say that it is a timeout", err)
		}
	}
	// A blocked Read obeys a deadline that is set later.
	a.SetReadDeadline(time.Time{})
	result := make(chan error)
	go func() {
		_, err := a.Read(p)
		result <- err
	}()
	a.SetReadDeadline(time.Now().Add(5 * time.Millisecond))
	if err := <-result; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("blocked Read: %v, want os.ErrDeadlineExceeded", err)
	}
	// A deadline that was moved in time has no effect.
	a.SetReadDeadline(time.Now().Add(time.Millisecond))
	a.SetReadDeadline(time.Now().Add(checkPatience))
	if _, err := b.Write(p); err != nil {
		t.Fatalf("Write: %v", err)
	}
	if n, err := a.Read(p); n != 1 || err != nil {
		t.Errorf("Read after the deadline was moved: %d, %v", n, err)
	}
}

// writeDeadline fills the connection, whose reader does nothing. What comes
// after is not looked at: a TLS connection is of no use any more.
func (c *check) writeDeadline(t *testing.T) {
	a, _ := c.pair(t)
	a.SetWriteDeadline(time.Now().Add(20 * time.Millisecond))
	p, sent := make([]byte, 64<<10), 0
	for {
		n, err := a.Write(p)
		if sent += n; sent > 1<<30 {
			t.Fatal("1 GiB written without a reader: no bound")
		}
		if err == nil {
			continue
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Write into a full connection: %v, want os.ErrDeadlineExceeded", err)
		}
		return
	}
}

func (c *check) closeEndsCalls(t *testing.T) {
	a, _ := c.pair(t)
	results := make(chan error, 2)
	go func() {
		_, err := a.Read(make([]byte, 1))
		results <- err
	}()
	go func() {
		for {
			if _, err := a.Write(make([]byte, 64<<10)); err != nil {
				results <- err
				return
			}
		}
	}()
	if err := a.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	for range cap(results) {
		if err := <-results; !errors.Is(err, net.ErrClosed) {
			t.Errorf("call on a closed connection: %v, want net.ErrClosed", err)
		}
	}
}

// concurrent calls everything at once; the race detector and the clock judge.
func (c *check) concurrent(t *testing.T) {
	a, b := c.pair(t)
	var all sync.WaitGroup
	for i := range 4 {
		for _, conn := range []net.Conn{a, b} {
			all.Go(func() { io.CopyN(io.Discard, conn, 100_000) })
			all.Go(func() {
				for range 100 {
					if _, err := conn.Write(make([]byte, 1000)); err != nil {
						return
					}
				}
			})
			all.Go(func() {
				for range 100 {
					conn.SetDeadline(time.Now().Add(checkPatience))
					conn.SetReadDeadline(time.Time{})
					conn.SetWriteDeadline(time.Time{})
				}
				if i == 3 {
					conn.Close()
				}
			})
		}
	}
	all.Wait()
}

// payload returns size bytes that look like no others.
func payload(seed uint64, size int) []byte {
	p := make([]byte, size)
	rng := rand.NewChaCha8([32]byte{byte(seed), 1})
	rng.Read(p)
	return p
}
