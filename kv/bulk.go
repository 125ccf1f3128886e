package kv

import (
	"runtime"
	"sync/atomic"
	"unsafe"
)

const (
	// bulkItems and bulkChildren leave some room in every node: if all were full, the
	// next inserts would split one each.
	bulkItems    = leafItems * 7 / 8
	bulkChildren = fanout * 7 / 8

	// mergeAtOnce is how many items are merged before the processor is offered to others.
	mergeAtOnce = 1 << 10
)

// buildIndex makes the index of a table that nobody else knows yet. Each shard's keys are
// sorted for themselves, on as many cores as there are, and then merged into leaves that
// are nearly full: five million of 16 bytes take a second, a third of what inserting them
// one by one does; of 38 bytes with the first 30 alike, three. Meanwhile it needs another
// 24 bytes for each.
func (t *table) buildIndex() *index {
	runs := make([][]indexKey, len(t.shards))
	var next atomic.Int64
	// Nothing in there fails.
	_ = inParallel(min(runtime.GOMAXPROCS(0), len(t.shards)), func(func() bool) error {
		for {
			i := int(next.Add(1)) - 1
			if i >= len(t.shards) {
				return nil
			}
			runs[i] = t.sortedItems(i)
			runtime.Gosched() // some milliseconds for ten million keys
		}
	})
	x := newIndex()
	m, build := merger{table: t}, builder{tree: &x.mu.tree}
	for _, items := range runs {
		m.add(items)
	}
	for n := 1; len(m.heap) > 0; n++ {
		build.add(m.next())
		if n%mergeAtOnce == 0 {
			runtime.Gosched()
		}
	}
	build.finish()
	return x
}

// sortedItems returns a shard's keys in order. Long ones are loose.
func (t *table) sortedItems(number int) []indexKey {
	sh := &t.shards[number]
	items := make([]indexKey, 0, sh.mu.keys)
	slabs := sh.slabs.Load()
	(&frozen{shard: sh, dir: sh.dir.Load(), slabs: slabs, keys: sh.mu.keys}).list().places(func(slab uint32, offset int) bool {
		ref := makeSlot(slab, offset, 0)
		e := slabs.entryAt(ref)
		b := boundAt(text(e.key))
		if b.long() {
			b.indexKey = loose(b.indexKey, number, ref)
		}
		items = append(items, b.indexKey)
		return true
	})
	t.sortLoose(items)
	return items
}

// A run is what is left of a shard's items, and the first one's key if that is long, at
// hand because it is compared a dozen times.
type run struct {
	items []indexKey
	key   string
}

func (r *run) before(o *run) bool {
	a, b := &r.items[0], &o.items[0]
	switch {
	case a.hi != b.hi:
		return a.hi < b.hi
	case a.lo != b.lo:
		return a.lo < b.lo
	case !a.long() && !b.long():
		return a.tail < b.tail
	}
	var bufA, bufB [24]byte
	return r.first(&bufA) < o.first(&bufB)
}

// first returns the key of the first item.
func (r *run) first(buf *[24]byte) string {
	if x := r.items[0]; !x.long() {
		return text(x.key(nil, buf))
	}
	return r.key
}

// A merger takes the items of sorted runs in order. It is a heap of those that have some
// left, by their first ones.
type merger struct {
	table *table
	heap  []*run
}

func (m *merger) add(items []indexKey) {
	if len(items) > 0 {
		m.heap = append(m.heap, &run{items: items, key: m.table.restOf(items[0])})
		for i := len(m.heap) - 1; i > 0 && m.heap[i].before(m.heap[(i-1)/2]); i = (i - 1) / 2 {
			m.heap[i], m.heap[(i-1)/2] = m.heap[(i-1)/2], m.heap[i]
		}
	}
}

// next takes the first item of all, and its key if that is long.
func (m *merger) next() (x indexKey, rest string) {
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

// A builder makes a tree of items that come in order, from the left to the right.
type builder struct {
	tree *tree
	leaf *leaf

	// The level that is being made, and between its nodes the separators.
	nodes      []unsafe.Pointer
	separators []indexKey
}

// add adds an item, whose key is rest if it is long.
func (b *builder) add(x indexKey, rest string) {
	if x.long() {
		x = b.tree.slabs.store(x, rest)
	}
	if b.leaf == nil || b.leaf.n == bulkItems {
		l := &leaf{}
		b.tree.nodes += leafBytes
		if b.leaf != nil {
			b.separators = append(b.separators, b.tree.separator(&b.leaf.items[b.leaf.n-1], &x))
		}
		b.leaf = l
		b.nodes = append(b.nodes, unsafe.Pointer(l))
	}
	b.leaf.items[b.leaf.n] = x
	b.leaf.n++
}

// finish makes the levels above the leaves.
func (b *builder) finish() {
	for len(b.nodes) > 1 {
		b.level()
		b.tree.height++
	}
	if len(b.nodes) == 1 {
		b.tree.root = b.nodes[0]
	}
}

// level puts each bulkChildren nodes below another.
func (b *builder) level() {
	var above builder
	for from := 0; from < len(b.nodes); from += bulkChildren {
		to := min(from+bulkChildren, len(b.nodes))
		in := &inner{n: to - from}
		b.tree.nodes += innerBytes
		copy(in.children[:], b.nodes[from:to])
		copy(in.separators[:], b.separators[from:to-1])
		if to < len(b.nodes) {
			above.separators = append(above.separators, b.separators[to-1])
		}
		above.nodes = append(above.nodes, unsafe.Pointer(in))
	}
	b.nodes, b.separators = above.nodes, above.separators
}
