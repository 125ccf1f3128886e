package repltest_test

import (
	"context"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/repl/repltest"
)

// slack is what instants are rounded up by at most.
const slack = 10 * time.Microsecond

func within(t *testing.T, what string, got, want time.Duration) {
	t.Helper()
	if got < want || got > want+slack {
		t.Errorf("%s took %v, want %v", what, got, want)
	}
}

func TestDelay(t *testing.T) {
	bubble(t, func(t *testing.T, n *repltest.Network) {
		n.Link("a", "b").OneWay().SetDelay(3*time.Second, 0)
		n.Link("b", "a").OneWay().SetDelay(time.Second, 0)
		begin := time.Now()
		near, far := connect(t, n, "a", "b")
		within(t, "Dial", time.Since(begin).Truncate(slack), 4*time.Second)

		for _, way := range []struct {
			from, to net.Conn
			delay    time.Duration
		}{{near, far, 3 * time.Second}, {far, near, time.Second}} {
			begin := time.Now()
			write(t, way.from, "now")
			if time.Since(begin) != 0 {
				t.Error("Write waited for the delay")
			}
			expect(t, way.to, "now")
			within(t, "a message", time.Since(begin), way.delay)
		}
		begin = time.Now()
		near.Close()
		_, err := far.Read(make([]byte, 1))
		want(t, "Read", err, io.EOF)
		within(t, "the end of the stream", time.Since(begin), 3*time.Second)
	})
}

func TestNoDelayIsAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, n *repltest.Network) {
		begin := time.Now()
		near, far := connect(t, n, "a", "b")
		write(t, near, "now")
		expect(t, far, "now")
		if took := time.Since(begin); took != 0 {
			t.Errorf("a link without delay took %v", took)
		}
	})
}

// Jitter spreads the arrivals over its whole range and keeps their order.
func TestJitter(t *testing.T) {
	bubble(t, func(t *testing.T, n *repltest.Network) {
		near, far := connect(t, n, "a", "b")
		const delay, jitter = time.Second, 500 * time.Millisecond
		n.SetDelay(delay, jitter)
		low, high := time.Hour, time.Duration(0)
		for range 200 {
			begin := time.Now()
			write(t, near, "x")
			expect(t, far, "x")
			took := time.Since(begin)
			low, high = min(low, took), max(high, took)
		}
		if low < delay || low > delay+jitter/10 || high < delay+jitter*9/10 || high > delay+jitter+slack {
			t.Errorf("messages took %v to %v, want %v to %v", low, high, delay, delay+jitter)
		}
		var sent strings.Builder
		for i := range 200 {
			s := string(rune('a' + i%26))
			sent.WriteString(s)
			write(t, near, s)
		}
		expect(t, far, sent.String())
	})
}

func TestBandwidth(t *testing.T) {
	bubble(t, func(t *testing.T, n *repltest.Network) {
		near, far := connect(t, n, "a", "b")
		n.Link("a", "b").OneWay().SetBandwidth(1000)
		begin := time.Now()
		write(t, near, strings.Repeat("x", 10_000))
		expect(t, far, "x")
		if took := time.Since(begin); took > 100*time.Millisecond {
			t.Errorf("the first byte took %v: it does not trickle", took)
		}
		expect(t, far, strings.Repeat("x", 9_999))
		within(t, "10000 bytes at 1000 a second", time.Since(begin), 10*time.Second)

		begin = time.Now()
		write(t, far, strings.Repeat("x", 10_000))
		expect(t, near, strings.Repeat("x", 10_000))
		if took := time.Since(begin); took != 0 {
			t.Errorf("the other direction took %v", took)
		}
	})
}

// The connections of a link share its bandwidth.
func TestBandwidthIsShared(t *testing.T) {
	bubble(t, func(t *testing.T, n *repltest.Network) {
		n.Link("a", "b").SetBandwidth(1000)
		near1, far1 := connect(t, n, "a", "b")
		near2, far2 := connect(t, n, "a", "b")
		begin := time.Now()
		write(t, near1, strings.Repeat("x", 5000))
		write(t, near2, strings.Repeat("y", 5000))
		expect(t, far1, strings.Repeat("x", 5000))
		expect(t, far2, strings.Repeat("y", 5000))
		if took := time.Since(begin); took.Round(time.Millisecond) != 10*time.Second {
			t.Errorf("2 x 5000 bytes at 1000 a second took %v", took)
		}
	})
}

func TestChop(t *testing.T) {
	for _, most := range []int{0, 1, 7} {
		bubble(t, func(t *testing.T, n *repltest.Network) {
			near, far := connect(t, n, "a", "b")
			n.All().SetChop(most)
			sent := strings.Repeat("0123456789", 100)
			write(t, near, sent)
			sizes := make(map[int]bool)
			var got strings.Builder
			for got.Len() < len(sent) {
				p := make([]byte, 2000)
				k, err := far.Read(p)
				if err != nil {
					t.Fatal(err)
				}
				sizes[k] = true
				got.Write(p[:k])
			}
			if got.String() != sent {
				t.Error("other bytes arrived than were sent")
			}
			if most == 0 && !sizes[len(sent)] || most > 0 && (len(sizes) != most || !sizes[1] || !sizes[most]) {
				t.Errorf("pieces of up to %d have the sizes %v", most, sizes)
			}
		})
	}
}

// A writer blocks when the window is full: on a link that is slow as well as
// on one that swallows everything.
func TestWindow(t *testing.T) {
	bubble(t, func(t *testing.T, n *repltest.Network) {
		near, far := connect(t, n, "a", "b")
		fill := func(what string, size int) {
			t.Helper()
			near.SetWriteDeadline(time.Now().Add(time.Second))
			got, err := near.Write(make([]byte, 1<<20))
			want(t, what, err, os.ErrDeadlineExceeded)
			if got != size {
				t.Errorf("%s: %d bytes were taken, want %d", what, got, size)
			}
			near.SetWriteDeadline(time.Time{})
		}
		fill("default window", repltest.DefaultWindowBytes)
		io.CopyN(io.Discard, far, repltest.DefaultWindowBytes)

		n.Link("a", "b").SetWindow(1000)
		fill("window of 1000", 1000)

		// Reading makes room, once.
		go io.CopyN(io.Discard, far, 300)
		synctest.Wait()
		fill("window after 300 were read", 300)

		io.CopyN(io.Discard, far, 1000)
		n.Link("a", "b").HalfOpen()
		fill("half-open window", 1000)
		fill("full half-open window", 0)
	})
}

// A larger window lets a blocked writer go on.
func TestWindowGrows(t *testing.T) {
	bubble(t, func(t *testing.T, n *repltest.Network) {
		near, _ := connect(t, n, "a", "b")
		n.All().SetWindow(10)
		begin := time.Now()
		time.AfterFunc(time.Minute, func() { n.All().SetWindow(100) })
		write(t, near, strings.Repeat("x", 100))
		if took := time.Since(begin); took != time.Minute {
			t.Errorf("Write returned after %v, the room came after 1m", took)
		}
	})
}

// A dial gives up when its context ends, on the way there, on the way back and
// in the queue, and leaves no connection.
func TestDialContextOnTheWay(t *testing.T) {
	for _, timeout := range []time.Duration{500 * time.Millisecond, 1500 * time.Millisecond} {
		bubble(t, func(t *testing.T, n *repltest.Network) {
			n.SetDelay(time.Second, 0)
			l, err := n.Host("b").Listen("b")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			ctx, cancel := context.WithTimeout(t.Context(), timeout)
			defer cancel()
			begin := time.Now()
			_, err = n.Host("a").Dial(ctx, "b")
			want(t, "Dial", err, context.DeadlineExceeded)
			if took := time.Since(begin); took != timeout {
				t.Errorf("Dial with %v to go returned after %v", timeout, took)
			}
			if s := n.Stats(); s.Dials != 1 || s.Failed != 1 {
				t.Errorf("%+v, want 1 dial, failed", s)
			}
			if timeout > time.Second { // it was in the queue already
				c, err := l.Accept()
				if err != nil {
					t.Fatal(err)
				}
				_, err = c.Read(make([]byte, 1))
				want(t, "Read of a connection that was given up", err, io.EOF)
				c.Close()
			}
			if open := n.Stats().Open; open != 0 {
				t.Errorf("%d connections are open", open)
			}
		})
	}
}
