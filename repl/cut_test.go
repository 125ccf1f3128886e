package repl_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/repl"
	"github.com/emberkv/ember/repl/repltest"
)

// A play is a short life of a master and its replica: a full copy of a small
// ledger, log beside it and behind it, and two heartbeats.
type play struct {
	net    *repltest.Network
	a, b   *ledger
	m      *repl.Master
	r      *repl.Replica
	diary  *diary
	synced int // full syncs that were begun when the first one was complete
}

// perform plays it to the end, whatever net does to the first connection.
func perform(t testing.TB, net *repltest.Network) *play {
	t.Helper()
	p := &play{net: net, a: newLedger(nil), b: newLedger(nil)}
	fill(t, p.a, "k", 60)
	p.a.mu.Lock()
	p.a.onDump = func(shard int) { // log beside each shard
		p.a.put(fmt.Sprint("beside", shard), "x")
	}
	p.a.mu.Unlock()
	p.m = master(t, p.a, net.Host("a"), "a", nil)
	var o repl.Options
	p.diary = keep(&o)
	note := o.Events.Synced
	o.Events.Synced = func(s repl.Synced) {
		p.synced, _ = p.diary.count()
		note(s)
	}
	p.r = replica(t, p.b, net.Host("b"), "a", &o)
	for i := range 16 {
		time.Sleep(150 * time.Millisecond)
		p.a.put(fmt.Sprint("stream", i), strings.Repeat("v", 60))
	}
	caughtUp(t, p.r, p.b, p.a)
	same(t, p.a, p.b)
	return p
}

// TestCutAtEveryByte records what passes between a master and its replica and
// then cuts the connection after every byte of it, in either direction. It must
// heal every time, both must be equal, and once the copy is complete there must
// never be another one.
func TestCutAtEveryByte(t *testing.T) {
	var rec repltest.Recording
	synctest.Test(t, func(t *testing.T) {
		net := repltest.NewNetwork(1)
		net.SetDelay(time.Millisecond, 0)
		net.Record(1 << 20)
		if p := perform(t, net); p.diary.kinds() != "connected full synced" {
			t.Fatalf("without a cut: %s", p.diary.kinds())
		}
		rec = net.Recordings()[0]
	})
	if n := len(rec.Received); n < 3000 || n > 8000 || rec.Truncated {
		t.Fatalf("the upstream sends %d bytes: not what was meant", n)
	}
	t.Logf("%d bytes down, %d bytes up", len(rec.Received), len(rec.Sent))
	partials, resumed := 0, 0
	for _, way := range []struct {
		from, to string
		bytes    int
	}{{"a", "b", len(rec.Received)}, {"b", "a", len(rec.Sent)}} {
		for k := range way.bytes {
			if k%everyNth != 0 {
				continue
			}
			synctest.Test(t, func(t *testing.T) {
				net := repltest.NewNetwork(1)
				net.SetDelay(time.Millisecond, 0)
				net.Link(way.from, way.to).OneWay().CutNext(int64(k))
				p := perform(t, net)
				fulls, parts := p.diary.count()
				partials += parts
				if fulls > 1 && p.diary.fulls[1].Resumed {
					resumed++
				}
				if fulls != p.synced || len(p.diary.synced) != 1 || fulls > 2 {
					t.Errorf("%s to %s cut after %d bytes: %d full syncs, %d when the first was complete", way.from, way.to, k, fulls, p.synced)
				}
			})
			if t.Failed() {
				t.Fatalf("%s to %s cut after %d bytes", way.from, way.to, k)
			}
		}
	}
	if partials < 100/everyNth || resumed < 100/everyNth {
		t.Errorf("%d partial syncs and %d resumed copies: the cuts were not where they should be", partials, resumed)
	}
}

// TestManglingLinks: bytes that are flipped, pieces that come twice or in the
// wrong order, in pieces of any size. Nothing wrong is ever applied; in the end
// all are equal.
func TestManglingLinks(t *testing.T) {
	for name, mangle := range map[string]func(*repltest.Link){
		"flip":      func(l *repltest.Link) { l.Flip(1e-3) },
		"duplicate": func(l *repltest.Link) { l.Duplicate(0.05) },
		"swap":      func(l *repltest.Link) { l.Swap(0.5) },
		"chop":      func(l *repltest.Link) { l.SetChop(3) },
	} {
		synctest.Test(t, func(t *testing.T) {
			net := repltest.NewNetwork(7)
			net.SetDelay(10*time.Millisecond, 10*time.Millisecond)
			a, b := newLedger(nil), newLedger(nil)
			fill(t, a, "k", 100)
			m := master(t, a, net.Host("a"), "a", nil)
			var o repl.Options
			d := keep(&o)
			mangle(net.Link("a", "b"))
			r := replica(t, b, net.Host("b"), "a", &o)
			stop := keepWriting(a, 5*time.Millisecond, 1)
			time.Sleep(10 * time.Second)
			stop()
			checkPrefix(t, a, b)
			net.HealAll()
			synced(t, m, a, r)
			same(t, a, b)
			_, partials := d.count()
			if name == "chop" && len(d.ends) != 0 || name != "chop" && len(d.ends) < 3 {
				t.Errorf("%s: %d links ended, %d partial syncs; last: %v", name, len(d.ends), partials, d.last())
			}
			for _, err := range d.ends {
				if name != "chop" && !anyOf(err, repl.ErrProtocol, repl.ErrChecksum, repl.ErrLimit, repl.ErrTimeout, errEOF, syscall.EPIPE) {
					t.Errorf("%s: a link ended with %v", name, err)
				}
			}
		})
	}
}

// checkPrefix fails t unless b's log is a part of a's, byte for byte.
func checkPrefix(t testing.TB, a, b *ledger) {
	t.Helper()
	if b.Log().End() == 0 {
		return
	}
	first := b.Log().Window().First
	theirs, ours := content(t, b, first), content(t, a, first)
	if len(theirs) > len(ours) || string(theirs) != string(ours[:len(theirs)]) {
		t.Errorf("the replica's log is not the master's")
	}
}

// TestSwizzle clogs hosts of a group one by one and lets them go in another
// order: in the end all are equal.
func TestSwizzle(t *testing.T) {
	for seed := range uint64(3) {
		synctest.Test(t, func(t *testing.T) {
			net := repltest.NewNetwork(seed)
			net.SetDelay(2*time.Millisecond, time.Millisecond)
			a := newLedger(&backlog.Options{MaxBytes: 64 << 10})
			m := master(t, a, net.Host("a"), "a", nil)
			var ledgers []*ledger
			var replicas []*repl.Replica
			for i := range 3 {
				ledgers = append(ledgers, newLedger(nil))
				replicas = append(replicas, replica(t, ledgers[i], net.Host(fmt.Sprint("r", i)), "a", nil))
			}
			stop := keepWriting(a, 10*time.Millisecond, seed)
			for range 3 {
				if err := net.Swizzle(t.Context(), 5*time.Second); err != nil {
					t.Fatal(err)
				}
			}
			stop()
			synced(t, m, a, replicas...)
			for _, l := range ledgers {
				same(t, a, l)
			}
		})
	}
}
