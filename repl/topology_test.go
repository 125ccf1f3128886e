package repl_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/repl"
	"github.com/emberkv/ember/repl/repltest"
)

// ledgers makes a group of them. Those that meet again compare all they have.
func ledgers(t testing.TB, seats []repltest.Seat, seed uint64) *repltest.Group[*ledger] {
	t.Helper()
	return repltest.New(t, repltest.Topology[*ledger]{
		Seats:   seats,
		Machine: func(string) *ledger { return newLedger(&backlog.Options{MaxBytes: 256 << 10}) },
		State:   func(l *ledger) any { return sum(l.state()) },
	}, seed)
}

// fulls returns how many full copies the members have taken since they were started.
func fulls(g *repltest.Group[*ledger]) (n int64) {
	for _, m := range g.Members() {
		n += m.Node().Status().Counters.FullSyncs
	}
	return n
}

// TestEveryShapeOfFollowing: all ways in which three and four nodes can be pointed at each
// other, all at one moment, cycles of every size and what hangs on them included. A ring
// does not close, what leads to a master streams, and nobody loses anything.
func TestEveryShapeOfFollowing(t *testing.T) {
	for _, n := range []int{3, 4} {
		names, shapes := []string{"a", "b", "c", "d"}[:n], 1
		for range n {
			shapes *= n
		}
		for shape := 0; shape < shapes; shape += everyNth {
			var up []int // whom each follows; itself for a master
			for s := shape; len(up) < n; s /= n {
				up = append(up, s%n)
			}
			t.Run(fmt.Sprint(up), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { pointed(t, names, up) })
			})
		}
	}
}

func pointed(t *testing.T, names []string, up []int) {
	g := ledgers(t, repltest.Star(names...), 1)
	fill(t, g.Master().Machine(), "k", 10)
	g.WaitEqual()
	for i, m := range g.Members() {
		switch {
		case up[i] != i:
			m.Follow(names[up[i]])
		case m.Upstream() != "":
			m.Promote()
		}
	}
	time.Sleep(g.HealBound())
	for range 5 {
		time.Sleep(time.Second + 11*time.Nanosecond)
		for i, m := range g.Members() {
			if inRing(up, i) && !ringIsOpen(g, up, i) {
				t.Fatalf("the ring with %s streams all around\n%s", m.Name(), g)
			}
			if s := m.Node().Status().Upstream; leads(up, i) && up[i] != i && s.State != repl.LinkStreaming {
				t.Fatalf("%s leads to a master and does not stream\n%s", m.Name(), g)
			}
			if n := m.Machine().Len(); n != 10 {
				t.Fatalf("%s has %d entries\n%s", m.Name(), n, g)
			}
		}
	}
	for _, m := range g.Members()[1:] { // an operator makes an end of it
		m.Follow("a")
	}
	time.Sleep(time.Second)
	if g.Member("a").Node().Role() == repl.RoleReplica { // also when it has heard of another master, and stepped down
		g.Member("a").Promote()
	}
	fill(t, g.Member("a").Machine(), "after", 10)
	g.WaitEqual()
}

// leads reports whether following i comes to a master.
func leads(up []int, i int) bool {
	for range up {
		i = up[i]
	}
	return up[i] == i
}

// inRing reports whether following i, who is no master, comes back to i.
func inRing(up []int, i int) bool {
	at := up[i]
	for range up {
		if at == i {
			return up[i] != i
		}
		at = up[at]
	}
	return false
}

// ringIsOpen reports whether somebody in the ring of i does not stream.
func ringIsOpen(g *repltest.Group[*ledger], up []int, i int) bool {
	for at := up[i]; ; at = up[at] {
		if g.Members()[at].Node().Status().Upstream.State != repl.LinkStreaming {
			return true
		}
		if at == i {
			return false
		}
	}
}

// TestMiddleOfAChain: a node in the middle loses its link, dies, comes back, is replaced
// by its neighbour and is promoted. What is below keeps its data, and its link where its
// own upstream lives, and nobody needs a copy.
func TestMiddleOfAChain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := ledgers(t, repltest.Chain("a", "b", "c", "d"), 1)
		a, b, c := g.Member("a"), g.Member("b"), g.Member("c")
		fill(t, a.Machine(), "k", 50)
		g.WaitEqual()
		links := func() int64 { return c.Node().Status().Upstream.Attempts }
		before, copies := links(), fulls(g)
		level := func(after string) { // and then somebody may start anew, who counts anew
			t.Helper()
			g.WaitEqual()
			if n := fulls(g); n != copies {
				t.Errorf("%s: %d full copies\n%s", after, n-copies, g)
			}
		}

		g.Network.Link("a", "b").Cut()
		fill(t, a.Machine(), "cut", 10)
		level("a cut")
		if links() != before {
			t.Error("the link below one that has reconnected to the same master was broken")
		}
		b.Kill()
		fill(t, a.Machine(), "dead", 10)
		time.Sleep(30 * time.Second)
		if n := c.Machine().Len(); n != 60 {
			t.Errorf("below a dead node: %d entries", n)
		}
		b.Restart("a")
		copies = fulls(g)
		level("b is back")
		b.PowerOff()
		c.Follow("a")
		fill(t, a.Machine(), "around", 10)
		level("around b")
		b.Restart("c")
		copies = fulls(g)
		level("b is back, elsewhere")
		c.Promote() // of a -> c -> b, d
		fill(t, c.Machine(), "promoted", 10)
		a.Follow("b")
		level("another master")
	})
}

// TestFiveNodesReshuffled: five nodes get another tree and another master in every round,
// then links are cut under writes. All is exactly equal in the end, offsets included, and
// only the first attachments were full copies.
func TestFiveNodesReshuffled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		names := []string{"a", "b", "c", "d", "e"}
		g := ledgers(t, repltest.Star(names...), 1)
		fill(t, g.Master().Machine(), "k", 50)
		g.WaitEqual()
		rng := rand.New(rand.NewPCG(1, 7))
		for round := range 20 {
			order := rng.Perm(len(names))
			top := g.Members()[order[0]]
			if top.Upstream() != "" {
				top.Promote()
			}
			for i, n := range order[1:] {
				g.Members()[n].Follow(names[order[rng.IntN(i+1)]])
			}
			for i := range 40 {
				fill(t, top.Machine(), fmt.Sprint(round, "-", i, "-"), 1)
				time.Sleep(time.Duration(rng.IntN(20)) * time.Millisecond)
				if i%10 == 9 {
					x := rng.Perm(len(names))
					g.Network.Link(names[x[0]], names[x[1]]).Cut()
				}
			}
			g.WaitEqual() // else a promotion may leave somebody ahead of the fork
		}
		if n := fulls(g); n != 4 {
			t.Errorf("%d full copies, want one for each attachment at the beginning", n)
		}
	})
}

// TestFlapping: two nodes take the role of master from each other every second for an hour,
// with a third below one of them. What they have heard of each other's histories, and
// their logs, stay bounded, and nobody needs a copy.
func TestFlapping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := ledgers(t, repltest.Star("a", "b", "c"), 1)
		g.WaitEqual()
		copies, members := fulls(g), g.Members()
		for second := range 3600 / everyNth {
			was, is := members[second%2], members[1-second%2]
			fill(t, was.Machine(), fmt.Sprint("k", second%50), 3)
			time.Sleep(time.Second)
			if was.Machine().Log().Position() != is.Machine().Log().Position() {
				t.Fatalf("second %d\n%s", second, g)
			}
			is.Promote()
			was.Follow(is.Name())
		}
		g.WaitEqual()
		if n := fulls(g); n != copies {
			t.Errorf("%d full copies", n-copies)
		}
		for _, m := range members {
			if n := len(m.Machine().Log().Lineage().Earlier); n > backlog.MaxForks {
				t.Errorf("%s remembers %d histories", m.Name(), n)
			}
			if held := m.Machine().Log().HeldBytes(); held > 1<<20 {
				t.Errorf("the log of %s takes %d bytes", m.Name(), held)
			}
		}
	})
}
