package kv

import (
	"cmp"
	"slices"
	"sync/atomic"

	"github.com/emberkv/ember/rdb"
)

// A batch is a number of changes to different keys, or the removal of all keys, that
// show at once, though the slots that they change are stored one after the other and
// readers take no lock.
//
// Before the first slot is stored, every shard that has one is made to point to the
// batch, and to let go of it after the last one. A reader looks at that pointer after
// it has looked for its key. If it finds a batch with the key in it, the slot does not
// count: until shown is set, the key has the entry that stood there before, and from
// then on the one that a second look finds. So shown is the moment at which all of them
// change, and no reader waits for it.
//
// A batch is made for one use. Readers may hold it for as long as they like, so what
// they read of it does not change, and lies in slabs.
type batch struct {
	table  *table
	shown  atomic.Bool
	steps  []step // by hash, and so by shard
	before []view // of each shard, for the removal of all keys
}

// A step is what becomes of one key.
type step struct {
	op      operation
	at      found       // where the key stood before; its entry stays what it was
	room    reservation // for a put, or the copy that a new deadline takes
	shifted bool        // the key stands elsewhere when the step's turn comes
}

// A view is how the entries of a shard are found.
type view struct {
	dir   *directory
	slabs *slabSet
}

// newBatch returns a batch of operations. They must be on different keys.
func newBatch(t *table, ops []operation) *batch {
	var b *batch
	if len(ops) > 1 && len(ops) <= len(smallBatch{}.room) {
		one := new(smallBatch)
		b, one.steps = &one.batch, one.room[:len(ops)]
	} else {
		b = &batch{steps: make([]step, len(ops))}
	}
	b.table = t
	var few [16]rank
	for i, p := range sortByHash(few[:0], ops) {
		b.steps[i].op = ops[p.i]
	}
	return b
}

// A smallBatch has room for the steps of most batches of several, and takes one allocation.
type smallBatch struct {
	batch
	room [4]step
}

// A rank stands for a hash in a slice of something larger, which is sorted by way of
// ranks.
type rank struct {
	hash uint64
	i    int
}

// sortByHash returns the ranks of operations in the order of their hashes, in the room of
// dst if there is enough.
func sortByHash(dst []rank, ops []operation) []rank {
	for i := range ops {
		dst = append(dst, rank{ops[i].hash, i})
	}
	slices.SortFunc(dst, func(x, y rank) int { return cmp.Compare(x.hash, y.hash) })
	return dst
}

// prepare makes room for everything that the batch is to do. The shards must be locked.
// Steps that would change nothing are left out. It returns ErrFull, and then has changed
// nothing that shows.
func (b *batch) prepare() error {
	all := b.steps
	b.fetch()
	b.steps = all[:0]
	for first := 0; first < len(all); {
		n := b.table.number(all[first].op.hash)
		end := first + 1
		for end < len(all) && b.table.number(all[end].op.hash) == n {
			end++
		}
		if err := b.prepareShard(&b.table.shards[n], all[first:end]); err != nil {
			b.abandon()
			return err
		}
		first = end
	}
	return nil
}

// fetch reads what a small batch is going to write in several shards, so that these misses
// overlap; see shard.fetch. Those within a shard lie together.
func (b *batch) fetch() {
	if len(b.steps) > fetchAhead {
		return
	}
	for i := range b.steps {
		op := &b.steps[i].op
		b.table.shard(op.hash).fetch(op.hash, len(op.record))
	}
}

// prepareShard prepares those of a shard, and keeps what is left of them behind the ones
// that the batch has.
func (b *batch) prepareShard(sh *shard, steps []step) error {
	first, inserts := len(b.steps), 0
	for i := range steps {
		st := &steps[i]
		op := &st.op
		sh.locate(op.hash, text(op.key), &st.at)
		switch exists := st.at.ok(); op.kind {
		case rdb.KindPut, rdb.KindPutDeadline:
			if !exists {
				inserts++
			}
		case kindDeadline:
			if !exists || st.at.deadline == op.deadline {
				continue
			}
		default:
			if !exists {
				continue
			}
		}
		n := len(b.steps)
		if b.steps = b.steps[:n+1]; &b.steps[n] != st {
			b.steps[n] = *st
		}
	}
	steps = b.steps[first:]
	err := sh.makeRoomFor(steps, inserts)
	for i := range steps {
		if err == nil {
			err = steps[i].reserve(sh)
		}
		if err != nil {
			b.steps = b.steps[:first+i] // the rest has no room to give back
			return err
		}
		steps[i].shifted = inserts > 0
	}
	return nil
}

// reserve takes the room for a step's entry and writes it there. From here on the key
// lies in a slab.
func (st *step) reserve(sh *shard) (err error) {
	switch op := &st.op; op.kind {
	case rdb.KindPut, rdb.KindPutDeadline:
		var big []byte
		if op.owned {
			big = op.record[:cap(op.record)]
		}
		if st.room, err = sh.reserve(len(op.record), big); err != nil {
			return err
		}
		if !op.owned {
			copy(st.room.bytes, op.record)
		}
		// Where it lies is read from the record: the room is on its way from memory.
		var e entry
		e.parse(op.record)
		end := len(op.record) - len(e.value)
		op.key = st.room.bytes[end-len(e.key) : end : end]
	case kindDeadline:
		if st.room, err = sh.redated(op.hash, &st.at, op.deadline); err != nil {
			return err
		}
		op.key = st.at.key
		op.sum = rdb.EntrySum(text(op.key), st.at.value, op.deadline)
	default:
		op.key = st.at.key
	}
	return nil
}

// abandon gives back what prepare has reserved.
func (b *batch) abandon() {
	for _, st := range slices.Backward(b.steps) {
		if st.room.bytes != nil {
			b.table.shard(st.op.hash).abandon(st.room)
		}
	}
}

// show publishes everything that was prepared. It cannot fail. The shards must still be
// locked.
func (b *batch) show() {
	if len(b.steps) == 1 {
		b.steps[0].show(b.table)
	} else {
		b.announce(b)
		// What is removed last cannot take with it, by emptying a shard, what was
		// reserved there.
		for _, put := range []bool{true, false} {
			for i := range b.steps {
				if st := &b.steps[i]; put == (st.room.bytes != nil) {
					st.show(b.table)
				}
			}
		}
		b.shown.Store(true)
		b.announce(nil)
	}
	for i := range b.steps {
		st := &b.steps[i]
		if x := b.table.index; x != nil && st.at.ok() && st.room.bytes == nil {
			x.remove(st.op.key) // only now, when no reader finds it any more
		}
		// Only now: compaction takes what is in a slab, and in no slot, for dead.
		if st.at.ok() {
			b.table.shard(st.op.hash).compact(st.at.size)
		}
	}
}

// announce lets the shards of all steps point to with.
func (b *batch) announce(with *batch) {
	for i := range b.steps {
		b.table.shard(b.steps[i].op.hash).batch.Store(with)
	}
}

// show publishes one step. Nothing is moved meanwhile, so the key stands where it was
// found, unless its segment was replaced to make room for others.
func (st *step) show(t *table) {
	op, sh, at := &st.op, t.shard(st.op.hash), &st.at
	if st.shifted {
		at = new(found)
		sh.locate(op.hash, text(op.key), at)
	}
	switch {
	case st.room.bytes != nil:
		sh.put(op.hash, at, st.room, op.deadline, op.sum)
	case at.ok():
		sh.take(op.hash, at)
	}
}

// find returns how a key stood before, and whether it is one that the batch changes.
func (b *batch) find(hash uint64, key string) (old entry, existed, concerned bool) {
	if b.before != nil {
		existed = b.before[b.table.number(hash)].find(hash, key, &old)
		return old, existed, true
	}
	i, _ := slices.BinarySearchFunc(b.steps, hash, func(st step, hash uint64) int { return cmp.Compare(st.op.hash, hash) })
	for ; i < len(b.steps) && b.steps[i].op.hash == hash; i++ {
		if st := &b.steps[i]; string(st.op.key) == key {
			return st.at.entry, st.at.ok(), true
		}
	}
	return entry{}, false, false
}

// during decides what a reader has found that found the batch b after it.
func (sh *shard) during(b *batch, hash uint64, key string, e *entry, ok bool) bool {
	old, existed, concerned := b.find(hash, key)
	switch {
	case !concerned:
		return ok
	case b.shown.Load():
		return sh.look(hash, key, b, e) // what was found may be from before
	}
	*e = old
	return existed
}

// find is that of a shard, in a view that does not change.
func (v view) find(hash uint64, key string, e *entry) bool {
	var p probe
	for p.begin(v.dir, hash); ; {
		_, _, ref, ok := p.next()
		if !ok {
			return false
		}
		if e.parse(v.slabs.at(ref)); string(e.key) == key {
			return true
		}
	}
}

// clear takes away all entries of all shards at once. They must be locked.
func (t *table) clear() {
	b := &batch{table: t, before: make([]view, len(t.shards))}
	for i := range t.shards {
		b.before[i] = view{t.shards[i].dir.Load(), t.shards[i].slabs.Load()}
	}
	for i := range t.shards {
		t.shards[i].batch.Store(b)
	}
	for i := range t.shards {
		t.shards[i].clear()
	}
	t.ahead.Drop()
	b.shown.Store(true)
	if t.index != nil {
		t.index.clear() // when no reader finds a key any more
	}
	for i := range t.shards {
		t.shards[i].batch.Store(nil)
	}
}
