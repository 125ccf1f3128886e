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

// TestAck: a writer waits while too few replicas are near enough, goes on
// as soon as they are, and is told when they are not in time. The value stands.
func TestAck(t *testing.T) {
	for replicas := range 4 {
		for need := 1; need <= 3; need++ {
			synctest.Test(t, func(t *testing.T) {
				net, a := repltest.NewNetwork(1), newLedger(nil)
				net.SetDelay(10*time.Millisecond, 0)
				var o repl.Options
				o.Ack, o.AckTimeout = need, 500*time.Millisecond
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
		o.Ack, o.MaxUnacked, o.AckTimeout = 1, 1000, time.Minute
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
		o.Ack, o.AckTimeout = 1, time.Hour
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

// TestNotAckedSaysWhere the write is: in the history that it was written in, also when the
// log has begun another one meanwhile, in which that offset is nothing.
func TestNotAckedSaysWhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, a := repl.NewMemory(), newLedger(nil)
		var o repl.Options
		o.Ack = 1
		master(t, a, net, "a", &o)
		history := a.Log().Position().History
		time.AfterFunc(repl.DefaultAckTimeout/2, func() {
			if err := a.Log().Restart(); err != nil {
				t.Error(err)
			}
		})
		end, err := a.put("k", "v")
		var late *repl.NotAckedError
		if !errors.As(err, &late) || late.Position != (backlog.Position{History: history, Offset: end}) {
			t.Errorf("%v, want %d in %s", err, end, history)
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
		n := newMember(t, net.Host("n"), "n", "a", func(o *repl.Options) { o.Ack = 1 })
		f := newMember(t, net.Host("f"), "f", "n")
		fill(t, a.ledger, "a", 200)
		fill(t, x.ledger, "x", 5)
		level(t, a, n, f)
		acked := func() bool {
			s := n.node.Status().Followers
			return len(s) == 1 && s[0].Applied == n.Log().End()
		}
		eventually(t, acked, func() string { return fmt.Sprintf("%+v", n.node.Status().Followers) })
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

// TestAckOfAnotherTime: a write that was let in, and comes to wait for its acks when the node is the
// master no more, or anew, is not acked by that: it waited for its disk, or for a processor.
func TestAckOfAnotherTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repltest.NewNetwork(1)
		net.SetDelay(time.Millisecond, 0)
		a := newMember(t, net.Host("a"), "a", "", func(o *repl.Options) { o.Ack = 1 })
		b := newMember(t, net.Host("b"), "b", "a")
		below := newMember(t, net.Host("c"), "c", "a")
		acked, err := a.put("k", "v")
		if err != nil {
			t.Fatal(err)
		}
		level(t, a, b, below)
		m, err := a.node.Master()
		if err != nil {
			t.Fatal(err)
		}
		if n, err := m.Wait(t.Context(), a.Log().Position(), 2); n != 2 {
			t.Fatal(n, err)
		}
		net.Link("a", "b").Cut()
		net.Link("a", "b").Refuse()
		net.Link("a", "c").Stall()
		end, err := a.append("late", "v")
		if err != nil {
			t.Fatal(err)
		}
		settle := a.Log().Settler()
		b.promote(t)
		a.follow(t, "b")
		if err := settle(end); !errors.Is(err, repl.ErrNotAcked) {
			t.Errorf("after the node was demoted: %v", err)
		}
		if err := a.Log().Settler()(end); !errors.Is(err, repl.ErrNotAcked) || !errors.Is(err, repl.ErrRoleChanged) {
			t.Errorf("after the node was demoted, by the log: %v", err)
		} else if !strings.HasSuffix(err.Error(), ", and now the node has another role") {
			t.Errorf("it does not say why: %v", err)
		}
		if err := settle(acked); err != nil {
			t.Errorf("a write that was acked before: %v", err)
		}
		fill(t, b.ledger, "other", 20) // of another history, and longer
		net.HealAll()
		level(t, b, a, below)
		eventually(t, func() bool {
			s := a.node.Status().Followers
			return len(s) == 1 && s[0].Applied > end
		}, func() string { return fmt.Sprintf("%+v", a.node.Status().Followers) })
		if err := settle(end); !errors.Is(err, repl.ErrNotAcked) {
			t.Errorf("when its followers have as much of another history: %v", err)
		}
		b.node.Close()
		a.promote(t)
		if err := settle(end); !errors.Is(err, repl.ErrNotAcked) {
			t.Errorf("when the node is the master anew: %v", err)
		}
		if err := settle(acked); err != nil {
			t.Errorf("a write that was acked in its time: %v", err)
		}
		if _, err := a.put("own", "v"); err != nil {
			t.Errorf("a write of then: %v", err)
		}
	})
}

// TestWritersAreAckedTogether: how many there are does not change what a write waits for.
func TestWritersAreAckedTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const writers, writes = 64, 20
		net, a := repltest.NewNetwork(1), newLedger(nil)
		net.SetDelay(10*time.Millisecond, 0)
		var o repl.Options
		o.Ack = 2
		m := master(t, a, net.Host("a"), "a", &o)
		synced(t, m, a, replica(t, newLedger(nil), net.Host("b"), "a", nil), replica(t, newLedger(nil), net.Host("c"), "a", nil))
		begun := time.Now()
		done := make(chan error, writers)
		for w := range writers {
			go func() {
				for i := range writes {
					if _, err := a.put(fmt.Sprint(w), fmt.Sprint(i)); err != nil {
						done <- err
						return
					}
				}
				done <- nil
			}()
		}
		for range writers {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		// A write that just misses a run of the log goes with the next.
		if took := time.Since(begun); took < writes*20*time.Millisecond || took > 2*writes*20*time.Millisecond {
			t.Errorf("%d writes of each of %d writers took %v, a round trip is 20ms", writes, writers, took)
		}
	})
}

// TestWritersGiveUp one by one, each after its own time, and those that are acked
// meanwhile do not.
func TestWritersGiveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repltest.NewNetwork(1)
		var o repl.Options
		o.Ack, o.AckTimeout = 1, time.Second
		_, _, a, _ := pair(t, net, &o, nil, 0)
		net.Link("a", "b").Stall()
		type end struct {
			err  error
			took time.Duration
		}
		ends := make(chan end, 20)
		for i := range 20 {
			go func() {
				begun := time.Now()
				_, err := a.put(fmt.Sprint("k", i), "v")
				ends <- end{err, time.Since(begun)}
			}()
			time.Sleep(100 * time.Millisecond)
			if i == 14 {
				net.HealAll()
			}
		}
		late := 0
		for range 20 {
			e := <-ends
			if errors.Is(e.err, repl.ErrNotAcked) {
				late++
			}
			if e.err != nil != (e.took == time.Second) {
				t.Errorf("%v after %v", e.err, e.took)
			}
		}
		if late != 5 && late != 6 {
			t.Errorf("%d writers gave up, want those of the first half second", late)
		}
	})
}

// TestWaitWhileReplicasComeAndGo: the same node by a newer link is not one more, one that
// was removed is one less, and one that is added again counts when it has applied.
func TestWaitWhileReplicasComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, a := repltest.NewNetwork(1), newLedger(nil)
		net.SetDelay(time.Millisecond, 0)
		fill(t, a, "k", 10)
		m := master(t, a, net.Host("a"), "a", nil)
		stays, goes := newLedger(nil), newLedger(nil)
		r1 := replica(t, stays, net.Host("b"), "a", &repl.Options{ID: repl.NodeID{1}})
		r2 := replica(t, goes, net.Host("c"), "a", &repl.Options{ID: repl.NodeID{2}})
		synced(t, m, a, r1, r2)
		r2.Close()
		fill(t, a, "later", 10)
		pos := a.Log().Position()
		got := make(chan int, 1)
		go func() {
			n, err := m.Wait(t.Context(), pos, 2)
			if err != nil {
				t.Error(err)
			}
			got <- n
		}()
		for range 5 {
			net.Link("a", "b").Cut()
			time.Sleep(2 * time.Second)
		}
		if n, _ := m.Wait(t.Context(), pos, 1); n != 1 || len(got) != 0 {
			t.Fatalf("%d have it; the one Wait for 2 has returned: %v", n, len(got) != 0)
		}
		stuck(goes, errors.New("full"))
		replica(t, goes, net.Host("c"), "a", &repl.Options{ID: repl.NodeID{2}})
		time.Sleep(5 * time.Second)
		if len(got) != 0 {
			t.Error("a node that was added again counts before it has applied")
		}
		stuck(goes, nil)
		if n := <-got; n != 2 {
			t.Errorf("%d have it", n)
		}
	})
}

// TestNothingCountsOnceFenced: the ack that would satisfy a Wait, or a writer that waits for
// it, brings the news of another master. What that one's group has of the write nobody knows,
// so neither hears that it is safe. And a Wait after that is told by name.
func TestNothingCountsOnceFenced(t *testing.T) {
	higher := backlog.Epoch{Counter: 9, Node: [16]byte{9}}
	for range 20 { // as often as not, chance would hide it
		synctest.Test(t, func(t *testing.T) {
			net, a := repl.NewMemory(), newLedger(nil)
			fill(t, a, "k", 10)
			o := &repl.Options{Safety: repl.Safety{Ack: 1, AckTimeout: 5 * time.Second}}
			m := master(t, a, net, "a", o)
			p := follow(t, net, "a", someone(9).at(a))
			p.await(msgContinue)
			type end struct {
				n   int
				err error
			}
			waited, written := make(chan end, 1), make(chan error, 1)
			go func() {
				_, err := a.put("late", "v")
				written <- err
			}()
			synctest.Wait()
			pos := a.Log().Position()
			go func() {
				n, err := m.Wait(t.Context(), pos, 1)
				waited <- end{n, err}
			}()
			go p.drain()
			synctest.Wait()
			p.send(msgAck, append(ackBody(0, pos.Offset, pos.Offset, 0)[:33], epochBytes(higher)...))
			fenced := new(repl.FencedError)
			if e := <-waited; !errors.Is(e.err, repl.ErrRoleChanged) || !errors.As(e.err, &fenced) || fenced.Epoch != higher {
				t.Fatalf("Wait: %d, %v; want ErrRoleChanged with a FencedError", e.n, e.err)
			}
			if err := <-written; !errors.Is(err, repl.ErrNotAcked) {
				t.Fatalf("a write that waited for the ack: %v, want ErrNotAcked", err)
			}
			for range 2 {
				if n, err := m.Wait(t.Context(), pos, 0); n != 0 || !errors.Is(err, repl.ErrRoleChanged) || !errors.Is(err, repl.ErrFenced) {
					t.Fatalf("a later Wait: %d, %v", n, err)
				}
				synctest.Wait()
			}
		})
	}
}

// TestNothingCountsWithoutALease: when it has run out another master may have been made, so what
// is acked from then on counts for nothing, until the lease is renewed.
func TestNothingCountsWithoutALease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repl.NewMemory()
		a := newMember(t, net, "a", "", fenced, func(o *repl.Options) { o.Ack, o.AckTimeout = 1, 2*time.Second })
		c := control(t, net, "a", 1)
		m, err := a.node.Master()
		if err != nil {
			t.Fatal(err)
		}
		if n, err := m.Wait(t.Context(), backlog.Position{}, 0); n != 0 || !errors.Is(err, repl.ErrNoLease) {
			t.Errorf("Wait before the first lease: %d, %v", n, err)
		}
		renew(t, c, time.Second, 1)
		p := follow(t, net, "a", someone(9).at(a.ledger))
		p.await(msgContinue)
		written := make(chan error, 1)
		go func() { _, err := a.put("k", "v"); written <- err }()
		synctest.Wait()
		go p.drain()
		pos := a.Log().Position()
		time.Sleep(1100 * time.Millisecond)
		p.send(msgAck, ackBody(1, pos.Offset, pos.Offset, 0))
		if n, err := m.Wait(t.Context(), pos, 1); !errors.Is(err, repl.ErrNoLease) {
			t.Errorf("Wait without a lease: %d, %v", n, err)
		}
		if err := <-written; !errors.Is(err, repl.ErrNotAcked) {
			t.Errorf("a write that was acked when the lease had run out: %v, want ErrNotAcked", err)
		}
		renew(t, c, 10*time.Second, 1)
		if n, err := m.Wait(t.Context(), pos, 1); n != 1 || err != nil {
			t.Errorf("Wait with the lease renewed: %d, %v", n, err)
		}
		p.send(msgAck, ackBody(2, pos.Offset, pos.Offset, 0))
		if _, err := a.put("k", "w"); !errors.Is(err, repl.ErrNotAcked) {
			t.Errorf("a write that nobody has: %v", err)
		}
	})
}
