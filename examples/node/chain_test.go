//go:build unix

package main

import "testing"

// TestChain: a slave of a slave holds the same bytes at the same offsets, and knows
// only its own upstream.
func TestChain(t *testing.T) {
	t.Parallel()
	a := start(t, "a")
	a.fill("early", 20)
	b := start(t, "b", "-follow", a.repl)
	c := start(t, "c", "-follow", b.repl)
	d := start(t, "d", "-follow", c.repl)
	written := a.put("k", "v")
	for _, p := range []*process{d, c, b} {
		p.gets("k", "v", written)
	}
	b.refuses("k", a)
	c.refuses("k", b)
	d.refuses("k", c)
	same(t, a, b, c, d)
	a.shows("role:master", "connected_slaves:1")
	b.shows("role:slave", "connected_slaves:1", "master_port:"+portOf(a.repl))
	c.shows("role:slave", "connected_slaves:1", "master_port:"+portOf(b.repl))
	d.shows("role:slave", "connected_slaves:0", "master_port:"+portOf(c.repl))
	history := a.info()["master_replid"]
	for _, p := range []*process{b, c, d} {
		p.shows("master_replid:" + history)
	}
	if n := a.waits(1, patience, written); n != 1 {
		t.Errorf("wait counts %d replicas, want the one that is directly attached", n)
	}
}

// TestMiddleDies: what is behind a dead node keeps its data and tries again. Pointed at
// the master it goes on from where it stood.
func TestMiddleDies(t *testing.T) {
	t.Parallel()
	a := start(t, "a", patient)
	b := start(t, "b", "-follow", a.repl, patient)
	c := start(t, "c", "-follow", b.repl, patient)
	c.gets("k1", "v1", a.put("k1", "v1"))

	b.kill()
	c.shows("role:slave", "master_link_status:down")
	missed := a.put("k2", "v2")
	c.has("k1", "v1")
	c.lacks("k2")

	c.follow(a)
	c.gets("k2", "v2", missed)
	c.refuses("k2", a)
	c.shows("master_link_status:up", "master_port:"+portOf(a.repl))
	same(t, a, c)
	if full, partial := c.syncs(); full != 1 || partial != 1 {
		t.Errorf("%d full and %d partial syncs, want 1 and 1", full, partial)
	}
}

// TestMiddleComesBack: a node that comes back empty in the middle of a chain has nothing
// to serve until it has a copy itself. Then its follower goes on where it stood.
func TestMiddleComesBack(t *testing.T) {
	t.Parallel()
	a := start(t, "a", patient)
	at := fixedAddr(t)
	b := start(t, "b", "-follow", a.repl, "-repl", at, patient)
	c := start(t, "c", "-follow", b.repl, patient)
	c.gets("k1", "v1", a.put("k1", "v1"))

	b.kill()
	c.shows("role:slave", "master_link_status:down")
	c.has("k1", "v1")
	b = start(t, "b again", "-follow", a.repl, "-repl", at, patient)
	c.shows("master_link_status:up")
	c.gets("k2", "v2", a.put("k2", "v2"))
	same(t, a, b, c)
	if full, partial := c.syncs(); full != 1 || partial != 1 {
		t.Errorf("%d full and %d partial syncs, want 1 and 1", full, partial)
	}
}

// TestOtherSlaveTakesOver: a slave of a dead slave is pointed at its sibling, which is at
// the same offsets.
func TestOtherSlaveTakesOver(t *testing.T) {
	t.Parallel()
	a := start(t, "a", patient)
	s1 := start(t, "s1", "-follow", a.repl, patient)
	s2 := start(t, "s2", "-follow", a.repl, patient)
	s3 := start(t, "s3", "-follow", s1.repl, patient)
	s3.gets("k1", "v1", a.put("k1", "v1"))

	s1.terminate()
	s3.shows("master_link_status:down")
	missed := a.put("k2", "v2")
	s3.follow(s2)
	s3.gets("k2", "v2", missed)
	s3.shows("role:slave", "master_link_status:up", "master_port:"+portOf(s2.repl))
	s2.shows("role:slave", "connected_slaves:1")
	same(t, a, s2, s3)
	if full, partial := s3.syncs(); full != 1 || partial != 1 {
		t.Errorf("%d full and %d partial syncs, want 1 and 1", full, partial)
	}
}
