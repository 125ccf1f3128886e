package keytree

import "unsafe"

// A View is a tree for its readers: a frozen one, or the one in use, until it is changed.
type View struct {
	root   unsafe.Pointer
	height int
	Slabs  *Slabs // of the long keys
}

// View returns a view that is good until the next change.
func (t *Tree) View() View { return View{t.root, t.height, t.slabs.set} }

// A Start is where a chunk of items begins, of those that are taken from one end of a range
// at a time. Unless it is Set it is the tree's own end.
type Start struct {
	Bound
	Set       bool
	Exclusive bool // without the key at the bound itself; always so when descending
}

// Ascend fills room with the items from start on, and returns how many they are.
func (v *View) Ascend(from *Start, room []Item) int {
	if v.root == nil {
		return 0
	}
	if !from.Set {
		from = nil
	}
	return v.ascendBelow(v.root, v.height, from, room)
}

func (v *View) ascendBelow(node unsafe.Pointer, height int, from *Start, room []Item) (n int) {
	i := 0
	if height == 0 {
		l := (*leaf)(node)
		if from != nil {
			i = l.search(&from.Bound, v.Slabs)
			if from.Exclusive && i < l.n && from.Equals(&l.items[i], v.Slabs) {
				i++
			}
		}
		return copy(room, l.items[i:l.n])
	}
	in := (*inner)(node)
	if from != nil {
		i = in.search(&from.Bound, v.Slabs)
	}
	for ; i < in.n && n < len(room); i++ {
		n += v.ascendBelow(in.children[i], height-1, from, room[n:])
		from = nil
	}
	return n
}

// Descend fills room with the items before start, the last one first, and returns how many
// they are.
func (v *View) Descend(before *Start, room []Item) int {
	if v.root == nil {
		return 0
	}
	if !before.Set {
		before = nil
	}
	return v.descendBelow(v.root, v.height, before, room)
}

func (v *View) descendBelow(node unsafe.Pointer, height int, before *Start, room []Item) (n int) {
	if height == 0 {
		l := (*leaf)(node)
		i := l.n
		if before != nil {
			i = l.search(&before.Bound, v.Slabs)
		}
		for ; i > 0 && n < len(room); n++ {
			i--
			room[n] = l.items[i]
		}
		return n
	}
	in := (*inner)(node)
	i := in.n - 1
	if before != nil {
		i = in.search(&before.Bound, v.Slabs)
	}
	for ; i >= 0 && n < len(room); i-- {
		n += v.descendBelow(in.children[i], height-1, before, room[n:])
		before = nil
	}
	return n
}
