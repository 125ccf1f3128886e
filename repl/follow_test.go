package repl_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/repl"
	"github.com/emberkv/ember/repl/repltest"
)

// TestFollowOneWhoIsBehind: a node is pointed at a replica that has not come as far
// as itself. It keeps what it has more, until the other has that, too.
func TestFollowOneWhoIsBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repltest.NewNetwork(3)
		a, b, c := newMember(t, net.Host("a"), "a", ""), newMember(t, net.Host("b"), "b", "a"), newMember(t, net.Host("c"), "c", "a")
		fill(t, a.ledger, "k", 10)
		level(t, a, b, c)
		net.Link("a", "b").Cut()
		net.Link("a", "b").Refuse()
		fill(t, a.ledger, "more", 10)
		level(t, a, c)
		c.follow(t, "b")
		time.Sleep(time.Minute)
		if !c.diary.saw(repl.ErrBehind) || c.Len() != 20 || b.Len() != 10 {
			t.Errorf("c has %d keys, b %d; the last link ended: %v", c.Len(), b.Len(), c.diary.last())
		}
		net.HealAll()
		level(t, a, b, c)
		fill(t, a.ledger, "on", 10)
		level(t, a, b, c)
		if fulls, _ := c.diary.count(); fulls != 1 {
			t.Errorf("%d full copies", fulls)
		}
	})
}

// TestFollowForeign: another master's data are copied only when the same call says
// so, and that counts for one copy.
func TestFollowForeign(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repl.NewMemory()
		a, b, x := newMember(t, net, "a", ""), newMember(t, net, "b", "a"), newMember(t, net, "x", "")
		fill(t, a.ledger, "a", 20)
		fill(t, x.ledger, "x", 30)
		level(t, a, b)
		b.follow(t, "x")
		eventually(t, func() bool { return b.diary.saw(repl.ErrForeign) }, func() string { return "not refused" })
		same(t, a.ledger, b.ledger)
		b.follow(t, "x", repl.AllowForeign)
		level(t, x, b)

		y := newMember(t, net, "y", "")
		x.node.Close()
		b.follow(t, "y")
		eventually(t, func() bool { return b.diary.saw(repl.ErrEmptyMaster) }, func() string { return "not refused" })
		same(t, x.ledger, b.ledger)
		b.follow(t, "y", repl.AllowForeign) // says nothing of an empty one
		time.Sleep(time.Minute)
		same(t, x.ledger, b.ledger)
		b.follow(t, "y", repl.AllowEmpty)
		level(t, y, b)

		// A master that has changed places with another's follower is foreign, too.
		fill(t, y.ledger, "y", 5)
		level(t, y, b)
		y.follow(t, "a")
		eventually(t, func() bool { return y.diary.saw(repl.ErrForeign) }, func() string { return "not refused" })
		y.follow(t, "a", repl.AllowForeign)
		level(t, a, y)
		b.follow(t, "y", repl.AllowForeign) // its own follower was not asked
		level(t, a, b)
	})
}

// TestFollowInMidCopy: a replica is pointed elsewhere while it takes a full copy;
// in the same history the copy goes on where it was.
func TestFollowInMidCopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repl.NewMemory()
		a, b := newMember(t, net, "a", ""), newMember(t, net, "b", "a")
		fill(t, a.ledger, "k", 400)
		level(t, a, b)
		slowly(a.ledger, 10*time.Millisecond)
		c := newMember(t, net, "c", "a")
		time.Sleep(35 * time.Millisecond)
		if s := c.node.Status().Upstream; s.State != repl.LinkCopying || s.Progress.Shards == 0 {
			t.Fatalf("before: %+v", s)
		}
		c.follow(t, "b")
		level(t, a, c)
		if b.dumped == 0 || b.dumped >= ledgerShards {
			t.Errorf("the new upstream dumped %d shards of %d", b.dumped, ledgerShards)
		}
		fill(t, a.ledger, "more", 10)
		level(t, a, c)
	})
}

func TestFollowNobody(t *testing.T) {
	m, err := repl.NewMaster(newLedger(nil), seeded(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if _, err := m.Demote(""); !errors.Is(err, repl.ErrOption) {
		t.Errorf("Demote to an empty address: %v", err)
	}
	if m.Node().Role() != repl.RoleMaster {
		t.Error("a failed Demote has changed the role")
	}
	if _, err := repl.NewReplica(newLedger(nil), "", nil); !errors.Is(err, repl.ErrOption) {
		t.Errorf("NewReplica of an empty address: %v", err)
	}
}

// TestEachCountsWhatItHasLost: of one tail every node that has it counts as much as it has, so that the most of
// them is what the group has lost; and a node that goes over to another group counts all that it had.
func TestEachCountsWhatItHasLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repltest.NewNetwork(5)
		a, b, c := newMember(t, net.Host("a"), "a", ""), newMember(t, net.Host("b"), "b", "a"), newMember(t, net.Host("c"), "c", "a")
		fill(t, a.ledger, "k", 10)
		level(t, a, b, c)
		fork := a.Log().End()
		for _, host := range []string{"b", "c"} { // one after the other
			net.Link("a", host).Cut()
			net.Link("a", host).Refuse()
			fill(t, a.ledger, "without "+host, 7)
			time.Sleep(10 * time.Millisecond)
		}
		all, some := a.Log().End()-fork, c.Log().End()-fork
		b.promote(t)
		net.HealAll()
		a.follow(t, "b")
		c.follow(t, "b")
		level(t, b, a, c)
		count := func(m *member, tails, bytes int64) {
			t.Helper()
			if n := m.node.Status().Counters; n.LostTails != tails || n.LostBytes != bytes {
				t.Errorf("%s has lost %d tails, %d bytes, want %d, %d", m.node.Name(), n.LostTails, n.LostBytes, tails, bytes)
			}
		}
		if some == 0 || some >= all {
			t.Fatalf("a has a tail of %d bytes, c of %d", all, some)
		}
		count(a, 1, all)
		count(b, 0, 0)
		count(c, 1, some)

		x, end := newMember(t, net.Host("x"), "x", ""), c.Log().End()
		fill(t, x.ledger, "x", 3)
		c.follow(t, "x", repl.AllowForeign)
		level(t, x, c)
		count(c, 2, some+end)
	})
}

// TestLostTailIsCounted: an old master that has written on by itself comes back as a
// follower. What it loses is counted and told, and nobody else has lost anything.
func TestLostTailIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repltest.NewNetwork(4)
		a, b, c := newMember(t, net.Host("a"), "a", ""), newMember(t, net.Host("b"), "b", "a"), newMember(t, net.Host("c"), "c", "b")
		fill(t, a.ledger, "k", 10)
		level(t, a, b, c)
		net.Around("a").Cut()
		net.Around("a").Refuse()
		fork := a.Log().End()
		fill(t, a.ledger, "alone", 7)
		end := a.Log().End()
		b.promote(t)
		fill(t, b.ledger, "without", 3)
		net.HealAll()
		a.follow(t, "b")
		level(t, b, a, c)
		if n := a.node.Status().Counters; n.LostTails != 1 || n.LostBytes != end-fork {
			t.Errorf("lost %d tails of %d bytes, want one of %d", n.LostTails, n.LostBytes, end-fork)
		}
		for _, m := range []*member{b, c} {
			if n := m.node.Status().Counters; n.LostTails != 0 || n.LostBytes != 0 {
				t.Errorf("%s has lost %d tails", m.node.Name(), n.LostTails)
			}
		}
		if s := a.diary.synced; len(s) == 0 || s[len(s)-1].Lost != end-fork {
			t.Errorf("told of %+v", s)
		}
	})
}

// TestFollowOneThatHasNotHeardOfThePromotion: a replica goes to one that is cut off, and
// so has not come to the history that began meanwhile. It keeps what it has more, and
// goes on when that one has caught up.
func TestFollowOneThatHasNotHeardOfThePromotion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repltest.NewNetwork(1)
		net.SetDelay(time.Millisecond, 0)
		a := newMember(t, net.Host("a"), "a", "")
		b, c, d := newMember(t, net.Host("b"), "b", "a"), newMember(t, net.Host("c"), "c", "a"), newMember(t, net.Host("d"), "d", "a")
		fill(t, a.ledger, "k", 10)
		level(t, a, b, c, d)
		net.Link("a", "d").Cut()
		net.Link("a", "d").Refuse()
		fill(t, a.ledger, "more", 10)
		level(t, a, b, c)
		b.promote(t)
		c.follow(t, "b")
		fill(t, b.ledger, "acked", 10)
		level(t, b, c)

		c.follow(t, "d")
		time.Sleep(5 * time.Second)
		if !c.diary.saw(repl.ErrBehind) || c.Len() != 30 {
			t.Errorf("c has %d keys, want 30; its link: %v", c.Len(), c.diary.last())
		}
		d.follow(t, "b")
		level(t, b, d)
		fill(t, b.ledger, "on", 10)
		level(t, b, c)
		if fulls, _ := c.diary.count(); fulls != 1 || c.node.Status().Upstream.Addr != "d" {
			t.Errorf("c took %d full copies, and follows %s", fulls, c.node.Status().Upstream.Addr)
		}
	})
}

// TestLeaveAPromotionBehind: whoever goes back to the side of the old master, to a
// replica that has all there is, brings the news of the promotion there. It keeps what it
// has until the old master was promoted above that; only then it gives up what the other
// side has written.
func TestLeaveAPromotionBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repl.NewMemory()
		a, b := newMember(t, net, "a", ""), newMember(t, net, "b", "a")
		c, d := newMember(t, net, "c", "a"), newMember(t, net, "d", "a")
		fill(t, a.ledger, "k", 10)
		level(t, a, b, c, d)
		b.promote(t)
		c.follow(t, "b")
		fill(t, b.ledger, "mistaken", 10)
		level(t, b, c)
		c.follow(t, "d")
		time.Sleep(10 * time.Second)
		if !c.diary.saw(repl.ErrLowerEpoch) || c.Len() != 20 || a.node.Role() != repl.RoleReplica {
			t.Errorf("before: c has %d keys, a is %s; the link: %v", c.Len(), a.node.Role(), c.diary.last())
		}
		a.promote(t)
		level(t, a, d, c)
		if n := c.node.Status().Counters.LostTails; c.Len() != 10 || n != 1 {
			t.Errorf("c has %d keys, lost %d tails; want 10 and one", c.Len(), n)
		}
	})
}
