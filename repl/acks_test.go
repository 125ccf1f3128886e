package repl_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/repl"
	"github.com/emberkv/ember/repl/repltest"
)

// stuck makes l's Apply fail, so that its replica receives and applies nothing.
func stuck(l *ledger, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fail = err
}

// TestWaitCountsNodesThatApplied: not those that received only, not those that
// copy, not those further down a chain, and each node once.
func TestWaitCountsNodesThatApplied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, a := repl.NewMemory(), newLedger(nil)
		fill(t, a, "k", 10)
		m := master(t, a, net, "a", nil)
		var ledgers []*ledger
		var replicas []*repl.Replica
		for i := range 3 {
			ledgers = append(ledgers, newLedger(nil))
			replicas = append(replicas, replica(t, ledgers[i], net, "a", nil))
		}
		serve(t, replicas[0], net, "below")
		replica(t, newLedger(nil), net, "below", nil)
		synced(t, m, a, replicas...)

		wait := func(n int) (int, error) {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			return m.Wait(ctx, a.Log().Position(), n)
		}
		if n, err := m.Wait(t.Context(), backlog.Position{}, 3); n != 3 || err != nil {
			t.Errorf("Wait for the zero position: %d, %v", n, err)
		}
		if n, err := wait(4); n != 3 || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Wait for 4: %d, %v; want 3 and the context's end", n, err)
		}
		stuck(ledgers[1], errors.New("full"))
		fill(t, a, "later", 10)
		if n, err := wait(2); n != 2 || err != nil {
			t.Errorf("Wait for 2 of 3: %d, %v", n, err)
		}
		if n, err := wait(3); n != 2 || err == nil {
			t.Errorf("Wait for 3, one of which fails to apply: %d, %v", n, err)
		}
		for _, n := range []int{0, -1} {
			if got, err := wait(n); got != 2 || err != nil {
				t.Errorf("Wait for %d: %d, %v", n, got, err)
			}
		}
		// The follower that was stuck is counted as soon as it has applied.
		done := make(chan error, 1)
		go func() {
			n, err := m.Wait(t.Context(), a.Log().Position(), 3)
			if n != 3 {
				err = fmt.Errorf("%d, %w", n, err)
			}
			done <- err
		}()
		time.Sleep(time.Second)
		stuck(ledgers[1], nil)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestWaitEndsEarly: with the context, with the node, and for a position that
// this history left behind.
func TestWaitEndsEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, a := repl.NewMemory(), newLedger(nil)
		fill(t, a, "k", 10)
		m := master(t, a, net, "a", nil)
		pos := a.Log().Position()
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if n, err := m.Wait(ctx, pos, 1); n != 0 || err != context.Canceled {
			t.Errorf("Wait with a context that ends: %d, %v", n, err)
		}
		if n, err := m.Wait(t.Context(), backlog.Position{History: backlog.History{1}, Offset: 1}, 1); n != 0 || !errors.Is(err, repl.ErrLost) {
			t.Errorf("Wait in another history: %d, %v; want ErrLost", n, err)
		}
		done := make(chan error, 1)
		go func() {
			_, err := m.Wait(t.Context(), pos, 1)
			done <- err
		}()
		synctest.Wait()
		m.Close()
		if err := <-done; err != repl.ErrClosed {
			t.Errorf("Wait while the node is closed: %v, want ErrClosed", err)
		}
		if _, err := m.Wait(t.Context(), pos, 1); err != repl.ErrClosed {
			t.Errorf("Wait after Close: %v, want ErrClosed", err)
		}
	})
}

// TestMaxUnacked: a writer waits while too few replicas are near enough, goes on
// as soon as they are, and is told when they are not in time. The value stands.
func TestMaxUnacked(t *testing.T) {
	for replicas := range 4 {
		for need := 1; need <= 3; need++ {
			synctest.Test(t, func(t *testing.T) {
				net, a := repltest.NewNetwork(1), newLedger(nil)
				net.SetDelay(10*time.Millisecond, 0)
				var o repl.Options
				o.MaxUnacked, o.AckReplicas, o.AckTimeout = 1, need, 500*time.Millisecond
				m := master(t, a, net.Host("a"), "a", &o)
				var rs []*repl.Replica
				for i := range replicas {
					rs = append(rs, replica(t, newLedger(nil), net.Host(fmt.Sprint("r", i)), "a", nil))
				}
				synced(t, m, a, rs...)
				begun := time.Now()
				end, err := a.put("key", "value")
				took := time.Since(begun)
				if a.state()["key"] != "value" || a.Log().End() == 0 {
					t.Error("the write does not stand")
				}
				if replicas >= need {
					if err != nil || took < 20*time.Millisecond || took > 25*time.Millisecond {
						t.Errorf("%d of %d: %v after %v, want a round trip of 20ms", replicas, need, err, took)
					}
					return
				}
				var late *repl.NotAckedError
				if !errors.As(err, &late) || !errors.Is(err, repl.ErrNotAcked) || late.Position != a.Log().Position() || end != a.Log().End() {
					t.Errorf("%d of %d: %d, %v; want a NotAckedError at %s", replicas, need, end, err, a.Log().Position())
				}
				if took != 500*time.Millisecond {
					t.Errorf("%d of %d: told after %v", replicas, need, took)
				}
			})
		}
	}
}

// TestMaxUnackedIsADistance: so many bytes may be on their way before a writer
// waits, and it goes on when the replica is back.
func TestMaxUnackedIsADistance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repltest.NewNetwork(1)
		var o repl.Options
		o.MaxUnacked, o.AckTimeout = 1000, time.Minute
		_, _, a, _ := pair(t, net, &o, nil, 0)
		net.Link("a", "b").Stall()
		begun, acked := time.Now(), a.Log().End()
		for a.Log().End() < acked+900 {
			if _, err := a.put("key", "value"); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(begun); took != 0 {
			t.Errorf("a writer within the distance waited %v", took)
		}
		time.AfterFunc(2*time.Second, net.HealAll)
		for a.Log().End() < acked+1100 {
			if _, err := a.put("key", "value"); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(begun); took < 2*time.Second || took > 3*time.Second {
			t.Errorf("a writer beyond the distance waited %v, want until the link was healed after 2s", took)
		}
	})
}

// TestCloseLetsWritersGo: one that waits for acks is told at once, and after
// Close nobody waits any more.
func TestCloseLetsWritersGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, a := repl.NewMemory(), newLedger(nil)
		var o repl.Options
		o.MaxUnacked, o.AckTimeout = 1, time.Hour
		m := master(t, a, net, "a", &o)
		begun := time.Now()
		time.AfterFunc(time.Second, func() { m.Close() })
		if _, err := a.put("k", "v"); !errors.Is(err, repl.ErrNotAcked) {
			t.Errorf("a write during Close: %v, want ErrNotAcked", err)
		}
		if _, err := a.put("k", "w"); err != nil {
			t.Errorf("a write after Close: %v", err)
		}
		if took := time.Since(begun); took != time.Second {
			t.Errorf("the writers waited %v", took)
		}
	})
}

// TestAcksOfAReplacedLog: what a follower has acked of a log that is no more says
// nothing about the one in its place, though its link is still there: it hangs, and so
// has not heard.
func TestAcksOfAReplacedLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repltest.NewNetwork(1)
		net.SetDelay(time.Millisecond, 0)
		a, x := newMember(t, net.Host("a"), "a", ""), newMember(t, net.Host("x"), "x", "")
		n := newMember(t, net.Host("n"), "n", "a", func(o *repl.Options) { o.MaxUnacked = 1 })
		f := newMember(t, net.Host("f"), "f", "n")
		fill(t, a.ledger, "a", 200)
		fill(t, x.ledger, "x", 5)
		level(t, a, n, f)
		net.Link("n", "f").Stall()
		for i := range 8 { // more than the link holds
			a.put(fmt.Sprint("big", i), strings.Repeat("v", 100<<10))
		}
		level(t, a, n)
		n.follow(t, "x", repl.AllowForeign)
		level(t, x, n)
		m := n.promote(t)
		if _, err := n.put("own", "v"); !errors.Is(err, repl.ErrNotAcked) {
			t.Errorf("a write that no replica is near: %v", err)
		}
		if s := m.Status().Followers; len(s) != 1 || s[0].Applied < n.Log().End() {
			t.Fatalf("the link of f is to hang still, with an ack of the old log: %+v", s)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if got, err := m.Wait(ctx, n.Log().Position(), 1); got != 0 || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Wait: %d have it, %v; nobody has", got, err)
		}
		net.HealAll()
		f.follow(t, "n", repl.AllowForeign)
		level(t, n, f)
		if got, err := m.Wait(t.Context(), n.Log().Position(), 1); got != 1 || err != nil {
			t.Errorf("Wait after the link came back: %d, %v", got, err)
		}
	})
}
