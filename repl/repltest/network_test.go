package repltest_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/repl/repltest"
)

func TestFaultFreeIsATransport(t *testing.T) {
	n := repltest.NewNetwork(1)
	defer n.Close()
	repltest.CheckTransport(t, n.Host("b"), n.Host("a"), "b")
}

// In real time a link with delay and small pieces is a transport as well.
func TestSlowIsATransport(t *testing.T) {
	n := repltest.NewNetwork(1)
	defer n.Close()
	n.SetDelay(100*time.Microsecond, 100*time.Microsecond)
	n.All().SetChop(10_000)
	repltest.CheckTransport(t, n.Host("b"), n.Host("a"), "b")
}

// A host that dials itself has a link like any other.
func TestSelf(t *testing.T) {
	n := repltest.NewNetwork(1)
	defer n.Close()
	repltest.CheckTransport(t, n.Host("a"), n.Host("a"), "a")
}

func TestPartition(t *testing.T) {
	bubble(t, func(t *testing.T, n *repltest.Network) {
		hosts := []string{"a", "b", "c", "d"}
		conns := make(map[string][2]net.Conn)
		for i, from := range hosts {
			for _, to := range hosts[i+1:] {
				near, far := connect(t, n, from, to)
				conns[from+to] = [2]net.Conn{near, far}
			}
		}
		n.Between([]string{"a", "b"}, []string{"c", "d"}).Stall()
		for name, c := range conns {
			write(t, c[0], "there")
			write(t, c[1], "back")
			if name == "ab" || name == "cd" {
				expect(t, c[1], "there")
				expect(t, c[0], "back")
			} else {
				silent(t, name, c[1])
				silent(t, name, c[0])
			}
		}
		n.HealAll()
		for name, c := range conns {
			if name != "ab" && name != "cd" {
				expect(t, c[1], "there")
				expect(t, c[0], "back")
			}
		}
		n.Around("b").Cut()
		for name, c := range conns {
			_, err := c[0].Write([]byte("x"))
			if hit := name[0] == 'b' || name[1] == 'b'; hit != (err != nil) {
				t.Errorf("%s after all around b was cut: %v", name, err)
			}
		}
	})
}

func TestHostStall(t *testing.T) {
	bubble(t, func(t *testing.T, n *repltest.Network) {
		near, far := connect(t, n, "a", "b")
		n.Host("b").Stall()
		write(t, near, "wait")
		write(t, far, "for me")
		silent(t, "stalled host", far)
		silent(t, "peer of a stalled host", near)
		n.All().Heal()
		silent(t, "link healed, host stalled", near)
		n.Host("b").Resume()
		expect(t, far, "wait")
		expect(t, near, "for me")
	})
}

// Everything stops, links and hosts that come later included, and goes on.
func TestPauseAll(t *testing.T) {
	bubble(t, func(t *testing.T, n *repltest.Network) {
		near, far := connect(t, n, "a", "b")
		n.PauseAll()
		write(t, near, "x")
		silent(t, "paused", far)
		l, err := n.Host("late").Listen("late")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err = n.Host("later").Dial(ctx, "late")
		want(t, "Dial", err, context.DeadlineExceeded)
		n.Host("a").Stall()
		n.All().Conns()[0].Stall()
		n.HealAll()
		expect(t, far, "x")
		if c, err := n.Host("later").Dial(t.Context(), "late"); err != nil {
			t.Errorf("Dial after healing: %v", err)
		} else {
			c.Close()
		}
	})
}

// Hosts fall silent one by one and come back in another order; nothing is lost.
func TestSwizzle(t *testing.T) {
	bubble(t, func(t *testing.T, n *repltest.Network) {
		n.SetDelay(time.Millisecond, 0)
		const hosts, over = 8, 10 * time.Second
		var readers sync.WaitGroup
		gaps := make([]time.Duration, hosts)
		for i := range hosts {
			near, far := connect(t, n, fmt.Sprint("host", i), "hub")
			readers.Go(func() {
				last, count := time.Now(), 0
				for p := make([]byte, 1); ; count++ {
					if _, err := far.Read(p); err != nil {
						break
					}
					gaps[i] = max(gaps[i], time.Since(last))
					last = time.Now()
				}
				if count != 300 {
					t.Errorf("host %d: %d of 300 messages arrived", i, count)
				}
			})
			go func() {
				for range 300 {
					near.Write([]byte{1})
					time.Sleep(100 * time.Millisecond)
				}
				near.Close()
			}()
		}
		names := make([]string, hosts)
		for i := range names {
			names[i] = fmt.Sprint("host", i)
		}
		begin := time.Now()
		if err := n.Swizzle(t.Context(), over, names...); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took != 2*over {
			t.Errorf("Swizzle over %v took %v", over, took)
		}
		readers.Wait()
		var hit []time.Duration
		for _, gap := range gaps {
			if gap > time.Second {
				hit = append(hit, gap)
			}
		}
		slices.Sort(hit)
		if len(hit) == 0 || len(hit) == hosts || len(slices.Compact(hit)) != len(hit) {
			t.Errorf("gaps are %v: want some hosts stalled, each for its own time", gaps)
		}
	})
}

func TestSwizzleEndsWithContext(t *testing.T) {
	bubble(t, func(t *testing.T, n *repltest.Network) {
		near, far := connect(t, n, "a", "b")
		ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
		defer cancel()
		want(t, "Swizzle", n.Swizzle(ctx, time.Minute), context.DeadlineExceeded)
		write(t, near, "all clear")
		expect(t, far, "all clear")
	})
}

func TestRecord(t *testing.T) {
	bubble(t, func(t *testing.T, n *repltest.Network) {
		unheard, _ := connect(t, n, "a", "b")
		n.Record(20)
		n.All().SetChop(1)
		n.All().Flip(1)
		near, far := connect(t, n, "a", "b")
		write(t, unheard, "before")
		write(t, near, "question")
		write(t, far, "answer")
		_, c := connect(t, n, "c", "b")
		write(t, c, "0123456789")
		got := n.Recordings()
		if len(got) != 2 {
			t.Fatalf("%d recordings", len(got))
		}
		if r := got[0]; r.Dialer != "a" || r.Listener != "b" || r.Addr != "b" || r.Truncated ||
			string(r.Sent) != "question" || string(r.Received) != "answer" {
			t.Errorf("first recording: %+v", r)
		}
		if r := got[1]; r.Dialer != "c" || !r.Truncated || len(r.Sent) != 0 || string(r.Received) != "012345" {
			t.Errorf("second recording: %+v", r)
		}
		n.Record(0)
		write(t, near, "off the record")
		if got := n.Recordings(); len(got) != 0 {
			t.Errorf("%d recordings after they were ended", len(got))
		}
	})
}

func TestStats(t *testing.T) {
	bubble(t, func(t *testing.T, n *repltest.Network) {
		near, far := connect(t, n, "a", "b")
		write(t, near, "12345")
		write(t, far, "123")
		expect(t, far, "12345")
		n.Link("a", "b").Refuse()
		n.Host("a").Dial(t.Context(), "b")
		for _, test := range []struct {
			what string
			link *repltest.Link
			want repltest.Stats
		}{
			{"both ways", n.Link("b", "a"), repltest.Stats{Dials: 2, Failed: 1, Open: 1, Bytes: 8}},
			{"there", n.Link("a", "b").OneWay(), repltest.Stats{Dials: 2, Failed: 1, Open: 1, Bytes: 5}},
			{"back", n.Link("b", "a").OneWay(), repltest.Stats{Bytes: 3}},
			{"elsewhere", n.Link("a", "c"), repltest.Stats{}},
		} {
			if got := test.link.Stats(); got != test.want {
				t.Errorf("%s: %+v, want %+v", test.what, got, test.want)
			}
		}
		near.Close()
		if open := n.Stats().Open; open != 1 {
			t.Errorf("one end is closed, %d connections are open", open)
		}
		far.Close()
		if open := n.Stats().Open; open != 0 || len(n.All().Conns()) != 0 {
			t.Errorf("both ends are closed, %d connections are open", open)
		}
	})
}

// Close ends everything that waits, whatever holds it up.
func TestCloseEndsEverything(t *testing.T) {
	bubble(t, func(t *testing.T, n *repltest.Network) {
		near, far := connect(t, n, "a", "b")
		l, err := n.Host("b").Listen("b")
		if err != nil {
			t.Fatal(err)
		}
		n.Link("a", "b").Hang()
		n.SetDelay(time.Hour, 0)
		var all sync.WaitGroup
		all.Go(func() {
			_, err := near.Read(make([]byte, 1))
			want(t, "Read", err, syscall.ECONNRESET)
		})
		all.Go(func() {
			_, err := far.Write(make([]byte, 1<<20))
			want(t, "Write", err, syscall.ECONNRESET)
		})
		all.Go(func() {
			_, err := l.Accept()
			want(t, "Accept", err, net.ErrClosed)
		})
		all.Go(func() {
			_, err := n.Host("a").Dial(t.Context(), "b")
			want(t, "Dial that hangs", err, net.ErrClosed)
		})
		synctest.Wait()
		for range 2 {
			if err := n.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		}
		all.Wait()
		_, err = n.Host("a").Dial(t.Context(), "b")
		want(t, "Dial", err, net.ErrClosed)
		_, err = n.Host("c").Listen("c")
		want(t, "Listen", err, net.ErrClosed)
	})
}

func TestWrongArgumentsPanic(t *testing.T) {
	n := repltest.NewNetwork(1)
	l := n.Link("a", "b")
	for name, f := range map[string]func(){
		"delay":       func() { l.SetDelay(-1, 0) },
		"jitter":      func() { l.SetDelay(0, -1) },
		"bandwidth":   func() { l.SetBandwidth(-1) },
		"window":      func() { l.SetWindow(0) },
		"chop":        func() { l.SetChop(-1) },
		"cut":         func() { l.CutNext(-1) },
		"flip":        func() { l.FlipNext(-1, 1) },
		"probability": func() { l.Flip(1.5) },
		"swizzle":     func() { n.Swizzle(t.Context(), 0) },
		"one way":     func() { n.All().OneWay() },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			f()
		})
	}
}

func BenchmarkLink(b *testing.B) {
	n := repltest.NewNetwork(1)
	defer n.Close()
	l, err := n.Host("b").Listen("b")
	if err != nil {
		b.Fatal(err)
	}
	var server sync.WaitGroup
	server.Go(func() {
		if c, err := l.Accept(); err == nil {
			io.Copy(io.Discard, c)
			c.Close()
		}
	})
	c, err := n.Host("a").Dial(b.Context(), "b")
	if err != nil {
		b.Fatal(err)
	}
	p := make([]byte, 4096)
	b.ReportAllocs()
	b.SetBytes(int64(len(p)))
	for b.Loop() {
		if _, err := c.Write(p); err != nil {
			b.Fatal(err)
		}
	}
	c.Close()
	server.Wait()
}
