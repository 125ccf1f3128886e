package keytree

import "unsafe"

const (
	// bulkItems and bulkChildren leave some room in every node: if all were full, the
	// next inserts would split one each.
	bulkItems    = leafItems * 7 / 8
	bulkChildren = fanout * 7 / 8
)

// A Builder makes a tree of items that come in order, from the left to the right.
type Builder struct {
	tree *Tree
	leaf *leaf

	// The level that is being made, and between its nodes the separators.
	nodes      []unsafe.Pointer
	separators []Item
}

// Build returns what makes a tree, which must be empty.
func (t *Tree) Build() *Builder { return &Builder{tree: t} }

// Add adds an item, whose key is rest if it is long.
func (b *Builder) Add(x Item, rest string) {
	if x.Long() {
		x = b.tree.slabs.store(x, rest)
	}
	if b.leaf == nil || b.leaf.n == bulkItems {
		l := &leaf{}
		b.tree.nodes += LeafBytes
		if b.leaf != nil {
			b.separators = append(b.separators, b.tree.separator(&b.leaf.items[b.leaf.n-1], &x))
		}
		b.leaf = l
		b.nodes = append(b.nodes, unsafe.Pointer(l))
	}
	b.leaf.items[b.leaf.n] = x
	b.leaf.n++
}

// Finish makes the levels above the leaves.
func (b *Builder) Finish() {
	for len(b.nodes) > 1 {
		b.level()
		b.tree.height++
	}
	if len(b.nodes) == 1 {
		b.tree.root = b.nodes[0]
	}
}

// level puts each bulkChildren nodes below another.
func (b *Builder) level() {
	var above Builder
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
