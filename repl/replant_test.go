package repl_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/repl"
	"github.com/emberkv/ember/repl/repltest"
)

// TestOldUpstreamUntilTheSwap: a replica that takes a copy from another master has its old
// place still: its own follower stays connected, and back at the old master it goes on
// from where it stood.
func TestOldUpstreamUntilTheSwap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := ledgers(t, []repltest.Seat{{Name: "a"}, {Name: "other"}, {Name: "b", Upstream: "a"}, {Name: "c", Upstream: "b"}}, 1)
		a, other, b, c := g.Member("a"), g.Member("other"), g.Member("b"), g.Member("c")
		fill(t, a.Machine(), "k", 50)
		fill(t, other.Machine(), "foreign", 200)
		caughtUp := func() {
			eventually(t, func() bool {
				at := a.Machine().Log().Position()
				return b.Machine().Log().Position() == at && c.Machine().Log().Position() == at
			}, g.String)
			same(t, a.Machine(), b.Machine())
			same(t, a.Machine(), c.Machine())
		}
		caughtUp()
		links := c.Node().Status().Upstream.Attempts
		slowly(other.Machine(), time.Second)
		b.Follow("other", repl.AllowForeign)
		time.Sleep(3500 * time.Millisecond)
		if s := b.Node().Status().Upstream; s.State != repl.LinkCopying || s.Progress.Keys == 0 {
			t.Fatalf("not in the midst of a copy\n%s", g)
		}
		same(t, b.Machine(), c.Machine())
		if s := c.Node().Status().Upstream; s.State != repl.LinkStreaming || s.Attempts != links {
			t.Errorf("the follower of one that is being copied to has lost its link\n%s", g)
		}
		b.Follow("a")
		fill(t, a.Machine(), "back", 10)
		caughtUp()
		if n := a.Node().Status().Counters; n.FullSyncs != 1 || n.PartialSyncs != 1 {
			t.Errorf("%d full copies and %d partial resyncs from the old master, want 1 and 1", n.FullSyncs, n.PartialSyncs)
		}
		if now := c.Node().Status().Upstream.Attempts; now != links {
			t.Errorf("the follower below has connected %d times again", now-links)
		}
	})
}

// TestHeartbeatsMoveNoOffset: what is said on an idle link is no part of the log. A node
// that has heard less of it when roles change stands where the others stand.
func TestHeartbeatsMoveNoOffset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := ledgers(t, repltest.Chain("a", "b", "c"), 1)
		fill(t, g.Master().Machine(), "k", 10)
		g.WaitEqual()
		at, copies := g.Master().Machine().Log().Position(), fulls(g)
		for range 60 {
			time.Sleep(time.Minute)
			for _, m := range g.Members() {
				if pos := m.Machine().Log().Position(); pos != at {
					t.Fatalf("%s has gone from %s to %s", m.Name(), at, pos)
				}
			}
		}
		g.Network.Host("b").Stall() // it misses some
		time.Sleep(2 * time.Second)
		g.Network.Host("b").Resume()
		g.Member("b").Promote()
		g.Member("a").Follow("b")
		g.WaitEqual()
		fill(t, g.Master().Machine(), "after", 10)
		g.WaitEqual()
		if n := fulls(g); n != copies {
			t.Errorf("%d full copies for a change of places", n-copies)
		}
	})
}

// TestWaitWhileNodesComeAndGo: whoever waits for two counts nodes and not links: the same
// one that comes again is one, another one the second.
func TestWaitWhileNodesComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := ledgers(t, repltest.Star("a", "b", "c"), 1)
		g.WaitEqual()
		g.Member("b").Kill()
		g.Member("c").Kill()
		a := g.Member("a")
		fill(t, a.Machine(), "k", 10)
		m, err := a.Node().Master()
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		done := make(chan int, 1)
		go func() {
			n, _ := m.Wait(ctx, a.Machine().Log().Position(), 2)
			done <- n
		}()
		g.Member("b").Restart("a")
		for range 20 {
			time.Sleep(time.Second)
			g.Network.Link("a", "b").Cut()
		}
		g.Network.Link("a", "b").HalfOpen() // the next link comes while the old one seems to live
		time.Sleep(10 * time.Second)
		select {
		case n := <-done:
			t.Errorf("%d nodes, and there is one", n)
		default:
		}
		begun := time.Now()
		g.Member("c").Restart("a")
		if n := <-done; n != 2 || time.Since(begun) > time.Minute {
			t.Errorf("%d nodes after %v", n, time.Since(begun))
		}
	})
}
