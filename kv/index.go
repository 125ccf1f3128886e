package kv

import "sync"

// An index holds a table's keys in order. It changes when a key comes or goes, never when
// one is overwritten, and does not know the values.
//
// It is changed under the lock of the key's shard, and has the key before readers find it
// in the table, until they do not any more. So whoever has read a key finds it in the
// index, and with all shards locked the two are equal.
type index struct {
	mu struct {
		sync.RWMutex
		tree tree
	}
}

func newIndex() *index {
	x := &index{}
	x.mu.tree = newTree()
	return x
}

// insert adds a key that is not there yet. It keeps no reference to it.
func (x *index) insert(key []byte) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.mu.tree.insert(text(key))
}

func (x *index) remove(key []byte) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.mu.tree.remove(text(key))
}

// clear takes away all keys at once. Views that are frozen stay as they are.
func (x *index) clear() {
	x.mu.Lock()
	defer x.mu.Unlock()
	t := &x.mu.tree
	fresh := newTree()
	fresh.epoch, fresh.freezes = t.epoch, t.freezes
	*t = fresh
}

// freeze returns a view of the index as it is now, which the caller releases, once.
func (x *index) freeze() treeView {
	x.mu.Lock()
	defer x.mu.Unlock()
	t := &x.mu.tree
	t.epoch++
	t.freezes++
	return t.view()
}

// release says that a frozen view will not be read any more.
func (x *index) release() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.mu.tree.freezes--
}

// ascend and descend are those of the tree. With the items they return the slabs in which
// long keys are found, after the lock was let go of too.
func (x *index) ascend(from *start, room []indexKey) (int, *keySlabSet) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	v := x.mu.tree.view()
	return v.ascend(from, room), v.set
}

func (x *index) descend(before *start, room []indexKey) (int, *keySlabSet) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	v := x.mu.tree.view()
	return v.descend(before, room), v.set
}
