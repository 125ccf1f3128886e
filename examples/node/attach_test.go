//go:build unix

package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// TestStar: everybody begins as a master and shares nothing. Two are told to follow the
// third, and show what it had and what it gets.
func TestStar(t *testing.T) {
	t.Parallel()
	a, b, c := start(t, "a"), start(t, "b"), start(t, "c")
	a.put("k1", "v1")
	for _, p := range []*process{a, b, c} {
		p.shows("role:master", "connected_slaves:0")
	}
	b.lacks("k1")
	c.lacks("k1")

	b.follow(a)
	c.follow(a)
	written := a.put("k2", "v2")
	for _, p := range []*process{b, c} {
		p.gets("k1", "v1", written)
		p.gets("k2", "v2", written)
		p.shows("role:slave", "master_link_status:up")
	}
	a.shows("role:master", "connected_slaves:2")
	same(t, a, b, c)
}

// TestLateSlave gets what was written before it came, deletes and deadlines included.
func TestLateSlave(t *testing.T) {
	t.Parallel()
	a := start(t, "a", patient)
	a.fill("early", 200)
	a.do(http.StatusNoContent, "DELETE", "/keys/early7", "", "")
	a.do(http.StatusNoContent, "PUT", "/keys/hour?ttl=1h", "x", "")
	a.do(http.StatusNoContent, "PUT", "/keys/moment?ttl=1ms", "x", "")

	b := start(t, "b", "-follow", a.repl, patient)
	written := a.put("late", "v")
	b.gets("late", "v", written)
	b.has("early199", "early")
	b.has("hour", "x")
	b.lacks("early7")
	eventually(t, func() error {
		if r, err := b.try("GET", "/keys/moment", "", ""); err != nil || r.status != http.StatusNotFound {
			return fmt.Errorf("the key with a deadline: %d, %v", r.status, err)
		}
		return nil
	})
	same(t, a, b)
	if full, partial := b.syncs(); full != 1 || partial != 0 {
		t.Errorf("%d full and %d partial syncs, want 1 and 0", full, partial)
	}
}

// TestWriteOnSlave: a slave takes no write, and names whom it follows.
func TestWriteOnSlave(t *testing.T) {
	t.Parallel()
	a := start(t, "a")
	b := start(t, "b", "-follow", a.repl)
	b.refuses("k", a) // before there are data, too
	b.gets("k", "from a", a.put("k", "from a"))
	b.refuses("k", a)
	b.refuses("another", a)
	b.has("k", "from a")
	b.lacks("another")
	b.shows("slave_read_only:1")
	same(t, a, b)
}

// TestSlaveThatRestarts: one that is started with -follow catches up. One that was told
// to follow while it ran begins anew as a master, and has to be told again.
func TestSlaveThatRestarts(t *testing.T) {
	t.Parallel()
	a := start(t, "a")
	a.fill("k", 50)
	told := start(t, "told")
	told.follow(a)
	configured := start(t, "configured", "-follow", a.repl)
	same(t, a, told, configured)

	told.kill()
	configured.terminate()
	written := a.fill("more", 50)
	configured = start(t, "configured again", "-follow", a.repl)
	configured.gets("more49", "more", written)
	told = start(t, "told again")
	told.shows("role:master", "connected_slaves:0")
	told.lacks("k1")
	told.follow(a)
	told.gets("more49", "more", written)
	same(t, a, told, configured)
	a.shows("connected_slaves:2")
}

// TestSlaveWithDataOfItsOwn: a node that holds data is not emptied by being pointed at
// a master that has nothing to do with it, unless that is what is wanted.
func TestSlaveWithDataOfItsOwn(t *testing.T) {
	t.Parallel()
	a, b := start(t, "a"), start(t, "b")
	a.put("k", "from a")
	b.put("k", "from b")

	b.follow(a)
	b.shows("role:slave", "master_link_status:down")
	b.complains("shares no history")
	b.has("k", "from b")
	b.refuses("k", a)

	b.follow(a, "foreign")
	b.shows("role:slave", "master_link_status:up")
	same(t, a, b)
	b.has("k", "from a")
}

// TestSlaveChangesMaster: pointed half-way at another group, a slave keeps the old data
// until it is told to give them up.
func TestSlaveChangesMaster(t *testing.T) {
	t.Parallel()
	a, other := start(t, "a"), start(t, "other")
	other.fill("other", 20)
	b := start(t, "b", "-follow", a.repl)
	b.gets("k", "v", a.put("k", "v"))

	b.follow(other)
	b.complains("shares no history")
	b.has("k", "v")
	b.follow(other, "foreign")
	same(t, other, b)
	b.lacks("k")
	a.shows("connected_slaves:0")
	other.shows("connected_slaves:1")
}

// TestCompressedLink: a link is compressed when either end wants it and the other does
// not refuse.
func TestCompressedLink(t *testing.T) {
	t.Parallel()
	a := start(t, "a", "-compress", "s2")
	early := strings.Repeat("what was there before ", 5000)
	late := strings.Repeat("what came afterwards ", 5000)
	a.put("early", early)
	for want, flags := range map[string][]string{
		"s2":   nil,
		"zstd": {"-compress", "zstd"},
		"none": {"-compress", "off"},
	} {
		b := start(t, want, append(flags, "-follow", a.repl)...)
		b.gets("late", late, a.put("late", late))
		b.has("early", early)
		same(t, a, b)
		up := b.status().Upstream
		if up.Compression.String() != want || (up.Read < int64(len(early+late))) != (want != "none") {
			t.Errorf("the link is compressed by %s and has brought %d bytes, want %s", up.Compression, up.Read, want)
		}
	}
}
