package kv

import (
	"crypto/rand"
	"encoding/binary"
	"math/bits"
	"sync/atomic"

	"github.com/emberkv/ember/internal/ahead"
)

// tableShards is the number of shards of a table that was not loaded from another node. It
// is small, for what a write finds out about its shard, the lock, the directory, the slabs'
// places and counts, is not in a processor's cache when others have used that, and each line
// that has to be fetched costs as much as one of the entry's. With 128 a replica that shares its
// processor with others needed a fifth more time for a write. It is large enough for writers,
// who have a lock in common anyway, the log's: two meet in one of 32 with a probability of
// three percent. The 300,000 keys that a shard of a store of ten million has are listed in
// milliseconds, without the lock.
const tableShards = 32

// A table is all the entries of a store. Its shards are chosen by the topmost
// bits of a key's hash. A store exchanges it as a whole when a copy from
// elsewhere is complete.
type table struct {
	seed   uint64
	shift  uint // of the hash, to get the shard's number
	shards []shard
	index  *index // nil when there is none
	mem    *memory
	ahead  ahead.Block // the slab that a shard takes next, if it needs one of that size

	// repairs is how often the contents have gone over to another history; see Repair.
	// It is raised with all shards locked.
	repairs atomic.Int64
}

func newTable(seed uint64, shards int) *table {
	t := &table{seed: seed, shift: uint(64 - bits.Len(uint(shards-1))), shards: make([]shard, shards)}
	for i := range t.shards {
		t.shards[i].init(seed, &t.ahead)
	}
	return t
}

// newSeededTable returns an empty table that nobody who chooses keys can foresee.
func newSeededTable(shards int) *table {
	var seed [8]byte
	rand.Read(seed[:]) // never fails: crypto/rand ends the program instead
	return newTable(binary.LittleEndian.Uint64(seed[:]), shards)
}

// setIndex gives a table that nobody else knows yet an index of exactly its keys.
func (t *table) setIndex(x *index) {
	t.index = x
	x.bound(t.mem)
	for i := range t.shards {
		t.shards[i].index = x
	}
}

// setBeside says whether a table is being loaded beside the one in use.
func (t *table) setBeside(is bool) {
	for i := range t.shards {
		m := &t.shards[i].mu
		m.Lock()
		m.beside = is
		m.Unlock()
	}
}

// bound gives a table that is still empty what bounds it, if anything does.
func (t *table) bound(m *memory) {
	t.mem = m
	for i := range t.shards {
		t.shards[i].mem = m
	}
}

// number returns the number of the shard that a hash belongs to.
func (t *table) number(hash uint64) int { return int(hash >> t.shift) }

func (t *table) shard(hash uint64) *shard { return &t.shards[hash>>t.shift] }

// lock locks every shard in index order, which is how more than one is ever
// locked.
func (t *table) lock() {
	for i := range t.shards {
		t.shards[i].mu.Lock()
	}
}

func (t *table) unlock() {
	for i := range t.shards {
		t.shards[i].mu.Unlock()
	}
}

// pass waits until every write that had begun in a shard when pass came to it
// is visible.
func (t *table) pass() {
	for i := range t.shards {
		t.shards[i].mu.Lock()
		//lint:ignore SA2001 to have held the lock is all that is wanted
		t.shards[i].mu.Unlock()
	}
}

// totalsLocked returns the number and the sum of all entries, and the bytes that
// they take. All shards must be locked.
func (t *table) totalsLocked() (keys int64, sum uint64, bytes int64) {
	for i := range t.shards {
		m := &t.shards[i].mu
		keys += m.keys
		sum += m.sum
		bytes += m.arena.used - m.arena.dead
	}
	return keys, sum, bytes
}
