package repl_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/repl"
	"github.com/emberkv/ember/repl/repltest"
)

// TestEpochOfAReopenedReplica: a replica's store that is opened again and made a master is
// promoted by that: it is not of the epoch of the master that it has followed, which may be
// writing still, so that one of the two steps down when they meet.
func TestEpochOfAReopenedReplica(t *testing.T) {
	a, dir, net := kv.New(nil), t.TempDir(), repl.NewMemory()
	defer a.Close()
	m, err := repl.NewMaster(a, seeded(t, &repl.Options{Name: "a", Transport: net}))
	if err != nil {
		t.Fatal(err)
	}
	serve(t, m, net, "a")
	defer m.Close()
	a.Set("k", []byte("v"))

	b, err := kv.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := repl.NewReplica(b, "a", seeded(t, &repl.Options{Name: "b", Transport: net}))
	if err != nil {
		t.Fatal(err)
	}
	go r.Run(t.Context())
	if err := b.Wait(t.Context(), a.Position()); err != nil {
		t.Fatal(err)
	}
	r.Close()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if b, err = kv.Open(dir, nil); err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	again, err := repl.NewMaster(b, seeded(t, &repl.Options{Name: "b"}))
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	b.Set("k", []byte("written by b"))
	if old, now := a.Log().Lineage().Epoch, b.Log().Lineage().Epoch; now.Compare(old) <= 0 || now.Node != again.Node().ID() {
		t.Errorf("b writes in %s, and so does a, in %s", now, old)
	}
}

// TestEpochOfALostGroup: a follower that hangs, of a group that its upstream has left for
// another one, goes on saying which epoch it has heard of there. That is none of the new
// group's, whose master goes on.
func TestEpochOfALostGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repl.NewMemory()
		slow := func(o *repl.Options) { o.Heartbeat = 10 * time.Second }
		a := newMember(t, net, "a", "", slow)
		fill(t, a.ledger, "k", 10)
		l := newLedger(nil)
		fill(t, l, "other", 10)
		l.Log().Raise(backlog.Epoch{Counter: 8, Node: [16]byte{8}})
		b := newMemberOf(t, net, "b", "", l, slow)
		who := someone(9).at(l)
		p := follow(t, net, "b", who)
		p.await(msgContinue)
		p.send(msgAck, append(ackBody(0, who.end, who.end, 0)[:33], epochBytes(who.heard)...))
		time.Sleep(time.Second)
		for i := range 20 { // more than what fits into a connection that nobody reads
			b.put(fmt.Sprint("big", i), strings.Repeat("x", 200<<10))
		}
		time.Sleep(time.Second)
		master, _ := b.node.Master()
		if _, err := master.Demote("a", repl.AllowForeign); err != nil {
			t.Fatal(err)
		}
		eventually(t, func() bool { return b.Len() == 10 }, func() string { return fmt.Sprint(b.diary.last()) })
		p.send(msgAck, append(ackBody(0, who.end, who.end, 0)[:33], epochBytes(who.heard)...))
		time.Sleep(20 * time.Second)
		if _, err := a.put("k", "v"); err != nil || a.node.Role() != repl.RoleMaster {
			t.Errorf("a has heard of %s from another group, and is a %s: %v", who.heard, a.node.Role(), err)
		}
	})
}

// TestStaleWhenFenced: the data of a master that steps down are of no known age: another one
// writes, nobody knows since when.
func TestStaleWhenFenced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repltest.NewNetwork(4)
		reading := repl.Reading{MaxStaleness: 5 * time.Second}
		a, b, c := chainOf(t, net, reading)
		net.Link("a", "b").Cut()
		net.Link("a", "b").Refuse()
		promote(t, b)
		set(t, b, "k", "newer")
		alike(t, b, c)
		time.Sleep(time.Hour)
		r, err := c.node.Replica()
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Follow("a"); err != nil {
			t.Fatal(err)
		}
		eventually(t, func() bool { return a.node.Role() == repl.RoleReplica }, a.stateOf)
		if err := a.reads(); !errors.Is(err, kv.ErrStale) {
			t.Errorf("a was cut off for an hour, has stepped down, and is read all the same: %s", a.stateOf())
		}
	})
}

// TestStaleAfterACopy: data that were copied are as old as they were where they come from,
// however fresh those were in whose place they came.
func TestStaleAfterACopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repltest.NewNetwork(5)
		reading := repl.Reading{MaxStaleness: 5 * time.Second}
		other := newStation(t, net, "other", "", reading)
		set(t, other, "k", "another's")
		cut := newStation(t, net, "cut", "other", reading)
		cut.becomes(t, nil)
		net.Link("other", "cut").Cut()
		net.Link("other", "cut").Refuse()
		_, b, _ := chainOf(t, net, reading)
		time.Sleep(time.Hour)
		if err := b.reads(); err != nil {
			t.Fatal(b.stateOf())
		}
		r, err := b.node.Replica()
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Follow("cut", repl.AllowForeign); err != nil {
			t.Fatal(err)
		}
		eventually(t, func() bool { u := b.node.Status().Upstream; return u.Synced && u.Fulls == 2 }, b.stateOf)
		if err := b.reads(); !errors.Is(err, kv.ErrStale) {
			t.Errorf("b serves what was cut off for an hour: %s", b.stateOf())
		}
	})
}
