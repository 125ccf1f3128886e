package keytree

import "unsafe"

// Remove takes away a key, if the tree has it.
func (t *Tree) Remove(key string) {
	if t.root == nil {
		return
	}
	b := BoundAt(key)
	died, _ := t.removeBelow(&t.root, t.height, &b)
	for t.height > 0 && (*inner)(t.root).n == 1 {
		t.root = (*inner)(t.root).children[0]
		t.gone(innerBytes)
		t.height--
	}
	t.compact(died)
}

// gone counts a node of so many bytes that has left the tree.
func (t *Tree) gone(bytes int64) {
	t.nodes -= bytes
	if t.freezes > 0 {
		t.retained += bytes // a view may have it
	}
}

// removeBelow removes a key below child. It returns how many bytes of long keys that
// freed, and whether the child has become small.
func (t *Tree) removeBelow(child *unsafe.Pointer, height int, b *Bound) (died int, small bool) {
	if height > 0 {
		in := t.ownInner(child)
		i := in.search(b, t.slabs.set)
		if died, small = t.removeBelow(&in.children[i], height-1, b); small {
			died += t.merge(in, i, height-1)
		}
		return died, in.n < smallNode
	}
	l := t.ownLeaf(child)
	i := l.search(b, t.slabs.set)
	if i == l.n || !b.Equals(&l.items[i], t.slabs.set) {
		return 0, false
	}
	died = t.slabs.kill(l.items[i])
	copy(l.items[i:], l.items[i+1:l.n])
	l.n--
	return died, l.n < smallNode
}

// merge puts child i of in, which is small, together with the one before or behind it, if
// they fit.
func (t *Tree) merge(in *inner, i, height int) (died int) {
	for j := max(i-1, 0); j <= i && j+1 < in.n; j++ {
		if height == 0 {
			if t.mergeLeaves(in, j) {
				t.gone(LeafBytes)
				return t.slabs.kill(in.drop(j))
			}
		} else if t.mergeInner(in, j) {
			in.drop(j) // the separator has gone down
			t.gone(innerBytes)
			return 0
		}
	}
	return 0
}

// fits reports whether two nodes of so many items or children are to become one.
func fits(a, b int) bool { return a+b <= mergedNode || a == 0 || b == 0 }

// mergeLeaves moves the items of child j+1 to child j.
func (t *Tree) mergeLeaves(in *inner, j int) bool {
	r := (*leaf)(in.children[j+1])
	if !fits((*leaf)(in.children[j]).n, r.n) {
		return false
	}
	l := t.ownLeaf(&in.children[j])
	l.n += copy(l.items[l.n:], r.items[:r.n])
	return true
}

// mergeInner moves the children of child j+1 to child j.
func (t *Tree) mergeInner(in *inner, j int) bool {
	r := (*inner)(in.children[j+1])
	if !fits((*inner)(in.children[j]).n, r.n) {
		return false
	}
	l := t.ownInner(&in.children[j])
	l.separators[l.n-1] = in.separators[j]
	copy(l.separators[l.n:], r.separators[:r.n-1])
	l.n += copy(l.children[l.n:], r.children[:r.n])
	return true
}

// drop takes away child j+1 and returns the separator that was before it.
func (in *inner) drop(j int) Item {
	s := in.separators[j]
	copy(in.separators[j:], in.separators[j+1:in.n-1])
	copy(in.children[j+1:], in.children[j+2:in.n])
	in.n--
	in.children[in.n] = nil
	return s
}

// compact does a share of the work of getting rid of dead keys, after died bytes have been
// added to them: it looks at the next keys of the victim and moves those that are alive.
// While a view is frozen, which keeps all slabs alive, it does nothing.
func (t *Tree) compact(died int) {
	k := &t.slabs
	if died == 0 || t.freezes > 0 {
		return
	}
	if k.victim < 0 {
		k.choose()
	}
	k.owed += keyWalk * died
	for k.victim >= 0 && k.owed > 0 {
		id := uint32(k.victim)
		x := Item{}.refers(id, k.cursor)
		key := k.set.keyAt(id, k.cursor)
		size := keySize(key)
		k.cursor += size
		k.owed -= size
		if owner := t.owner(text(key), x.Tail); owner != nil {
			moved := k.store(*owner, text(key))
			k.kill(*owner) // drops the slab with the last one
			*owner = moved
		}
	}
}

// owner returns the item that refers to a copy of a key, or nil when there is none. The
// caller may change it: no view is frozen.
func (t *Tree) owner(key string, tail uint64) *Item {
	b := BoundAt(key)
	node := t.root
	for height := t.height; height > 0; height-- {
		in := (*inner)(node)
		i := in.search(&b, t.slabs.set)
		// A separator that is the key has just been passed.
		if i > 0 && in.separators[i-1].Tail == tail {
			return &in.separators[i-1]
		}
		node = in.children[i]
	}
	l := (*leaf)(node)
	if i := l.search(&b, t.slabs.set); i < l.n && l.items[i].Tail == tail {
		return &l.items[i]
	}
	return nil
}
