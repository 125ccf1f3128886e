package repltest_test

import (
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/repl/repltest"
)

func TestCloseWrite(t *testing.T) {
	bubble(t, func(t *testing.T, n *repltest.Network) {
		near, far := connect(t, n, "a", "b")
		half := near.(interface{ CloseWrite() error })
		write(t, near, "request")
		if err := half.CloseWrite(); err != nil {
			t.Errorf("CloseWrite: %v", err)
		}
		want(t, "second CloseWrite", half.CloseWrite(), net.ErrClosed)
		_, err := near.Write([]byte("x"))
		want(t, "Write after CloseWrite", err, net.ErrClosed)
		for range 2 { // the end does not go away
			if got, err := io.ReadAll(far); err != nil || len(got) != 0 && string(got) != "request" {
				t.Errorf("read %q, %v", got, err)
			}
		}
		write(t, far, "response")
		far.Close()
		if got, err := io.ReadAll(near); string(got) != "response" || err != nil {
			t.Errorf("read %q, %v", got, err)
		}
		near.Close()
		want(t, "CloseWrite after Close", half.CloseWrite(), net.ErrClosed)
		want(t, "second Close", near.Close(), net.ErrClosed)
		want(t, "SetDeadline after Close", near.SetDeadline(time.Now()), net.ErrClosed)
	})
}

// A peer that closes is heard of when the news arrives, not before: until then
// what is written to it is taken, and lost.
func TestPeerClosesFarAway(t *testing.T) {
	bubble(t, func(t *testing.T, n *repltest.Network) {
		near, far := connect(t, n, "a", "b")
		n.SetDelay(time.Second, 0)
		begin := time.Now()
		near.Close()
		write(t, far, "into the void")
		if time.Since(begin) != 0 {
			t.Error("Write waited")
		}
		_, err := far.Write([]byte(strings.Repeat("x", repltest.DefaultWindowBytes)))
		want(t, "Write that blocks", err, syscall.EPIPE)
		within(t, "the news", time.Since(begin), time.Second)
		_, err = far.Write([]byte("x"))
		want(t, "Write after the news", err, syscall.EPIPE)
	})
}

// What the one who closes has not read goes on filling the window.
func TestPeerClosesWithUnreadBytes(t *testing.T) {
	bubble(t, func(t *testing.T, n *repltest.Network) {
		near, far := connect(t, n, "a", "b")
		n.SetDelay(time.Second, 0)
		write(t, far, strings.Repeat("x", repltest.DefaultWindowBytes))
		begin := time.Now()
		near.Close()
		_, err := far.Write([]byte("x"))
		want(t, "Write", err, syscall.EPIPE)
		within(t, "the news", time.Since(begin), time.Second)
	})
}

// The news overtakes no bytes, but does not wait for their reader.
func TestNewsBehindBytes(t *testing.T) {
	bubble(t, func(t *testing.T, n *repltest.Network) {
		near, far := connect(t, n, "a", "b")
		n.SetDelay(time.Second, 0)
		begin := time.Now()
		write(t, near, "nobody reads this")
		result := make(chan time.Duration)
		go func() {
			_, err := far.Write(make([]byte, 1<<20))
			want(t, "blocked Write", err, syscall.EPIPE)
			result <- time.Since(begin)
		}()
		time.Sleep(500 * time.Millisecond)
		near.Close()
		within(t, "the news", <-result, 1500*time.Millisecond)
	})
}

// What was held comes out at an instant of its own, not with the healing, at
// which everything else comes out as well.
func TestHeldNewsHaveTheirOwnInstant(t *testing.T) {
	bubble(t, func(t *testing.T, n *repltest.Network) {
		n.SetDelay(time.Millisecond, 0)
		near, far := connect(t, n, "a", "b")
		n.PauseAll()
		near.Close()
		time.Sleep(time.Second)
		healed := time.Now()
		time.AfterFunc(time.Second, n.HealAll)
		_, err := far.Write(make([]byte, 1<<20))
		want(t, "blocked Write", err, syscall.EPIPE)
		if after := time.Since(healed) - time.Second; after <= 0 || after > slack {
			t.Errorf("the news came %v after the healing", after)
		}
	})
}

// A Write that fails half-way says how much the reader will get.
func TestPartialWriteArrives(t *testing.T) {
	bubble(t, func(t *testing.T, n *repltest.Network) {
		near, far := connect(t, n, "a", "b")
		n.All().SetWindow(1000)
		near.SetWriteDeadline(time.Now().Add(time.Second))
		sent, err := near.Write(make([]byte, 5000))
		want(t, "Write", err, os.ErrDeadlineExceeded)
		near.Close()
		if got, err := io.Copy(io.Discard, far); got != int64(sent) || err != nil {
			t.Errorf("%d bytes were read, %v; Write reported %d", got, err, sent)
		}
	})
}

// Deadlines end calls at their instant also where the link has something coming.
func TestDeadlineBeforeArrival(t *testing.T) {
	bubble(t, func(t *testing.T, n *repltest.Network) {
		near, far := connect(t, n, "a", "b")
		n.SetDelay(time.Minute, 0)
		begin := time.Now()
		write(t, near, "coming")
		far.SetReadDeadline(begin.Add(time.Second))
		_, err := far.Read(make([]byte, 10))
		want(t, "Read", err, os.ErrDeadlineExceeded)
		if took := time.Since(begin); took != time.Second {
			t.Errorf("Read with a second to go took %v", took)
		}
		far.SetReadDeadline(time.Time{})
		expect(t, far, "coming")
		within(t, "the message", time.Since(begin), time.Minute)
	})
}

// Closing the reader's end wakes a writer that waits for room.
func TestCloseWakesBlockedPeer(t *testing.T) {
	bubble(t, func(t *testing.T, n *repltest.Network) {
		near, far := connect(t, n, "a", "b")
		result := make(chan error, 1)
		go func() {
			_, err := near.Write(make([]byte, 1<<20))
			result <- err
		}()
		synctest.Wait()
		far.Close()
		want(t, "blocked Write", <-result, syscall.EPIPE)
	})
}

func TestHostNames(t *testing.T) {
	bubble(t, func(t *testing.T, n *repltest.Network) {
		if a := n.Host("a"); a.Name() != "a" || n.Host("a") != a {
			t.Error("a host is not the one that was named")
		}
		near, far := connect(t, n, "a", "b")
		if near.RemoteAddr().String() != "b" || far.LocalAddr().String() != "b" ||
			near.LocalAddr() != far.RemoteAddr() || near.LocalAddr().String() != "a#0" {
			t.Errorf("%v -> %v, %v -> %v", near.LocalAddr(), near.RemoteAddr(), far.LocalAddr(), far.RemoteAddr())
		}
	})
}
