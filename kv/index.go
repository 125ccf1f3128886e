package kv

import (
	"sync"

	"github.com/emberkv/ember/internal/keytree"
)

// An index holds a table's keys in order. It changes when a key comes or goes, never when
// one is overwritten, and does not know the values.
//
// It is changed under the lock of the key's shard, and has the key before readers find it
// in the table, until they do not any more. So whoever has read a key finds it in the
// index, and with all shards locked the two are equal.
type index struct {
	mem *memory // of the table; nil when nothing bounds it

	mu struct {
		sync.RWMutex
		tree    keytree.Tree
		charged int64
	}
}

// bound gives the index of a table what bounds it.
func (x *index) bound(m *memory) {
	x.mem = m
	x.mu.Lock()
	defer x.mu.Unlock()
	x.chargeLocked()
}

// chargeLocked charges what the index takes now.
func (x *index) chargeLocked() {
	if x.mem == nil {
		return
	}
	if held, retained := x.mu.tree.Bytes(); held+retained != x.mu.charged {
		x.mem.used.Add(held + retained - x.mu.charged)
		x.mu.charged = held + retained
	}
}

// bytes returns what the index takes, and what frozen views alone still need.
func (x *index) bytes() (held, retained int64) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.mu.tree.Bytes()
}

func newIndex() *index {
	x := &index{}
	x.mu.tree = keytree.New()
	return x
}

// insert adds a key that is not there yet. It keeps no reference to it.
func (x *index) insert(key []byte) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.mu.tree.Insert(text(key))
	x.chargeLocked()
}

func (x *index) remove(key []byte) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.mu.tree.Remove(text(key))
	x.chargeLocked()
}

// clear takes away all keys at once. Views that are frozen stay as they are.
func (x *index) clear() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.mu.tree.Clear()
	x.chargeLocked()
}

// freeze returns a view of the index as it is now, which the caller releases, once.
func (x *index) freeze() keytree.View {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.mu.tree.Freeze()
}

// release says that a frozen view will not be read any more.
func (x *index) release() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.mu.tree.Release()
	x.chargeLocked()
}

// ascend and descend are those of the tree. With the items they return the slabs in which
// long keys are found, after the lock was let go of too.
func (x *index) ascend(from *keytree.Start, room []keytree.Item) (int, *keytree.Slabs) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	v := x.mu.tree.View()
	return v.Ascend(from, room), v.Slabs
}

func (x *index) descend(before *keytree.Start, room []keytree.Item) (int, *keytree.Slabs) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	v := x.mu.tree.View()
	return v.Descend(before, room), v.Slabs
}
