package repl_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/internal/heap"
	"github.com/emberkv/ember/repl"
	"github.com/emberkv/ember/repl/repltest"
)

// pair returns a master and its synced replica on a network with delay.
func pair(t testing.TB, net *repltest.Network, mo, ro *repl.Options, window int64) (m *repl.Master, r *repl.Replica, a, b *ledger) {
	t.Helper()
	net.SetDelay(time.Millisecond, 0)
	a, b = newLedger(&backlog.Options{MaxBytes: window}), newLedger(&backlog.Options{MaxBytes: window})
	fill(t, a, "k", 20)
	m = master(t, a, net.Host("a"), "a", mo)
	r = replica(t, b, net.Host("b"), "a", ro)
	synced(t, m, a, r)
	return m, r, a, b
}

// TestHalfOpen: the peer is gone and nobody says so. Both ends find out within
// three heartbeats, and let go of what the link held.
func TestHalfOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repltest.NewNetwork(1)
		var mo, ro repl.Options
		md, rd := keep(&mo), keep(&ro)
		m, r, a, b := pair(t, net, &mo, &ro, 0)
		net.Link("a", "b").Refuse()
		net.Link("a", "b").HalfOpen()
		time.Sleep(3*repl.DefaultHeartbeat + 50*time.Millisecond)
		synctest.Wait()
		if !errors.Is(md.last(), repl.ErrTimeout) || !rd.saw(repl.ErrTimeout) {
			t.Errorf("the master found %v, the replica %v; want ErrTimeout twice", md.last(), rd.last())
		}
		if s := m.Status(); len(s.Followers) != 0 {
			t.Errorf("the master still has %d followers", len(s.Followers))
		}
		if s := r.Status().Upstream; s.State == repl.LinkStreaming || s.Synced || s.Down == 0 {
			t.Errorf("the replica is %v, synced %v, down for %v", s.State, s.Synced, s.Down)
		}
		if open := net.All().Stats().Open; open != 0 {
			t.Errorf("%d connections are open", open)
		}
		net.HealAll()
		fill(t, a, "later", 5)
		synced(t, m, a, r)
		same(t, a, b)
	})
}

// TestDelayIsNoFailure: an hour with delays of nearly the time-out, and no link
// is lost; and a Wait takes a round trip, not more.
func TestDelayIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repltest.NewNetwork(1)
		var o repl.Options
		d := keep(&o)
		m, _, a, _ := pair(t, net, nil, &o, 0)
		for _, delay := range []time.Duration{0, 100 * time.Millisecond, time.Second, 1300 * time.Millisecond} {
			net.SetDelay(delay, 0)
			time.Sleep(2 * delay)
			for range 20 {
				time.Sleep(45 * time.Second)
				a.put("k", "v")
				begun := time.Now()
				if _, err := m.Wait(t.Context(), a.Log().Position(), 1); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(begun); took > 2*delay+time.Millisecond {
					t.Errorf("with a delay of %v a Wait took %v", delay, took)
				}
			}
		}
		if d.kinds() != "connected full synced" {
			t.Errorf("with delays: %s, %v", d.kinds(), d.last())
		}
	})
}

// TestLateAck: what an old link of the same node says after a newer one has come
// counts for nothing, and there is one link for each node.
func TestLateAck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, a := repl.NewMemory(), newLedger(nil)
		var o repl.Options
		d := keep(&o)
		m := master(t, a, net, "a", &o)
		fill(t, a, "k", 10)
		old := follow(t, net, "a", someone(9).at(a))
		old.await(msgContinue)
		fill(t, a, "later", 10)
		old.await(msgLog)
		synctest.Wait()
		newer := follow(t, net, "a", someone(9).at(a))
		newer.await(msgContinue)
		pos := a.Log().Position()
		old.send(msgAck, ackBody(1, pos.Offset, pos.Offset, 0))
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if n, err := m.Wait(ctx, pos, 1); n != 0 || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Wait: %d, %v: the old link's ack counts", n, err)
		}
		if s := m.Status().Followers; len(s) != 1 || s[0].Applied != 0 {
			t.Errorf("followers %+v", s)
		}
		if !errors.Is(d.last(), repl.ErrReplaced) {
			t.Errorf("the old link ended with %v, want ErrReplaced", d.last())
		}
		newer.send(msgAck, ackBody(1, pos.Offset, pos.Offset, 0))
		if n, err := m.Wait(t.Context(), pos, 1); n != 1 || err != nil {
			t.Errorf("Wait: %d, %v: the new link's ack does not count", n, err)
		}
	})
}

// TestOldLinkComesToLife: the same with the network holding the old link back.
func TestOldLinkComesToLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repltest.NewNetwork(1)
		m, r, a, b := pair(t, net, nil, nil, 0)
		link := net.Link("a", "b")
		old := link.Conns()[0]
		old.Stall()
		fill(t, a, "later", 10)
		time.Sleep(4 * time.Second) // until both ends have given it up
		synced(t, m, a, r)
		old.Resume()
		time.Sleep(time.Second)
		if n := len(m.Status().Followers); n != 1 {
			t.Errorf("%d followers, want 1", n)
		}
		fill(t, a, "last", 10)
		synced(t, m, a, r)
		same(t, a, b)
	})
}

// TestOneWayBlackhole: data pass, acks do not. The master must not believe in a
// follower that it does not hear.
func TestOneWayBlackhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repltest.NewNetwork(1)
		var mo repl.Options
		md := keep(&mo)
		m, r, a, b := pair(t, net, &mo, nil, 0)
		net.Link("b", "a").OneWay().Blackhole()
		fill(t, a, "later", 10)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		if n, err := m.Wait(ctx, a.Log().Position(), 1); n != 0 || err == nil {
			t.Errorf("Wait: %d, %v", n, err)
		}
		time.Sleep(2 * time.Second)
		if !errors.Is(md.last(), repl.ErrTimeout) {
			t.Errorf("%v, want ErrTimeout", md.last())
		}
		net.HealAll()
		synced(t, m, a, r)
		same(t, a, b)
	})
}

// TestSlowReader: a follower that reads 1 KiB a second beside a writer that is
// flat out costs the writer nothing and the master no memory; it is told that it
// was outrun, or timed out.
func TestSlowReader(t *testing.T) {
	heap.Try(t, func() error {
		if grown := grownBesideASlowReader(t); grown > 2<<20 {
			return fmt.Errorf("%d KiB more beside a slow reader", grown>>10)
		}
		return nil
	})
}

// grownBesideASlowReader returns by how much the heap has grown when all is written.
func grownBesideASlowReader(t *testing.T) (grown int64) {
	synctest.Test(t, func(t *testing.T) {
		net := repltest.NewNetwork(1)
		var mo repl.Options
		md := keep(&mo)
		m, _, a, _ := pair(t, net, &mo, nil, 256<<10)
		slow := newLedger(nil)
		net.Link("a", "slow").SetBandwidth(1 << 10)
		net.Link("a", "slow").SetWindow(4 << 10)
		replica(t, slow, net.Host("slow"), "a", &repl.Options{Name: "slow"})
		time.Sleep(5 * time.Second)
		before := heap.Live()
		begun := time.Now()
		value := strings.Repeat("x", 1000)
		for i := range 5000 {
			a.put(fmt.Sprint("k", i%20), value)
			if i%100 == 99 {
				// The writer is never held up: no virtual time passes but this.
				time.Sleep(10 * time.Millisecond)
			}
		}
		if took := time.Since(begun); took != 500*time.Millisecond {
			t.Errorf("the writer took %v, want the 500ms that it slept", took)
		}
		grown = heap.Live() - before
		time.Sleep(10 * time.Second)
		if !md.saw(repl.ErrTimeout) && !md.saw(backlog.ErrTrimmed) {
			t.Errorf("the slow one ended with %v", md.last())
		}
		if n, err := m.Wait(t.Context(), a.Log().Position(), 1); n != 1 || err != nil {
			t.Errorf("Wait: %d, %v: the other follower is held up", n, err)
		}
	})
	return grown
}

// A fickle is a transport whose dials fail as a test likes.
type fickle struct {
	repl.Transport
	dial atomic.Pointer[func(context.Context) error]
}

func (f *fickle) Dial(ctx context.Context, addr string) (net.Conn, error) {
	if d := f.dial.Load(); d != nil {
		if err := (*d)(ctx); err != nil {
			return nil, err
		}
	}
	return f.Transport.Dial(ctx, addr)
}

// TestDialThatHangs is given up after the time of the handshake, and by Close
// at once.
func TestDialThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem, a, b := repl.NewMemory(), newLedger(nil), newLedger(nil)
		fill(t, a, "k", 5)
		m := master(t, a, mem, "a", nil)
		f := &fickle{Transport: mem}
		hang := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		f.dial.Store(&hang)
		var o repl.Options
		d := keep(&o)
		r := replica(t, b, f, "a", &o)
		time.Sleep(repl.DefaultHandshakeTimeout)
		synctest.Wait()
		var link *repl.LinkError
		if !errors.As(d.last(), &link) || link.Op != "dial" || !errors.Is(d.last(), repl.ErrTimeout) {
			t.Errorf("%v, want dial: ErrTimeout", d.last())
		}
		f.dial.Store(nil)
		synced(t, m, a, r)
		r.Close()
		f.dial.Store(&hang)
		r = replica(t, b, f, "a", nil)
		time.Sleep(time.Second)
		begun := time.Now()
		r.Close()
		if took := time.Since(begun); took != 0 {
			t.Errorf("Close waited %v for a dial", took)
		}
	})
}

// TestReconnectDelays measures the pauses between tries in an outage: at least
// 5 ms, at most a twentieth of the outage or 25 ms, at most 5 s.
func TestReconnectDelays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := repl.NewMemory()
		f := &fickle{Transport: mem}
		begun := time.Now()
		var tries []time.Duration
		refuse := func(context.Context) error {
			tries = append(tries, time.Since(begun))
			return syscall.ECONNREFUSED
		}
		f.dial.Store(&refuse)
		r := replica(t, newLedger(nil), f, "nobody", nil)
		time.Sleep(10 * time.Minute)
		r.Close()
		longest := time.Duration(0)
		for i := 1; i < len(tries); i++ {
			pause, most := tries[i]-tries[i-1], max(25*time.Millisecond, min(tries[i-1]/20, 5*time.Second))
			if pause < 5*time.Millisecond || pause > most {
				t.Errorf("try %d after a pause of %v, %v into the outage; want 5ms to %v", i, pause, tries[i-1], most)
			}
			longest = max(longest, pause)
		}
		if len(tries) < 100 || len(tries) > 1000 || longest < 4*time.Second {
			t.Errorf("%d tries in 10 minutes, the longest pause %v", len(tries), longest)
		}
	})
}

// TestReconnectStorm: the master restarts under a hundred replicas. All are
// back soon, nobody needs a copy, and they do not come at one instant.
func TestReconnectStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repl.NewMemory()
		a := newLedger(nil)
		fill(t, a, "k", 20)
		slowly(a, 20*time.Millisecond)
		m := master(t, a, net, "a", nil)
		var replicas []*repl.Replica
		for range 100 {
			replicas = append(replicas, replica(t, newLedger(nil), net, "a", nil))
		}
		synced(t, m, a, replicas...)
		captures := a.captures()
		m.Close()
		time.Sleep(2 * time.Second)
		m = master(t, a, net, "a", nil)
		begun := time.Now()
		synced(t, m, a, replicas...)
		if took := time.Since(begun); took > 7*time.Second {
			t.Errorf("all are back after %v", took)
		}
		if again := a.captures() - captures; again != 0 {
			t.Errorf("%d shards were dumped again", again)
		}
		if captures > 20*ledgerShards {
			t.Errorf("%d captures for %d replicas", captures, len(replicas))
		}
	})
}
