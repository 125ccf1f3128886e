package repl_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/internal/heap"
	"github.com/emberkv/ember/repl"
	"github.com/emberkv/ember/repl/repltest"
)

// bigValue returns size bytes that look like no others.
func bigValue(seed uint64, size int) string {
	b := make([]byte, size)
	rng := rand.NewChaCha8([32]byte{byte(seed)})
	rng.Read(b)
	return string(b)
}

// TestBigValues copies and streams values of 10 MiB over a link that needs five
// seconds for one: longer than a peer may be silent. Heartbeats and acks pass
// between the pieces, so neither end takes the other for dead.
func TestBigValues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repltest.NewNetwork(1)
		net.SetDelay(time.Millisecond, 0)
		net.Link("a", "b").SetBandwidth(2 << 20)
		a, b := newLedger(nil), newLedger(nil)
		fill(t, a, "k", 10)
		a.put("copied", bigValue(1, 10<<20))
		var o repl.Options
		d := keep(&o)
		m := master(t, a, net.Host("a"), "a", nil)
		r := replica(t, b, net.Host("b"), "a", &o)
		synced(t, m, a, r)
		same(t, a, b)

		a.put("streamed", bigValue(2, 10<<20))
		time.Sleep(4 * time.Second) // in the middle of it
		f := m.Status().Followers
		if len(f) != 1 || f[0].LastAck > 2*time.Second {
			t.Errorf("in the middle of a large value: %+v", f)
		}
		if u := r.Status().Upstream; u.LastIO > 2*time.Second || u.Behind < 10<<20 {
			t.Errorf("in the middle of a large value: last heard %v ago, %d behind", u.LastIO, u.Behind)
		}
		synced(t, m, a, r)
		same(t, a, b)
		if d.kinds() != "connected full synced" {
			t.Errorf("events: %s", d.kinds())
		}
	})
}

// TestSmallValuesBehindABigOne: the record after one of many frames is whole and
// in its place, for a follower that comes back in the middle, too.
func TestSmallValuesBehindABigOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repltest.NewNetwork(1)
		net.SetDelay(time.Millisecond, 0)
		net.Link("a", "b").SetBandwidth(8 << 20)
		a, b := newLedger(nil), newLedger(nil)
		m := master(t, a, net.Host("a"), "a", nil)
		r := replica(t, b, net.Host("b"), "a", nil)
		synced(t, m, a, r)
		for i, size := range []int{64 << 10, 256 << 10, 256<<10 + 64, 3 << 20, 1} {
			a.put(fmt.Sprint("big", i), bigValue(uint64(i), size))
			a.put(fmt.Sprint("small", i), "x")
		}
		for range 3 { // inside the value of 3 MiB
			time.Sleep(150 * time.Millisecond)
			net.Link("a", "b").Cut()
		}
		synced(t, m, a, r)
		same(t, a, b)
		if s := r.Status().Upstream; s.Fulls != 1 || s.Partials != 3 {
			t.Errorf("%d full and %d partial syncs, want 1 and 3", s.Fulls, s.Partials)
		}
	})
}

// TestBuffersOfALargeCopyAreNotKept: after a copy of large values the master
// holds no more than before it.
func TestBuffersOfALargeCopyAreNotKept(t *testing.T) {
	heap.Try(t, func() error {
		if grown := keptAfterALargeCopy(t); grown > 1<<20 {
			return fmt.Errorf("%d MiB more after the copy", grown>>20)
		}
		return nil
	})
}

// keptAfterALargeCopy returns by how much the heap has grown.
func keptAfterALargeCopy(t *testing.T) (grown int64) {
	synctest.Test(t, func(t *testing.T) {
		net, a := repl.NewMemory(), newLedger(&backlog.Options{MaxBytes: -1})
		value := bigValue(1, 2<<20)
		for i := range 4 {
			a.put(fmt.Sprint("k", i), value)
		}
		a.log = backlog.NewLog(nil)
		m := master(t, a, net, "a", nil)
		before := heap.Live()
		b := newLedger(nil)
		r := replica(t, b, net, "a", nil)
		synced(t, m, a, r)
		same(t, a, b)
		r.Close()
		b.mu.Lock()
		clear(b.entries)
		b.mu.Unlock()
		synctest.Wait()
		grown = heap.Live() - before
	})
	return grown
}
