package keytree

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

// A Tree is a B+tree of items, without a lock of its own. All items are in leaves,
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
type Tree struct {
	root   unsafe.Pointer // *leaf if height is 0, else *inner; nil when there never was a key
	height int
	slabs  slabs

	epoch   uint64 // how many views have been frozen
	freezes int    // how many of them are in use

	nodes    int64 // bytes of all nodes
	retained int64 // bytes of nodes that frozen views alone still need
}

const (
	// LeafBytes is what an insertion may take, apart from a long key and, seldom, inner
	// nodes.
	LeafBytes  = int64(unsafe.Sizeof(leaf{}))
	innerBytes = int64(unsafe.Sizeof(inner{}))
)

// Bytes returns what the tree takes, and what frozen views alone still need.
func (t *Tree) Bytes() (held, retained int64) {
	if t.freezes > 0 {
		retained = t.retained + t.slabs.dropped
	}
	return t.nodes + t.slabs.held, retained
}

// Freeze returns a view of the tree as it is now, which the caller releases, once.
func (t *Tree) Freeze() View {
	t.epoch++
	if t.freezes++; t.freezes == 1 {
		t.slabs.dropped = 0
	}
	return t.View()
}

// Clear takes away all keys at once. Views that are frozen stay as they are.
func (t *Tree) Clear() {
	fresh := New()
	fresh.epoch, fresh.freezes = t.epoch, t.freezes
	if held, retained := t.Bytes(); t.freezes > 0 {
		fresh.retained = held + retained
	}
	*t = fresh
}

// Release says that a frozen view will not be read any more.
func (t *Tree) Release() {
	if t.freezes--; t.freezes == 0 {
		t.retained, t.slabs.dropped = 0, 0
	}
}

// A leaf has the items up to n, in order. It may be empty.
type leaf struct {
	epoch uint64
	n     int
	items [leafItems]Item
}

// An inner node has n children, at least one. Separator i is after all keys below child i,
// and at or before all below child i+1.
type inner struct {
	epoch      uint64
	n          int
	separators [fanout - 1]Item
	children   [fanout]unsafe.Pointer // of leaves or of inner nodes: the height says which
}

// New returns an empty tree.
func New() Tree { return Tree{slabs: newSlabs()} }

// search returns the number of items before b.
func (l *leaf) search(b *Bound, set *Slabs) int {
	low, high := 0, l.n
	for low < high {
		if m := int(uint(low+high) >> 1); b.After(&l.items[m], set) {
			low = m + 1
		} else {
			high = m
		}
	}
	return low
}

// search returns the number of the child below which b belongs.
func (in *inner) search(b *Bound, set *Slabs) int {
	low, high := 0, in.n-1
	for low < high {
		m := int(uint(low+high) >> 1)
		if b.Reached(&in.separators[m], set) {
			low = m + 1
		} else {
			high = m
		}
	}
	return low
}

// ownLeaf returns the leaf at child for the caller to change.
func (t *Tree) ownLeaf(child *unsafe.Pointer) *leaf {
	l := (*leaf)(*child)
	if t.freezes > 0 && l.epoch != t.epoch {
		c := *l
		c.epoch = t.epoch
		l, *child = &c, unsafe.Pointer(&c)
		t.retained += LeafBytes
	}
	return l
}

// ownInner returns the inner node at child for the caller to change.
func (t *Tree) ownInner(child *unsafe.Pointer) *inner {
	in := (*inner)(*child)
	if t.freezes > 0 && in.epoch != t.epoch {
		c := *in
		c.epoch = t.epoch
		in, *child = &c, unsafe.Pointer(&c)
		t.retained += innerBytes
	}
	return in
}

// Insert adds a key that is not in the tree.
func (t *Tree) Insert(key string) {
	if t.root == nil {
		t.root = unsafe.Pointer(&leaf{epoch: t.epoch})
		t.nodes += LeafBytes
	}
	b := BoundAt(key)
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
func (t *Tree) insertBelow(child *unsafe.Pointer, height int, b *Bound) (right unsafe.Pointer, separator Item) {
	if height == 0 {
		return t.insertLeaf(t.ownLeaf(child), b)
	}
	in := t.ownInner(child)
	i := in.search(b, t.slabs.set)
	if right, separator = t.insertBelow(&in.children[i], height-1, b); right == nil {
		return nil, Item{}
	}
	return t.insertChild(in, i, right, separator)
}

func (t *Tree) insertLeaf(l *leaf, b *Bound) (right unsafe.Pointer, separator Item) {
	x, i := b.Item, l.search(b, t.slabs.set)
	if x.Long() {
		x = t.slabs.store(x, b.Rest)
	}
	if l.n < leafItems {
		l.insert(i, x)
		return nil, Item{}
	}
	r := &leaf{epoch: t.epoch}
	t.nodes += LeafBytes
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

func (l *leaf) insert(i int, x Item) {
	copy(l.items[i+1:l.n+1], l.items[i:l.n])
	l.items[i] = x
	l.n++
}

// insertChild puts right behind child i of in. If in is full it returns another node, for
// in's right.
func (t *Tree) insertChild(in *inner, i int, right unsafe.Pointer, separator Item) (unsafe.Pointer, Item) {
	if in.n < fanout {
		in.insert(i, right, separator)
		return nil, Item{}
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

func (in *inner) insert(i int, right unsafe.Pointer, separator Item) {
	copy(in.children[i+2:in.n+1], in.children[i+1:in.n])
	copy(in.separators[i+1:in.n], in.separators[i:in.n-1])
	in.children[i+1], in.separators[i] = right, separator
	in.n++
}

// separator returns the shortest key that is after a's and not after b's.
func (t *Tree) separator(a, b *Item) Item {
	var bufA, bufB [24]byte
	before, key := a.Key(t.slabs.set, &bufA), b.Key(t.slabs.set, &bufB)
	n := 0
	for n < len(before) && before[n] == key[n] {
		n++
	}
	s := BoundAt(text(key[:n+1]))
	if s.Long() {
		return t.slabs.store(s.Item, s.Rest)
	}
	return s.Item
}
