package kv

import "unsafe"

// A treeView is a tree for its readers: the one in use under the index's lock, or a frozen
// one, which needs none.
type treeView struct {
	root   unsafe.Pointer
	height int
	set    *keySlabSet
}

func (t *tree) view() treeView { return treeView{t.root, t.height, t.slabs.set} }

// A chunk of items is taken from one end of a range at a time. Start is where the next one
// begins: nothing stands for the range's own end.
type start struct {
	bound
	set       bool
	exclusive bool // without the key at the bound itself; always so when descending
}

// ascend fills room with the items from start on, and returns how many they are.
func (v *treeView) ascend(from *start, room []indexKey) int {
	if v.root == nil {
		return 0
	}
	if !from.set {
		from = nil
	}
	return v.ascendBelow(v.root, v.height, from, room)
}

func (v *treeView) ascendBelow(node unsafe.Pointer, height int, from *start, room []indexKey) (n int) {
	i := 0
	if height == 0 {
		l := (*leaf)(node)
		if from != nil {
			i = l.search(&from.bound, v.set)
			if from.exclusive && i < l.n && from.equals(&l.items[i], v.set) {
				i++
			}
		}
		return copy(room, l.items[i:l.n])
	}
	in := (*inner)(node)
	if from != nil {
		i = in.search(&from.bound, v.set)
	}
	for ; i < in.n && n < len(room); i++ {
		n += v.ascendBelow(in.children[i], height-1, from, room[n:])
		from = nil
	}
	return n
}

// descend fills room with the items before start, the last one first, and returns how many
// they are.
func (v *treeView) descend(before *start, room []indexKey) int {
	if v.root == nil {
		return 0
	}
	if !before.set {
		before = nil
	}
	return v.descendBelow(v.root, v.height, before, room)
}

func (v *treeView) descendBelow(node unsafe.Pointer, height int, before *start, room []indexKey) (n int) {
	if height == 0 {
		l := (*leaf)(node)
		i := l.n
		if before != nil {
			i = l.search(&before.bound, v.set)
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
		i = in.search(&before.bound, v.set)
	}
	for ; i >= 0 && n < len(room); i-- {
		n += v.descendBelow(in.children[i], height-1, before, room[n:])
		before = nil
	}
	return n
}
