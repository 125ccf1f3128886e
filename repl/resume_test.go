package repl_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/repl"
	"github.com/emberkv/ember/repl/repltest"
)

// TestBrokenCopyResumesAtItsNextShard cuts a copy in the middle, three times, and
// counts the blocks that come twice: those of shards that were under way.
func TestBrokenCopyResumesAtItsNextShard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repltest.NewNetwork(1)
		net.SetDelay(time.Millisecond, 0)
		a, b := newLedger(nil), newLedger(nil)
		fill(t, a, "k", 240)
		blocks, largest := 0, 0
		for shard, n := 0, make([]int, ledgerShards); shard < ledgerShards; shard++ {
			for k := range a.state() {
				if shardOf(k) == shard {
					n[shard]++
				}
			}
			blocks += (n[shard] + 2) / 3
			largest = max(largest, (n[shard]+2)/3)
		}
		slowly(a, 100*time.Millisecond)
		m := master(t, a, net.Host("a"), "a", nil)
		var o repl.Options
		d := keep(&o)
		r := replica(t, b, net.Host("b"), "a", &o)
		for i := range 3 {
			time.Sleep(230 * time.Millisecond)
			net.Link("a", "b").Cut()
			fill(t, a, fmt.Sprint("during", i), 3)
		}
		synced(t, m, a, r)
		same(t, a, b)
		if len(d.fulls) != 4 || d.fulls[0].Resumed || !d.fulls[1].Resumed || !d.fulls[3].Resumed {
			t.Errorf("full syncs: %+v", d.fulls)
		}
		if twice := b.blocks - blocks; twice < 0 || twice > 3*(largest+2) {
			t.Errorf("%d blocks for a table of %d: %d twice", b.blocks, blocks, twice)
		}
		last := d.synced[len(d.synced)-1]
		if last.Keys != 249 || last.Position != a.Log().Position() {
			t.Errorf("synced: %+v", last)
		}
	})
}

// TestCopyWhoseResumePointIsGone: the copy broke, and the log has moved on beyond
// the point from which it could have gone on. It begins anew.
func TestCopyWhoseResumePointIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repltest.NewNetwork(1)
		net.SetDelay(time.Millisecond, 0)
		a, b := newLedger(&backlog.Options{MaxBytes: 64 << 10}), newLedger(nil)
		fill(t, a, "k", 240)
		slowly(a, 100*time.Millisecond)
		m := master(t, a, net.Host("a"), "a", nil)
		var o repl.Options
		d := keep(&o)
		r := replica(t, b, net.Host("b"), "a", &o)
		time.Sleep(350 * time.Millisecond)
		net.Link("a", "b").Refuse()
		net.Link("a", "b").Cut()
		for i := range 20 {
			a.put(fmt.Sprint("big", i), strings.Repeat("x", 10_000))
		}
		net.HealAll()
		synced(t, m, a, r)
		same(t, a, b)
		if len(d.fulls) != 2 || d.fulls[1].Resumed {
			t.Errorf("full syncs: %+v; want a second one from nothing", d.fulls)
		}
	})
}

// TestCopyGoesOnElsewhere: a replica whose copy broke finds another table at the
// same address: another history, or another shape. It must not mix the two.
func TestCopyGoesOnElsewhere(t *testing.T) {
	for name, change := range map[string]func(l *ledger){
		"another history": func(l *ledger) { l.log.Fork(backlog.NewHistory()) },
		"another seed":    func(l *ledger) { l.seed++ },
	} {
		synctest.Test(t, func(t *testing.T) {
			net := repltest.NewNetwork(1)
			net.SetDelay(time.Millisecond, 0)
			a, b := newLedger(nil), newLedger(nil)
			fill(t, a, "k", 240)
			slowly(a, 100*time.Millisecond)
			m := master(t, a, net.Host("a"), "a", nil)
			var o repl.Options
			d := keep(&o)
			r := replica(t, b, net.Host("b"), "a", &o)
			time.Sleep(350 * time.Millisecond)
			net.Link("a", "b").Cut()
			a.mu.Lock()
			change(a)
			a.mu.Unlock()
			synced(t, m, a, r)
			same(t, a, b)
			if d.fulls[1].Resumed {
				t.Errorf("%s: the copy went on", name)
			}
		})
	}
}

// TestHundredCuts cuts the link at random moments of copies and streams, while
// the master is written to: in the end both are equal.
func TestHundredCuts(t *testing.T) {
	for _, window := range []int64{1 << 10, 1 << 20} {
		synctest.Test(t, func(t *testing.T) {
			net := repltest.NewNetwork(uint64(window))
			net.SetDelay(time.Millisecond, time.Millisecond)
			net.All().SetChop(100)
			rng := rand.New(rand.NewPCG(uint64(window), 2))
			a, b := newLedger(&backlog.Options{MaxBytes: window}), newLedger(nil)
			fill(t, a, "k", 300)
			slowly(a, 3*time.Millisecond)
			m := master(t, a, net.Host("a"), "a", nil)
			r := replica(t, b, net.Host("b"), "a", nil)
			stop := keepWriting(a, time.Millisecond, 3)
			for i := range 100 {
				time.Sleep(time.Duration(rng.IntN(60)) * time.Millisecond)
				net.Link("a", "b").Cut()
				if i%10 == 0 { // long enough for the small window to move on
					net.Link("a", "b").Refuse()
					time.Sleep(300 * time.Millisecond)
					net.HealAll()
				}
			}
			stop()
			synced(t, m, a, r)
			same(t, a, b)
			s := r.Status().Upstream
			if s.Fulls < 2 || window > 1<<19 && s.Partials < 10 {
				t.Errorf("%d full and %d partial syncs: the test did nothing", s.Fulls, s.Partials)
			}
		})
	}
}
