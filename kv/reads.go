package kv

import (
	"bytes"
	"math"
	"unsafe"
)

const (
	// maxTracked bounds the keys that a transaction remembers one by one, to look at
	// them again. One that has read more conflicts with every write to the shards that
	// it has read.
	maxTracked = 1 << 10

	// maxRechecks bounds how often what was read is looked at again in a row, because
	// others go on to write beside it.
	maxRechecks = 8
)

// A reads is what a transaction has read. Versions tell at little cost that nothing has
// changed in a shard; when something has, the keys themselves are looked at, since with
// the number of shards that there are most changes concern others.
type reads struct {
	shards []shardRead
	keys   []keyRead
	whole  bool  // there is more than keys says, or a range: versions alone count
	until  int64 // the earliest deadline of what was read

	few struct { // the first room
		shards [4]shardRead
		keys   [4]keyRead
	}
}

// A shardRead says up to which version everything that was read in a shard is so.
type shardRead struct {
	number  int
	version uint64
}

// A keyRead is how a key was found.
type keyRead struct {
	hash     uint64
	key      string
	exists   bool
	at       *byte // of the entry's key, in its slab
	value    []byte
	deadline int64
}

func (r *reads) reset() {
	*r = reads{}
	r.until = math.MaxInt64
	r.shards, r.keys = r.few.shards[:0], r.few.keys[:0]
}

// add notes a key that was read in shard n while that had a version.
func (r *reads) add(n int, version, hash uint64, key string, e *entry, exists bool) {
	known := false
	for i := range r.shards {
		known = known || r.shards[i].number == n
	}
	if !known {
		r.shards = append(r.shards, shardRead{n, version})
	}
	if exists && e.deadline != 0 {
		r.until = min(r.until, e.deadline)
	}
	if len(r.keys) >= maxTracked {
		r.whole = true
	}
	if !r.whole {
		r.keys = append(r.keys, keyRead{})
		k := &r.keys[len(r.keys)-1]
		k.hash, k.key, k.exists = hash, key, exists
		if exists {
			k.at, k.value, k.deadline = unsafe.SliceData(e.key), e.value, e.deadline
		}
	}
}

// same reports whether find still finds what was read in shard n.
func (r *reads) same(t *table, n int, find func(hash uint64, key string) (entry, bool)) bool {
	if r.whole {
		return false
	}
	for i := range r.keys {
		k := &r.keys[i]
		if t.number(k.hash) == n && !k.same(find(k.hash, k.key)) {
			return false
		}
	}
	return true
}

// same reports whether an entry is what was read. One that lies elsewhere may have been
// moved; those that are never moved are not compared at length.
func (k *keyRead) same(e entry, exists bool) bool {
	switch {
	case !exists || !k.exists:
		return exists == k.exists
	case unsafe.SliceData(e.key) == k.at:
		return true
	}
	return e.deadline == k.deadline && e.size <= bigEntryBytes && bytes.Equal(e.value, k.value)
}
