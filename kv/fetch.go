package kv

import "sync/atomic"

// fetchAhead is how many operations' cache lines are asked for before the first of them is
// carried out.
const fetchAhead = 32

// A fetcher asks for the cache lines that operations on single keys will need. On a store
// much larger than the caches nearly each of them is a miss, and misses that do not wait for
// each other overlap. As in a warmer each kind has a loop of its own, and no lock is taken
// between them, for which the processor would finish all loads first.
//
// What it finds may be out of date by the time an operation is carried out; nothing depends
// on it. The zero fetcher is ready to use, again and again.
type fetcher struct {
	slabs   [fetchAhead]*slabSet // of the shards of the keys
	groups  [fetchAhead]*group
	refs    [fetchAhead]slot   // the ones that keys most likely have, or 0
	entries [fetchAhead][]byte // from theirs on
	touched byte               // keeps the compiler from leaving out the loads
}

// fetch asks for what at most fetchAhead operations read: the groups of their keys and the
// entries that stand there now. It takes no lock.
func (f *fetcher) fetch(t *table, ops []operation) {
	f.find(t, ops)
	f.read(len(ops))
}

// fetchLocked is fetch with the shards of all ops locked, and asks for what they write, too.
func (f *fetcher) fetchLocked(t *table, ops []operation) {
	f.find(t, ops)
	for i := range ops {
		f.touched += t.shard(ops[i].hash).fetchPut(f.refs[i], len(ops[i].record))
	}
	f.read(len(ops))
}

// find finds the entries of ops.
func (f *fetcher) find(t *table, ops []operation) {
	for i := range ops {
		sh := t.shard(ops[i].hash)
		f.slabs[i] = sh.slabs.Load() // first: a group that was replaced has old slots; see likely
		first, home := sh.dir.Load().home(ops[i].hash)
		f.groups[i] = at(first, home)
	}
	for _, g := range f.groups[:len(ops)] {
		atomic.LoadUint64(&g[0])
	}
	for i := range ops {
		f.refs[i] = likelySlot(f.groups[i], ops[i].hash)
		f.entries[i] = f.slabs[i].from(f.refs[i])
	}
}

// read reads the entries to their ends, as the digest will, and lets go of them.
func (f *fetcher) read(n int) {
	sum := f.touched
	for _, e := range f.entries[:n] {
		if len(e) > 0 {
			sum += e[0]
		}
	}
	for _, e := range f.entries[:n] {
		for i := min(entryLines(e), len(e)-1); i > 0; i -= 64 {
			sum += e[i]
		}
	}
	*f = fetcher{touched: sum}
}

// fetchPut reads what a put of size bytes is going to write when ref is replaced: the count
// of the old entry's slab, and the place of the new one. That no processor has seen since it
// was cleared, and the store of the slot waits for the stores to it.
func (sh *shard) fetchPut(ref slot, size int) (sum byte) {
	a := &sh.mu.arena
	if id := ref.slab(); int(id) < len(a.slabs) {
		sum = byte(a.slabs[id].dead)
	}
	if a.current != 0 {
		from := int(a.slabs[a.current].used)
		// A line more, in which the entry ends, and the next one begins.
		to := from + min(size, fetchBytes) + 64
		sum += touch(a.data[from:min(to, len(a.data))])
	}
	return sum
}
