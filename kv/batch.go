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
	hash    uint64
	key     []byte
	old     entry
	existed bool

	op   operation
	room reservation // for a put, or the copy that a new deadline takes
}

// A view is how the entries of a shard are found.
type view struct {
	dir   *directory
	slabs *slabSet
}

// prepare makes room for everything that ops do. They must be on different keys, and
// the shards of those locked. Of those that would change nothing no step is made. It
// returns ErrFull, and then has changed nothing that shows.
func (b *batch) prepare(ops []operation) error {
	slices.SortFunc(ops, func(x, y operation) int { return cmp.Compare(x.hash, y.hash) })
	b.steps = make([]step, 0, len(ops))
	for first := 0; first < len(ops); {
		n := b.table.number(ops[first].hash)
		end := first + 1
		for end < len(ops) && b.table.number(ops[end].hash) == n {
			end++
		}
		if err := b.prepareShard(&b.table.shards[n], ops[first:end]); err != nil {
			b.abandon()
			return err
		}
		first = end
	}
	return nil
}

func (b *batch) prepareShard(sh *shard, ops []operation) error {
	first, inserts := len(b.steps), 0
	for i := range ops {
		op := &ops[i]
		at := sh.locate(op.hash, text(op.key))
		switch op.kind {
		case rdb.KindPut, rdb.KindPutDeadline:
			if !at.ok() {
				inserts++
			}
		case kindDeadline:
			if !at.ok() || at.deadline == op.deadline {
				continue
			}
		default:
			if !at.ok() {
				continue
			}
		}
		b.steps = append(b.steps, step{hash: op.hash, key: at.key, old: at.entry, existed: at.ok(), op: *op})
	}
	steps := b.steps[first:]
	err := sh.makeRoomFor(steps, inserts)
	for i := range steps {
		if err == nil {
			err = steps[i].reserve(sh)
		}
		if err != nil {
			b.steps = b.steps[:first+i] // the rest has no room to give back
			return err
		}
	}
	return nil
}

// reserve takes the room for a step's entry and writes it there.
func (st *step) reserve(sh *shard) (err error) {
	switch op := &st.op; op.kind {
	case rdb.KindPut, rdb.KindPutDeadline:
		if st.room, err = sh.reserve(len(op.record), op.big); err != nil {
			return err
		}
		if op.big == nil {
			copy(st.room.bytes, op.record)
		}
		if !st.existed {
			st.key = parseEntry(st.room.bytes).key
		}
	case kindDeadline:
		st.room, err = sh.redated(st.hash, &found{entry: st.old, ref: 1}, op.deadline)
		op.sum = rdb.EntrySum(text(st.key), st.old.value, op.deadline)
	}
	return err
}

// abandon gives back what prepare has reserved.
func (b *batch) abandon() {
	for _, st := range slices.Backward(b.steps) {
		if st.room.bytes != nil {
			b.table.shard(st.hash).abandon(st.room)
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
		if x := b.table.index; x != nil && st.existed && st.room.bytes == nil {
			x.remove(st.key) // only now, when no reader finds it any more
		}
		// Only now: compaction takes what is in a slab, and in no slot, for dead.
		if st.existed {
			b.table.shard(st.hash).compact(st.old.size)
		}
	}
}

// announce lets the shards of all steps point to with.
func (b *batch) announce(with *batch) {
	for i := range b.steps {
		b.table.shard(b.steps[i].hash).batch.Store(with)
	}
}

// show publishes one step. The key is located again, because the steps before may have
// divided its segment, or moved its entry.
func (st *step) show(t *table) {
	sh := t.shard(st.hash)
	at := sh.locate(st.hash, text(st.key))
	switch {
	case st.room.bytes != nil:
		sh.put(st.hash, &at, st.room, st.op.deadline, st.op.sum)
	case at.ok():
		sh.take(st.hash, &at)
	}
}

// find returns how a key stood before, and whether it is one that the batch changes.
func (b *batch) find(hash uint64, key string) (old entry, existed, concerned bool) {
	if b.before != nil {
		old, existed = b.before[b.table.number(hash)].find(hash, key)
		return old, existed, true
	}
	i, _ := slices.BinarySearchFunc(b.steps, hash, func(st step, hash uint64) int { return cmp.Compare(st.hash, hash) })
	for ; i < len(b.steps) && b.steps[i].hash == hash; i++ {
		if st := &b.steps[i]; string(st.key) == key {
			return st.old, st.existed, true
		}
	}
	return entry{}, false, false
}

// during decides what a reader has found that found the batch b after it.
func (sh *shard) during(b *batch, hash uint64, key string, e entry, ok bool) (entry, bool) {
	old, existed, concerned := b.find(hash, key)
	switch {
	case !concerned:
		return e, ok
	case b.shown.Load():
		return sh.look(hash, key, b) // what was found may be from before
	}
	return old, existed
}

// find returns the entry of a key in a view that does not change.
func (v view) find(hash uint64, key string) (entry, bool) {
	for p := v.dir.probe(hash); ; {
		_, _, ref, ok := p.next()
		if !ok {
			return entry{}, false
		}
		if e := v.slabs.entryAt(ref); string(e.key) == key {
			return e, true
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
	b.shown.Store(true)
	if t.index != nil {
		t.index.clear() // when no reader finds a key any more
	}
	for i := range t.shards {
		t.shards[i].batch.Store(nil)
	}
}
