//go:build unix

package main

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// stale waits until reads are refused, and says that what tells of the node is not.
func (p *process) stale() {
	p.t.Helper()
	p.until("refuses reads", func() bool {
		r, err := p.try("GET", "/keys/k", "", "")
		return err == nil && r.status == http.StatusServiceUnavailable && strings.HasPrefix(r.body, "STALE ")
	})
	p.do(http.StatusServiceUnavailable, "GET", "/keys", "", "")
	p.do(http.StatusOK, "GET", "/digest", "", "")
	p.shows("role:slave", "ember_master_stale:1")
}

// until waits for something to come true.
func (p *process) until(what string, ok func() bool) {
	p.t.Helper()
	for begun := time.Now(); time.Since(begun) < patience; time.Sleep(10 * time.Millisecond) {
		if ok() {
			return
		}
	}
	p.t.Fatalf("%s: not within %v: %s; %+v", p.name, patience, what, p.status().Upstream)
}

// TestCutOffSlaveRefusesReads: with -serve-stale=false a slave whose master is gone answers no
// reads, nor does a slave of that; promoted it does.
func TestCutOffSlaveRefusesReads(t *testing.T) {
	t.Parallel()
	at := fixedAddr(t)
	a := start(t, "a", "-repl", at)
	b := start(t, "b", "-follow", at, "-serve-stale=false")
	c := start(t, "c", "-follow", b.repl, "-serve-stale=false")
	serves := start(t, "serves", "-follow", at)
	written := a.put("k", "v")
	for _, p := range []*process{b, c, serves} {
		p.gets("k", "v", written)
	}
	a.kill()
	b.stale()
	c.stale()
	c.shows("master_link_status:up", "ember_master_linked:0")
	serves.has("k", "v")

	b.promote()
	b.has("k", "v")
	c.gets("k", "new", b.put("k", "new"))
}

// TestSlaveOfASilentMaster: a frozen master's slave refuses reads when its data are older
// than -max-staleness, and goes on when it thaws.
func TestSlaveOfASilentMaster(t *testing.T) {
	t.Parallel()
	a := start(t, "a", "-heartbeat", "100ms")
	b := start(t, "b", "-follow", a.repl, "-heartbeat", "100ms", "-max-staleness", "1s")
	b.gets("k", "v", a.put("k", "v"))
	a.freeze()
	b.stale()
	a.thaw()
	b.until("serves again", func() bool {
		r, err := b.try("GET", "/keys/k", "", "")
		return err == nil && r.status == http.StatusOK
	})
}

// TestWritableSlave: what is written on a slave stays there, ends with the master's next
// write of the key or a full copy, and is everybody's when the slave is promoted.
func TestWritableSlave(t *testing.T) {
	t.Parallel()
	a := start(t, "a")
	b := start(t, "b", "-follow", a.repl, "-writable")
	c := start(t, "c", "-follow", b.repl)
	c.gets("k", "v", a.put("k", "v"))
	b.gets("k", "v", "")

	at := b.put("k", "mine")
	b.put("own", "mine")
	b.has("k", "mine")
	b.has("own", "mine")
	if now := a.put("other", "v"); offsetOf(at) == offsetOf(now) {
		t.Errorf("the write of a slave has moved its position to %s", at)
	}
	same(t, a, b, c)
	a.has("k", "v")
	c.has("k", "v")
	a.lacks("own")
	c.lacks("own")
	c.refuses("k", b)

	b.gets("k", "later", a.put("k", "later"))
	b.promote()
	c.gets("own", "mine", b.put("after", "v"))
	same(t, b, c)

	b.put("mine too", "mine")
	b.follow(a, "foreign")
	same(t, a, b)
	b.lacks("own")
}
