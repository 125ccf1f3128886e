package kv

import (
	"runtime"
	"sync/atomic"

	"github.com/emberkv/ember/internal/giveway"
	"github.com/emberkv/ember/internal/keytree"
)

// mergeAtOnce is how many items are merged before the processor is offered to others.
const mergeAtOnce = 1 << 10

// buildIndex makes the index of a table that nobody else knows yet. Each shard's keys are
// sorted for themselves, on as many cores as there are, and then merged into leaves that
// are nearly full: five million of 16 bytes take a second, a third of what inserting them
// one by one does; of 38 bytes with the first 30 alike, three. Meanwhile it needs another
// 24 bytes for each. It gives way to others by giveWay.
func (t *table) buildIndex(giveWay func(*giveway.Worker)) *index {
	runs := make([][]keytree.Item, len(t.shards))
	var next atomic.Int64
	// Nothing in there fails.
	_ = inParallel(min(runtime.GOMAXPROCS(0), len(t.shards)), func(func() bool) error {
		var w giveway.Worker
		for {
			i := int(next.Add(1)) - 1
			if i >= len(t.shards) {
				return nil
			}
			runs[i] = t.sortedItems(i)
			giveWay(&w) // some tens of milliseconds for ten million keys
		}
	})
	x := newIndex()
	m, build := merger{table: t}, x.mu.tree.Build()
	for _, items := range runs {
		m.add(items)
	}
	var w giveway.Worker
	for n := 1; len(m.heap) > 0; n++ {
		build.Add(m.next())
		if n%mergeAtOnce == 0 {
			giveWay(&w)
		}
	}
	build.Finish()
	return x
}

// sortedItems returns a shard's keys in order. Long ones are loose.
func (t *table) sortedItems(number int) []keytree.Item {
	sh := &t.shards[number]
	items := make([]keytree.Item, 0, sh.mu.keys)
	slabs := sh.slabs.Load()
	(&frozen{shard: sh, dir: sh.dir.Load(), slabs: slabs, keys: sh.mu.keys}).list(nil).places(func(slab uint32, offset int) bool {
		ref := makeSlot(slab, offset, 0)
		e := slabs.entryAt(ref)
		b := keytree.BoundAt(text(e.key))
		if b.Long() {
			b.Item = loose(b.Item, number, ref)
		}
		items = append(items, b.Item)
		return true
	})
	t.sortLoose(items)
	return items
}

// A run is what is left of a shard's items, and the first one's key if that is long, at
// hand because it is compared a dozen times.
type run struct {
	items []keytree.Item
	key   string
}

func (r *run) before(o *run) bool {
	a, b := &r.items[0], &o.items[0]
	switch {
	case a.Hi != b.Hi:
		return a.Hi < b.Hi
	case a.Lo != b.Lo:
		return a.Lo < b.Lo
	case !a.Long() && !b.Long():
		return a.Tail < b.Tail
	}
	var bufA, bufB [24]byte
	return r.first(&bufA) < o.first(&bufB)
}

// first returns the key of the first item.
func (r *run) first(buf *[24]byte) string {
	if x := r.items[0]; !x.Long() {
		return text(x.Key(nil, buf))
	}
	return r.key
}

// A merger takes the items of sorted runs in order. It is a heap of those that have some
// left, by their first ones.
type merger struct {
	table *table
	heap  []*run
}

func (m *merger) add(items []keytree.Item) {
	if len(items) > 0 {
		m.heap = append(m.heap, &run{items: items, key: m.table.restOf(items[0])})
		for i := len(m.heap) - 1; i > 0 && m.heap[i].before(m.heap[(i-1)/2]); i = (i - 1) / 2 {
			m.heap[i], m.heap[(i-1)/2] = m.heap[(i-1)/2], m.heap[i]
		}
	}
}

// next takes the first item of all, and its key if that is long.
func (m *merger) next() (x keytree.Item, rest string) {
	r := m.heap[0]
	x, rest = r.items[0], r.key
	if r.items = r.items[1:]; len(r.items) > 0 {
		r.key = m.table.restOf(r.items[0])
	} else {
		last := len(m.heap) - 1
		m.heap[0], m.heap[last] = m.heap[last], nil
		if m.heap = m.heap[:last]; last == 0 {
			return x, rest
		}
	}
	m.sink()
	return x, rest
}

// sink moves the run at the top to its place.
func (m *merger) sink() {
	h, i := m.heap, 0
	for r := h[0]; ; {
		child := 2*i + 1
		if child+1 < len(h) && h[child+1].before(h[child]) {
			child++
		}
		if child >= len(h) || !h[child].before(r) {
			h[i] = r
			return
		}
		h[i] = h[child]
		i = child
	}
}
