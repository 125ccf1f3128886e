package keytree

import (
	"fmt"
	"unsafe"
)

// LongBytes returns how many bytes the slabs of long keys have, how many of them were given
// out, and how many of these are dead.
func (t *Tree) LongBytes() (held, used, dead int64) {
	for _, data := range t.slabs.set.data {
		held += int64(len(data))
	}
	return held, t.slabs.used, t.slabs.dead
}

// Verify returns an error unless the bytes that the tree has counted, block by block, are
// those that there are. It goes through all nodes: it is for tests.
func (t *Tree) Verify() error {
	counted, _ := t.Bytes()
	nodes := t.measure(t.root, t.height)
	if slabs, _, _ := t.LongBytes(); counted != nodes+slabs {
		return fmt.Errorf("keytree: counted %d bytes, has %d of nodes and %d of slabs", counted, nodes, slabs)
	}
	return nil
}

// measure returns the bytes of the nodes below one.
func (t *Tree) measure(node unsafe.Pointer, height int) int64 {
	switch {
	case node == nil:
		return 0
	case height == 0:
		return LeafBytes
	}
	in, n := (*inner)(node), innerBytes
	for i := range in.n {
		n += t.measure(in.children[i], height-1)
	}
	return n
}
