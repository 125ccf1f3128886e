package kv

import (
	"sync/atomic"

	"github.com/emberkv/ember/internal/hash"
)

// scanAhead is how many keys' cache lines are asked for before the first of them is looked
// up. Twice as many cost those who want a few keys, and gain nothing.
const scanAhead = 32

// A warmer asks for the cache lines of keys that are about to be looked up, as a fetcher
// does for operations, and for those of their values. Each kind of miss has a loop of its
// own with hardly anything else in it: a processor looks a few hundred instructions ahead
// for the next one, so the fewer there are between two, the more of them overlap. The same
// loads in one loop were half as fast.
//
// What it finds may be out of date; nothing depends on it.
type warmer struct {
	views   [scanAhead]view // of the shards of the keys, by the caller
	groups  [scanAhead]*group
	entries [scanAhead][]byte // from the one on that a key most likely has
	touched byte              // keeps the compiler from leaving out the loads
}

// warmKeys asks for what some keys have, at most scanAhead. For a single one there is nothing to
// be gained: the look-up waits for the same.
func (w *warmer) warmKeys(t *table, keys []string) {
	if len(keys) < 2 {
		return
	}
	var hashes [scanAhead]uint64
	for i, key := range keys {
		hashes[i] = hash.String(t.seed, key)
	}
	w.warmIn(t, hashes[:len(keys)])
}

// warmIn is warm for keys of a table as it is now.
func (w *warmer) warmIn(t *table, hashes []uint64) {
	for i, h := range hashes {
		sh := t.shard(h)
		slabs := sh.slabs.Load() // first; see likely
		w.views[i] = view{sh.dir.Load(), slabs}
	}
	w.warm(hashes)
}

// warm asks for what the keys with these hashes have in the warmer's views, and lets go of
// those.
func (w *warmer) warm(hashes []uint64) {
	for i, h := range hashes {
		first, home := w.views[i].dir.home(h)
		w.groups[i] = at(first, home)
	}
	for _, g := range w.groups[:len(hashes)] {
		atomic.LoadUint64(&g[0])
	}
	for i, h := range hashes {
		w.entries[i] = likely(w.groups[i], w.views[i].slabs, h)
	}
	sum := w.touched
	for _, e := range w.entries[:len(hashes)] {
		if len(e) > 0 {
			sum += e[0]
		}
	}
	for _, e := range w.entries[:len(hashes)] {
		for i := min(entryLines(e), len(e)-1); i > 0; i -= 64 {
			sum += e[i]
		}
	}
	// A loop's body may take its time. It is not to keep alive what leaves the table then.
	*w = warmer{touched: sum}
}

// likely returns the memory from the entry on that a key most likely has whose home is g,
// or nil. The slot may be newer than the slabs, and then be taken for one in a slab that
// has left the set, where nobody writes any more. It must not be older: its slab's number
// could be that of the one which is being written.
func likely(g *group, slabs *slabSet, hash uint64) []byte { return slabs.from(likelySlot(g, hash)) }

// likelySlot returns the slot that a key most likely has whose home is g, or 0.
func likelySlot(g *group, hash uint64) slot {
	match := matchTags(atomic.LoadUint64(&g[0]), tag(hash))
	if match == 0 {
		return 0
	}
	return slot(atomic.LoadUint64(&g[1+lowest(match)]))
}

// from returns the memory from the entry on that ref refers to, or nil if the set has no
// such slab.
func (set *slabSet) from(ref slot) []byte {
	if id := ref.slab(); int(id) < len(set.data) && ref.offset() < len(set.data[id]) {
		return set.data[id][ref.offset():]
	}
	return nil
}

// entryLines returns up to where the lines of an entry are worth asking for, beyond its
// first byte, and never up to what lies behind it: that may be written just now. The
// further lines of a large value come by themselves.
func entryLines(e []byte) int {
	switch {
	case len(e) == 0:
		return 0
	case e[0] < 0x80:
		return int(e[0]) // its length, and that of the length is one
	case e[1] > 1:
		return 255
	}
	return 1 + int(e[1])<<7 + int(e[0]&0x7f) // the same with a length of two bytes
}
