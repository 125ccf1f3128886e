//go:build unix

package main

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestMasterDies: its slaves stay where they are, with their data, their offset and
// their role. They elect nobody and cannot be written.
func TestMasterDies(t *testing.T) {
	t.Parallel()
	a := start(t, "a")
	b := start(t, "b", "-follow", a.repl)
	c := start(t, "c", "-follow", a.repl)
	written := a.fill("k", 20)
	b.gets("k19", "k", written)
	c.gets("k19", "k", written)
	same(t, a, b, c)

	a.kill()
	for _, p := range []*process{b, c} {
		p.shows("role:slave", "master_link_status:down", "master_last_io_seconds_ago:-1",
			"slave_repl_offset:"+offsetOf(written), "master_replid:"+historyOf(written))
		p.has("k19", "k")
		p.refuses("k19", a)
	}
	same(t, b, c)
}

// TestMasterComesBackEmpty: a master without persistence that is started again at its
// place must not empty its slaves. An operator can say that it shall.
func TestMasterComesBackEmpty(t *testing.T) {
	t.Parallel()
	at := fixedAddr(t)
	a := start(t, "a", "-repl", at)
	b := start(t, "b", "-follow", at)
	c := start(t, "c", "-follow", at, "-allow-empty")
	written := a.put("k", "v")
	b.gets("k", "v", written)
	c.gets("k", "v", written)

	a.kill()
	a = start(t, "a again", "-repl", at)
	c.shows("master_link_status:up")
	c.lacks("k") // it was started with -allow-empty
	b.complains("empty and would wipe")
	b.shows("master_link_status:down")
	b.has("k", "v")

	b.follow(a, "empty")
	b.shows("master_link_status:up")
	b.lacks("k")
	written = a.put("new", "v")
	b.gets("new", "v", written)
	c.gets("new", "v", written)
	same(t, a, b, c)
}

// TestMasterIsReplacedByStranger: another master at the same address, with data of its
// own, does not take the slaves over.
func TestMasterIsReplacedByStranger(t *testing.T) {
	t.Parallel()
	at := fixedAddr(t)
	a := start(t, "a", "-repl", at)
	b := start(t, "b", "-follow", at)
	b.gets("k", "v", a.put("k", "v"))

	a.terminate()
	b.shows("master_link_status:down")
	stranger := start(t, "stranger", "-repl", at)
	stranger.put("k", "stranger")
	b.complains("shares no history")
	b.has("k", "v")
	stranger.shows("connected_slaves:0")
}

// TestMasterComesBack: silent for a time, it loses its slaves by time-out. When it goes
// on they come back by themselves, and go on from where they stood.
func TestMasterComesBack(t *testing.T) {
	t.Parallel()
	a := start(t, "a", "-heartbeat", "50ms")
	b := start(t, "b", "-follow", a.repl, "-heartbeat", "50ms")
	c := start(t, "c", "-follow", b.repl, "-heartbeat", "50ms")
	c.gets("k1", "v1", a.put("k1", "v1"))

	a.freeze()
	b.shows("role:slave", "master_link_status:down")
	b.has("k1", "v1")
	b.refuses("k1", a)
	// The link behind it stays up: that one's upstream is not silent.
	c.shows("role:slave", "master_link_status:up")

	a.thaw()
	b.shows("master_link_status:up")
	c.gets("k2", "v2", a.put("k2", "v2"))
	same(t, a, b, c)
	if full, partial := b.syncs(); full != 1 || partial == 0 {
		t.Errorf("%d full and %d partial syncs, want 1 and some", full, partial)
	}
	if full, _ := c.syncs(); full != 1 {
		t.Errorf("%d full copies behind it, want 1", full)
	}
}

// TestSlaveIsSilent: a slave that hangs costs the master nothing, and gets what it has
// missed when it goes on.
func TestSlaveIsSilent(t *testing.T) {
	t.Parallel()
	a := start(t, "a", "-heartbeat", "50ms")
	b := start(t, "b", "-follow", a.repl, "-heartbeat", "50ms")
	b.gets("k", "v", a.put("k", "v"))
	a.shows("connected_slaves:1")

	b.freeze()
	missed := a.fill("missed", 100)
	a.shows("connected_slaves:0")
	b.thaw()
	b.gets("missed99", "missed", missed)
	a.shows("connected_slaves:1")
	same(t, a, b)
	if full, _ := b.syncs(); full != 1 {
		t.Errorf("%d full copies, want 1", full)
	}
}

// TestSlaveIsOutrun: a slave that misses more than -backlog holds needs a full copy, and
// is told why.
func TestSlaveIsOutrun(t *testing.T) {
	t.Parallel()
	a := start(t, "a", "-heartbeat", "50ms", "-backlog", "20000")
	b := start(t, "b", "-follow", a.repl, "-heartbeat", "50ms")
	b.gets("k", "v", a.put("k", "v"))
	a.shows("connected_slaves:1")

	b.freeze()
	a.shows("connected_slaves:0", "repl_backlog_size:20000")
	missed := ""
	for range 30 {
		missed = a.put("big", strings.Repeat("x", 2000))
	}
	b.thaw()
	b.gets("big", strings.Repeat("x", 2000), missed)
	same(t, a, b)
	if full, _ := b.syncs(); full != 2 {
		t.Errorf("%d full copies, want 2", full)
	}
	if s := b.status().Upstream.LastFull; s.Reason.String() != "trimmed" {
		t.Errorf("the last full copy was made because of %q, want trimmed", s.Reason)
	}
}

// TestSignalLosesNothing: a master that is told to end lets its replicas have what they
// lack, though one of them was slow just now.
func TestSignalLosesNothing(t *testing.T) {
	t.Parallel()
	a := start(t, "a", "-heartbeat", "10s", "-drain", "1m") // slow is not dead, on a slow machine either
	b := start(t, "b", "-follow", a.repl, "-heartbeat", "10s")
	b.gets("k", "v", a.put("k", "v"))
	a.shows("connected_slaves:1")

	b.freeze()
	big := strings.Repeat("x", 16<<20) // more than the kernel's buffers hold
	written := a.put("big", big)
	b.thaw()
	a.terminate()
	b.gets("big", big, written)
}

// TestSignalDuringACopy: a replica that is still being copied to is let have everything
// as well.
func TestSignalDuringACopy(t *testing.T) {
	t.Parallel()
	a := start(t, "a", "-drain", "1m")
	written := a.put("big", strings.Repeat("x", 24<<20))
	b := start(t, "b", "-follow", a.repl)
	a.shows("connected_slaves:1")
	a.terminate()
	b.gets("big", strings.Repeat("x", 24<<20), written)
}

// TestSignalDoesNotHang: a replica that hangs gets a moment, no more. It hangs until the test is over,
// so the master ends by itself, or not while its end is waited for.
func TestSignalDoesNotHang(t *testing.T) {
	t.Parallel()
	const drain = time.Second
	a := start(t, "a", "-drain", drain.String())
	b := start(t, "b", "-follow", a.repl)
	b.gets("k", "v", a.put("k", "v"))
	a.shows("connected_slaves:1")

	b.freeze()
	a.put("k", "w")
	begun := time.Now()
	a.terminate()
	if took := time.Since(begun); took < drain {
		t.Errorf("it took %v, want %v at least", took, drain)
	}
	if !strings.Contains(a.log.String(), "before every replica has everything") {
		t.Error("its log does not say that a replica lacks something")
	}
}

// TestNobodyIsWaitedFor: a master does not say that its replicas lack something if there are none, nor
// wait for those that are level, or have gone, because no sentinel lets it write.
func TestNobodyIsWaitedFor(t *testing.T) {
	t.Parallel()
	flags := []string{"-fenced", "-drain", (2 * patience).String()} // for longer than its end is waited for
	alone := start(t, "alone", flags...)
	alone.refusesForLease("k")
	a := start(t, "a", flags...)
	b := start(t, "b", "-follow", a.repl)
	c := start(t, "c", "-follow", a.repl)
	b.shows("master_link_status:up")
	c.shows("master_link_status:up")
	a.refusesForLease("k")
	c.kill()
	for _, p := range []*process{alone, a} {
		p.terminate()
		if strings.Contains(p.log.String(), "before every replica has everything") {
			t.Errorf("what %s has said: %s", p.name, &p.log)
		}
	}
}

// TestNoOutageAtTheEnd: a node that closes its own links does not report them as down.
func TestNoOutageAtTheEnd(t *testing.T) {
	t.Parallel()
	a := start(t, "a")
	b := start(t, "b", "-follow", a.repl)
	c := start(t, "c", "-follow", b.repl)
	c.gets("k", "v", a.put("k", "v"))
	b.shows("master_link_status:up", "connected_slaves:1")
	b.terminate()
	if strings.Contains(b.log.String(), "link is down") {
		t.Errorf("its log: %s", b.log.String())
	}
	c.shows("master_link_status:down")
	a.shows("connected_slaves:0")
}

// TestOneLineForAnOutage: a dead master is tried many times a second, and the log says
// once that it cannot be had.
func TestOneLineForAnOutage(t *testing.T) {
	t.Parallel()
	at := fixedAddr(t)
	a := start(t, "a", "-repl", at)
	b := start(t, "b", "-follow", at, "-allow-empty")
	for range 2 {
		b.shows("master_link_status:up")
		a.kill()
		tried := b.status().Upstream.Attempts
		eventually(t, func() error {
			if n := b.status().Upstream.Attempts; n < tried+20 {
				return fmt.Errorf("b has tried %d times", n-tried)
			}
			return nil
		})
		a = start(t, "a again", "-repl", at)
	}
	b.shows("master_link_status:up")
	b.promote()
	b.terminate()
	for line, want := range map[string]int{"connection refused": 2, "full copy is complete": 3, "this node is a master": 1} {
		if n := strings.Count(b.log.String(), line); n != want {
			t.Errorf("its log says %d times %q, want %d", n, line, want)
		}
	}
}
