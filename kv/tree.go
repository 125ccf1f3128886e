package kv

import "unsafe"

const (
	// A leaf takes 1.5 KiB, an inner node 2, both exactly a size class of the allocator.
	// Larger ones save little, and cost an insertion more to move; smaller ones are more
	// for the garbage collector to mark.
	leafItems = 63
	fanout    = 64

	// A node with less than this is put together with its neighbour, if both fit into
	// three quarters of one.
	smallNode  = leafItems / 4
	mergedNode = leafItems * 3 / 4
)

// A tree is a B+tree of items, without a lock: the index has one. All items are in leaves,
// and these hold no pointers. The separators in inner nodes are as short as they can be,
// so nearly all of them are short keys, whatever the items are.
//
// A frozen view of it costs a few words: as long as one is in use, a node of an older
// epoch is copied before it is changed, as segments are (freeze.go).
//
// Why it is not github.com/google/btree, which holds the deadlines: a long key is a
// reference, and its comparison needs the slabs of the view that is asked, which a Clone's
// function does not know; keys in ascending order took 52 bytes each in place of 25; and an
// insertion among a million took an eighth longer.
type tree struct {
	root   unsafe.Pointer // *leaf if height is 0, else *inner; nil when there never was a key
	height int
	slabs  keySlabs

	epoch   uint64 // how many views have been frozen
	freezes int    // how many of them are in use

	nodes    int64 // bytes of all nodes
	retained int64 // bytes of nodes that frozen views alone still need
}

const (
	leafBytes  = int64(unsafe.Sizeof(leaf{}))
	innerBytes = int64(unsafe.Sizeof(inner{}))
)

// bytes returns what the tree takes, and what frozen views alone still need.
func (t *tree) bytes() (held, retained int64) {
	if t.freezes > 0 {
		retained = t.retained + t.slabs.dropped
	}
	return t.nodes + t.slabs.held, retained
}

// release says that a frozen view will not be read any more.
func (t *tree) release() {
	if t.freezes--; t.freezes == 0 {
		t.retained, t.slabs.dropped = 0, 0
	}
}

// A leaf has the items up to n, in order. It may be empty.
type leaf struct {
	epoch uint64
	n     int
	items [leafItems]indexKey
}

// An inner node has n children, at least one. Separator i is after all keys below child i,
// and at or before all below child i+1.
type inner struct {
	epoch      uint64
	n          int
	separators [fanout - 1]indexKey
	children   [fanout]unsafe.Pointer // of leaves or of inner nodes: the height says which
}

func newTree() tree { return tree{slabs: newKeySlabs()} }

// search returns the number of items before b.
func (l *leaf) search(b *bound, set *keySlabSet) int {
	low, high := 0, l.n
	for low < high {
		if m := int(uint(low+high) >> 1); b.after(&l.items[m], set) {
			low = m + 1
		} else {
			high = m
		}
	}
	return low
}

// search returns the number of the child below which b belongs.
func (in *inner) search(b *bound, set *keySlabSet) int {
	low, high := 0, in.n-1
	for low < high {
		m := int(uint(low+high) >> 1)
		if b.reached(&in.separators[m], set) {
			low = m + 1
		} else {
			high = m
		}
	}
	return low
}

// ownLeaf returns the leaf at child for the caller to change.
func (t *tree) ownLeaf(child *unsafe.Pointer) *leaf {
	l := (*leaf)(*child)
	if t.freezes > 0 && l.epoch != t.epoch {
		c := *l
		c.epoch = t.epoch
		l, *child = &c, unsafe.Pointer(&c)
		t.retained += leafBytes
	}
	return l
}

// ownInner returns the inner node at child for the caller to change.
func (t *tree) ownInner(child *unsafe.Pointer) *inner {
	in := (*inner)(*child)
	if t.freezes > 0 && in.epoch != t.epoch {
		c := *in
		c.epoch = t.epoch
		in, *child = &c, unsafe.Pointer(&c)
		t.retained += innerBytes
	}
	return in
}

// insert adds a key that is not in the tree.
func (t *tree) insert(key string) {
	if t.root == nil {
		t.root = unsafe.Pointer(&leaf{epoch: t.epoch})
		t.nodes += leafBytes
	}
	b := boundAt(key)
	right, separator := t.insertBelow(&t.root, t.height, &b)
	if right != nil {
		root := &inner{epoch: t.epoch, n: 2}
		root.children[0], root.children[1] = t.root, right
		root.separators[0] = separator
		t.root = unsafe.Pointer(root)
		t.nodes += innerBytes
		t.height++
	}
}

// insertBelow inserts below child. If that was full, it returns what has to stand to its
// right, and the separator of the two.
func (t *tree) insertBelow(child *unsafe.Pointer, height int, b *bound) (right unsafe.Pointer, separator indexKey) {
	if height == 0 {
		return t.insertLeaf(t.ownLeaf(child), b)
	}
	in := t.ownInner(child)
	i := in.search(b, t.slabs.set)
	if right, separator = t.insertBelow(&in.children[i], height-1, b); right == nil {
		return nil, indexKey{}
	}
	return t.insertChild(in, i, right, separator)
}

func (t *tree) insertLeaf(l *leaf, b *bound) (right unsafe.Pointer, separator indexKey) {
	x, i := b.indexKey, l.search(b, t.slabs.set)
	if x.long() {
		x = t.slabs.store(x, b.rest)
	}
	if l.n < leafItems {
		l.insert(i, x)
		return nil, indexKey{}
	}
	r := &leaf{epoch: t.epoch}
	t.nodes += leafBytes
	// A key behind all of a leaf is most likely one of an ascending series. The leaf
	// stays full then: the next keys go to the right.
	cut := leafItems / 2
	if i == leafItems {
		cut = leafItems
	}
	r.n = copy(r.items[:], l.items[cut:])
	l.n = cut
	if i <= cut && cut < leafItems {
		l.insert(i, x)
	} else {
		r.insert(i-cut, x)
	}
	return unsafe.Pointer(r), t.separator(&l.items[l.n-1], &r.items[0])
}

func (l *leaf) insert(i int, x indexKey) {
	copy(l.items[i+1:l.n+1], l.items[i:l.n])
	l.items[i] = x
	l.n++
}

// insertChild puts right behind child i of in. If in is full it returns another node, for
// in's right.
func (t *tree) insertChild(in *inner, i int, right unsafe.Pointer, separator indexKey) (unsafe.Pointer, indexKey) {
	if in.n < fanout {
		in.insert(i, right, separator)
		return nil, indexKey{}
	}
	r := &inner{epoch: t.epoch}
	t.nodes += innerBytes
	if i == fanout-1 {
		r.n, r.children[0] = 1, right
		return unsafe.Pointer(r), separator
	}
	const cut = fanout / 2
	r.n = copy(r.children[:], in.children[cut:])
	copy(r.separators[:], in.separators[cut:])
	middle := in.separators[cut-1]
	in.n = cut
	clear(in.children[cut:]) // or they would keep alive what is removed on the right
	if i < cut {
		in.insert(i, right, separator)
	} else {
		r.insert(i-cut, right, separator)
	}
	return unsafe.Pointer(r), middle
}

func (in *inner) insert(i int, right unsafe.Pointer, separator indexKey) {
	copy(in.children[i+2:in.n+1], in.children[i+1:in.n])
	copy(in.separators[i+1:in.n], in.separators[i:in.n-1])
	in.children[i+1], in.separators[i] = right, separator
	in.n++
}

// separator returns the shortest key that is after a's and not after b's.
func (t *tree) separator(a, b *indexKey) indexKey {
	var bufA, bufB [24]byte
	before, key := a.key(t.slabs.set, &bufA), b.key(t.slabs.set, &bufB)
	n := 0
	for n < len(before) && before[n] == key[n] {
		n++
	}
	s := boundAt(text(key[:n+1]))
	if s.long() {
		return t.slabs.store(s.indexKey, s.rest)
	}
	return s.indexKey
}
