package repltest_test

import (
	"bytes"
	"context"
	"fmt"
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

func TestCut(t *testing.T) {
	bubble(t, func(t *testing.T, n *repltest.Network) {
		near, far := connect(t, n, "a", "b")
		other, otherFar := connect(t, n, "a", "c")
		write(t, near, "lost")
		blocked := make(chan error, 1)
		go func() {
			_, err := near.Read(make([]byte, 1))
			blocked <- err
		}()
		synctest.Wait()
		n.Link("b", "a").Cut()
		want(t, "blocked Read", <-blocked, syscall.ECONNRESET)
		for _, c := range []net.Conn{near, far} {
			_, err := c.Read(make([]byte, 1))
			want(t, "Read", err, syscall.ECONNRESET)
			_, err = c.Write([]byte("x"))
			want(t, "Write", err, syscall.ECONNRESET)
			if err := c.Close(); err != nil {
				t.Errorf("Close of a connection that was cut: %v", err)
			}
			_, err = c.Read(make([]byte, 1))
			want(t, "Read after Close", err, net.ErrClosed)
		}
		write(t, other, "safe")
		expect(t, otherFar, "safe")
		near, far = connect(t, n, "a", "b")
		write(t, near, "again")
		expect(t, far, "again")
	})
}

// Exactly n bytes get through, however they are written and read, and then both
// ends know.
func TestCutNextIsExact(t *testing.T) {
	for after := range 20 {
		for _, chop := range []int{0, 1, 3} {
			for _, back := range []bool{false, true} {
				t.Run(fmt.Sprintf("after=%d,chop=%d,back=%v", after, chop, back), func(t *testing.T) {
					bubble(t, func(t *testing.T, n *repltest.Network) {
						link := n.Link("a", "b")
						if back {
							link = n.Link("b", "a")
						}
						link.SetChop(chop)
						link.OneWay().CutNext(int64(after))
						from, to := connect(t, n, "a", "b")
						if back {
							from, to = to, from
						}
						const sent = "0123456789abcdefghijklmnopq"
						for i := 0; i < len(sent) && after > 0; i += 9 {
							write(t, from, sent[i:i+9])
						}
						got, err := io.ReadAll(to)
						want(t, "ReadAll", err, syscall.ECONNRESET)
						if string(got) != sent[:after] {
							t.Errorf("%q passed, want %q", got, sent[:after])
						}
						_, err = from.Write([]byte("x"))
						want(t, "Write", err, syscall.ECONNRESET)

						// The next connection is whole again.
						near, far := connect(t, n, "a", "b")
						for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
							write(t, way[0], sent)
							expect(t, way[1], sent)
						}
					})
				})
			}
		}
	}
}

// The sender of bytes that nobody has read yet does not know of the cut.
func TestCutNextWaitsForTheReader(t *testing.T) {
	bubble(t, func(t *testing.T, n *repltest.Network) {
		n.Link("a", "b").OneWay().CutNext(3)
		near, far := connect(t, n, "a", "b")
		write(t, near, "abcdef")
		write(t, far, "answer")
		expect(t, near, "answer")
		near.SetWriteDeadline(time.Now().Add(time.Second))
		_, err := near.Write(make([]byte, 1<<20))
		want(t, "Write without end", err, os.ErrDeadlineExceeded)
		expect(t, far, "abc")
		_, err = near.Read(make([]byte, 1))
		want(t, "Read of the sender", err, syscall.ECONNRESET)
	})
}

func TestFlipNextHitsEveryBit(t *testing.T) {
	const sent = "0123456789"
	for offset := range len(sent) {
		for bit := range 8 {
			bubble(t, func(t *testing.T, n *repltest.Network) {
				n.Link("a", "b").SetChop(1 + bit)
				n.Link("a", "b").OneWay().FlipNext(int64(offset), 1<<bit)
				near, far := connect(t, n, "a", "b")
				wrong := []byte(sent)
				wrong[offset] ^= 1 << bit
				write(t, near, sent[:4])
				write(t, near, sent[4:])
				expect(t, far, string(wrong))
				write(t, far, sent)
				expect(t, near, sent)
				near, far = connect(t, n, "a", "b")
				write(t, near, sent)
				expect(t, far, sent)
			})
		}
	}
}

func TestFlip(t *testing.T) {
	const size, p = 1 << 20, 0.001
	bubble(t, func(t *testing.T, n *repltest.Network) {
		near, far := connect(t, n, "a", "b")
		n.Link("a", "b").Flip(p)
		go func() {
			for range size / 1024 {
				near.Write(make([]byte, 1024))
			}
		}()
		got := make([]byte, size)
		if _, err := io.ReadFull(far, got); err != nil {
			t.Fatal(err)
		}
		flipped := size - bytes.Count(got, []byte{0})
		// Six standard deviations of a binomial distribution.
		if mean := size * p; float64(flipped) < mean-200 || float64(flipped) > mean+200 {
			t.Errorf("%d of %d bytes were hit, want about %.0f", flipped, size, mean)
		}
		n.Link("a", "b").Heal()
		write(t, near, strings.Repeat("\x00", 100_000))
		expect(t, far, strings.Repeat("\x00", 100_000))

		n.Link("a", "b").Flip(1)
		write(t, near, strings.Repeat("\x00", 1000))
		io.ReadFull(far, got[:1000])
		if left := bytes.Count(got[:1000], []byte{0}); left != 0 {
			t.Errorf("%d of 1000 bytes were spared by probability 1", left)
		}
	})
}

func TestDuplicate(t *testing.T) {
	bubble(t, func(t *testing.T, n *repltest.Network) {
		near, far := connect(t, n, "a", "b")
		n.Link("a", "b").Duplicate(1)
		write(t, near, "once ")
		write(t, near, "upon ")
		expect(t, far, "once once upon upon ")
		n.HealAll()
		write(t, near, "a time")
		near.Close()
		if rest, err := io.ReadAll(far); string(rest) != "a time" || err != nil {
			t.Errorf("after healing %q, %v", rest, err)
		}
	})
}

func TestSwap(t *testing.T) {
	bubble(t, func(t *testing.T, n *repltest.Network) {
		near, far := connect(t, n, "a", "b")
		n.SetDelay(time.Second, 0)
		write(t, near, "one ")
		n.Link("a", "b").Swap(1)
		write(t, near, "two ")
		n.Link("a", "b").Heal()
		write(t, near, "three ")
		near.Close()
		if got, err := io.ReadAll(far); string(got) != "two one three " || err != nil {
			t.Errorf("read %q, %v", got, err)
		}
	})
}

// silent fails when anything arrives at c within a day, or the stream ends.
func silent(t *testing.T, what string, c net.Conn) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(24 * time.Hour))
	k, err := c.Read(make([]byte, 1))
	if k != 0 {
		t.Errorf("%s: something arrived", what)
	}
	want(t, what, err, os.ErrDeadlineExceeded)
	c.SetReadDeadline(time.Time{})
}

func TestHalfOpen(t *testing.T) {
	bubble(t, func(t *testing.T, n *repltest.Network) {
		near, far := connect(t, n, "a", "b")
		write(t, near, "before")
		n.Link("a", "b").HalfOpen()
		expect(t, far, "before")
		write(t, near, "after")
		silent(t, "half-open", far)
		near.Close()
		silent(t, "half-open, closed by the peer", far)
		write(t, far, "nobody hears")

		n.HealAll()
		silent(t, "half-open, healed", far)
		again, farAgain := connect(t, n, "a", "b")
		write(t, again, "new")
		expect(t, farAgain, "new")
		if open := n.Stats().Open; open != 2 {
			t.Errorf("%d connections are open, want the new one and the half-open one", open)
		}
	})
}

func TestOneWayBlackhole(t *testing.T) {
	bubble(t, func(t *testing.T, n *repltest.Network) {
		near, far := connect(t, n, "a", "b")
		idle, farIdle := connect(t, n, "a", "b")
		n.Link("a", "b").OneWay().Blackhole()
		write(t, near, "vanishes")
		silent(t, "black hole", far)
		write(t, far, "passes")
		expect(t, near, "passes")

		// No SYN arrives from a; from b none is answered.
		for _, way := range [][2]string{{"a", "b"}, {"b", "a"}} {
			l, err := n.Host(way[1]).Listen(way[1])
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			_, err = n.Host(way[0]).Dial(ctx, way[1])
			want(t, "Dial", err, context.DeadlineExceeded)
			cancel()
			l.Close()
		}
		n.Link("a", "b").Heal()
		write(t, near, "too late")
		silent(t, "black hole, healed", far)
		write(t, idle, "had lost nothing")
		expect(t, farIdle, "had lost nothing")
	})
}

// What is stalled arrives after healing, whole and in order, and so does the
// end; a dial goes on.
func TestStall(t *testing.T) {
	bubble(t, func(t *testing.T, n *repltest.Network) {
		n.SetDelay(time.Second, time.Second)
		near, far := connect(t, n, "a", "b")
		write(t, near, "one ")
		n.Link("a", "b").Stall()
		write(t, near, "two")
		near.Close()
		silent(t, "stalled", far)
		write(t, far, "the peer seems to be there")

		begin := time.Now()
		dialed := make(chan time.Duration, 1)
		l, err := n.Host("b").Listen("b")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		go func() {
			if c, err := n.Host("a").Dial(t.Context(), "b"); err == nil {
				dialed <- time.Since(begin)
				c.Close()
			}
		}()
		time.Sleep(time.Hour)
		n.Link("a", "b").Heal()
		if got, err := io.ReadAll(far); string(got) != "one two" || err != nil {
			t.Errorf("after healing %q, %v", got, err)
		}
		_, err = far.Write([]byte("x"))
		want(t, "Write to a closed peer", err, syscall.EPIPE)
		if took := <-dialed; took < time.Hour+2*time.Second || took > time.Hour+4*time.Second+slack {
			t.Errorf("Dial took %v, the link stood still for an hour", took)
		}
	})
}

// The bytes of an old connection arrive after those of the one that replaced it.
func TestStallOneConnection(t *testing.T) {
	bubble(t, func(t *testing.T, n *repltest.Network) {
		n.SetDelay(time.Millisecond, 0)
		near, far := connect(t, n, "replica", "master")
		old := n.Link("replica", "master").Conns()[0]
		old.Stall()
		write(t, near, "late ack")
		near.Close()
		near2, far2 := connect(t, n, "replica", "master")
		write(t, near2, "new ack")
		expect(t, far2, "new ack")
		silent(t, "stalled connection", far)
		old.Resume()
		expect(t, far, "late ack")
		if old.Dialer() != "replica" || old.Listener() != "master" {
			t.Errorf("connection from %s to %s", old.Dialer(), old.Listener())
		}
		old.Cut()
		_, err := far.Read(make([]byte, 1))
		want(t, "Read of a connection that was cut", err, syscall.ECONNRESET)
		n.All().Conns()[0].HalfOpen()
		write(t, near2, "x")
		silent(t, "half-open connection", far2)
	})
}

func TestRefuseAndHang(t *testing.T) {
	bubble(t, func(t *testing.T, n *repltest.Network) {
		near, far := connect(t, n, "a", "b")
		l, err := n.Host("b").Listen("b")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		link := n.Link("a", "b")
		dial := func() error {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			c, err := n.Host("a").Dial(ctx, "b")
			if err == nil {
				c.Close()
			}
			return err
		}
		link.Refuse()
		want(t, "Dial of a link that refuses", dial(), syscall.ECONNREFUSED)
		link.Heal()
		link.Hang()
		want(t, "Dial of a link that hangs", dial(), context.DeadlineExceeded)
		time.AfterFunc(time.Second/2, link.Heal)
		want(t, "Dial of a link that is healed", dial(), nil)
		write(t, near, "unharmed")
		expect(t, far, "unharmed")
	})
}

// A dial meets what happened while it was on its way.
func TestDialMeetsChange(t *testing.T) {
	bubble(t, func(t *testing.T, n *repltest.Network) {
		n.SetDelay(time.Second, 0)
		for _, test := range []struct {
			what   string
			change func(net.Listener)
			want   error
		}{
			{"the listener closed", func(l net.Listener) { l.Close() }, syscall.ECONNREFUSED},
			{"the link broke", func(net.Listener) { n.Link("a", "b").Blackhole() }, context.DeadlineExceeded},
			{"the network closed", func(net.Listener) { n.Close() }, net.ErrClosed},
		} {
			l, err := n.Host("b").Listen("b")
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			time.AfterFunc(time.Second/2, func() { test.change(l) })
			_, err = n.Host("a").Dial(ctx, "b")
			want(t, "Dial when "+test.what, err, test.want)
			cancel()
			l.Close()
			n.HealAll()
		}
	})
}

// A dial that fails otherwise says so at once.
func TestDialErrors(t *testing.T) {
	bubble(t, func(t *testing.T, n *repltest.Network) {
		_, err := n.Host("a").Dial(t.Context(), "nowhere")
		want(t, "Dial of an unknown address", err, syscall.ECONNREFUSED)
		_, err = n.Host("a").Listen("")
		want(t, "Listen without a name", err, syscall.EINVAL)
		l, err := n.Host("a").Listen("a")
		if err != nil {
			t.Fatal(err)
		}
		_, err = n.Host("b").Listen("a")
		want(t, "Listen on an address in use", err, syscall.EADDRINUSE)
		l.Close()
		_, err = n.Host("b").Dial(t.Context(), "a")
		want(t, "Dial of an address nobody listens on", err, syscall.ECONNREFUSED)

		// Through a dead link nobody can know that it would be refused.
		n.Link("a", "b").Blackhole()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = n.Host("b").Dial(ctx, "a")
		want(t, "Dial through a black hole", err, context.DeadlineExceeded)
	})
}
