//go:build unix

package main

import (
	"net/http"
	"strings"
	"testing"
)

// TestSlaveofNoOne: the master is dead, and the first of a chain takes its place. It
// keeps the data, begins a history that remembers the old one, and what is behind it
// need not be touched.
func TestSlaveofNoOne(t *testing.T) {
	t.Parallel()
	a := start(t, "a")
	b := start(t, "b", "-follow", a.repl)
	c := start(t, "c", "-follow", b.repl)
	written := a.fill("k", 20)
	c.gets("k19", "k", written)
	same(t, a, b, c)

	a.kill()
	b.shows("master_link_status:down")
	promoted := b.promote()
	b.shows("role:master", "connected_slaves:1", "repl_backlog_active:1",
		"master_replid:"+historyOf(promoted), "master_replid2:"+historyOf(written))
	if historyOf(promoted) == historyOf(written) || offsetOf(promoted) != offsetOf(written) {
		t.Errorf("promoted at %s, after %s: want another history at the same offset", promoted, written)
	}
	b.has("k19", "k")
	written = b.put("new", "v")
	c.gets("new", "v", written)
	c.shows("role:slave", "master_link_status:up", "master_replid:"+historyOf(promoted))
	same(t, b, c)
	if full, _ := c.syncs(); full != 1 {
		t.Errorf("%d full copies behind the new master, want the first one only", full)
	}
	b.promote() // once more changes nothing
	b.shows("role:master", "master_replid:"+historyOf(promoted))
}

// TestStarGoesOn: one of two slaves is promoted and the other pointed at it: both were at
// the same place, and no copy is needed.
func TestStarGoesOn(t *testing.T) {
	t.Parallel()
	a := start(t, "a", patient)
	b := start(t, "b", "-follow", a.repl, patient)
	c := start(t, "c", "-follow", a.repl, patient)
	written := a.fill("k", 20)
	b.gets("k19", "k", written)
	c.gets("k19", "k", written)

	a.kill()
	b.promote()
	c.follow(b)
	c.gets("new", "v", b.put("new", "v"))
	same(t, b, c)
	if full, partial := c.syncs(); full != 1 || partial != 1 {
		t.Errorf("%d full and %d partial syncs, want 1 and 1", full, partial)
	}

	// The old master comes back at its place, a master without data. Nobody follows it,
	// and it has to be pointed at the new one by hand.
	a = start(t, "a again", patient)
	a.shows("role:master", "connected_slaves:0")
	a.lacks("k1")
	a.follow(b)
	a.gets("new", "v", b.promote())
	same(t, a, b, c)
	b.shows("connected_slaves:2")

	// It has everything now, and can be what it was.
	a.promote()
	b.follow(a)
	c.follow(a)
	written = a.put("last", "v")
	b.gets("last", "v", written)
	c.gets("last", "v", written)
	a.shows("role:master", "connected_slaves:2")
	same(t, a, b, c)
	if full, _ := b.syncs(); full != 0 {
		t.Errorf("b has taken %d full copies since it is a slave again, want none", full)
	}
}

// TestOldMasterReturns: it was only silent, and has written nothing since. Pointed at
// the new master it goes on from where the histories part.
func TestOldMasterReturns(t *testing.T) {
	t.Parallel()
	a := start(t, "a", patient)
	b := start(t, "b", "-follow", a.repl, patient)
	written := a.fill("k", 20)
	b.gets("k19", "k", written)

	a.freeze()
	b.promote()
	written = b.put("new", "v")
	a.thaw()
	a.shows("role:master") // nobody has told it
	a.lacks("new")

	a.follow(b)
	a.gets("new", "v", written)
	a.refuses("k", b)
	same(t, a, b)
	if full, partial := a.syncs(); full != 0 || partial != 1 {
		t.Errorf("%d full and %d partial syncs, want 0 and 1", full, partial)
	}
}

// TestOldMasterWroteOn: two masters took writes. The old one gives up what only it had,
// when it is pointed at the new one, and whoever asks for it is told that it is lost.
func TestOldMasterWroteOn(t *testing.T) {
	t.Parallel()
	a := start(t, "a")
	b := start(t, "b", "-follow", a.repl)
	b.gets("k", "v", a.put("k", "v"))
	same(t, a, b)

	b.promote()
	lost := a.put("lost", "v")
	written := b.put("k", "new")
	a.follow(b)
	a.gets("k", "new", written)
	a.lacks("lost")
	same(t, a, b)
	for _, p := range []*process{a, b} {
		p.do(http.StatusConflict, "GET", "/keys/lost", "", lost)
	}
	b.do(http.StatusConflict, "POST", "/wait?replicas=1", "", lost)

	a.terminate()
	if log := a.log.String(); !strings.Contains(log, "this node drops what only it had") || !strings.Contains(log, "changes=1 complete=true") {
		t.Error("a has not said that it drops a write")
	}
}

// TestChangingPlaces: master and slave change roles while both run and a third follows
// one of them, to and fro, and nobody needs a copy.
func TestChangingPlaces(t *testing.T) {
	t.Parallel()
	a := start(t, "a")
	b := start(t, "b", "-follow", a.repl)
	c := start(t, "c", "-follow", a.repl)
	written := a.fill("k", 20)
	b.gets("k19", "k", written)
	c.gets("k19", "k", written)

	master, slave := a, b
	for _, key := range []string{"one", "two", "three", "four"} {
		same(t, master, slave)
		slave.promote()
		master.follow(slave)
		master, slave = slave, master
		written = master.put(key, "v")
		slave.gets(key, "v", written)
		c.gets(key, "v", written)
		master.shows("role:master")
		slave.shows("role:slave", "master_link_status:up")
	}
	same(t, a, b, c)
	given := int64(0) // counted by those who give them, through all roles
	for _, p := range []*process{a, b, c} {
		given += p.status().Counters.FullSyncs
	}
	if given != 2 {
		t.Errorf("%d full copies were given, want the first two only", given)
	}
}
