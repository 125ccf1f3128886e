package kv

import (
	"fmt"
	"sync/atomic"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/internal/hash"
)

// warmAhead is how many records' cache lines are asked for before the first of
// them is applied.
const warmAhead = 16

// Apply takes whole records that another node has logged at position at: it
// appends them to the store's log, whose gate is not asked, and applies them in
// order. Each is visible as soon as it is applied, and all are when Apply
// returns. It copies records.
//
// It returns [backlog.ErrPosition] unless at is the end of the store's log, and a
// [*RecordError] if a record does not decode; nothing has changed then. After an
// [ErrFull], which says that the log has more than the table, it returns
// [ErrDamaged] until a full copy was loaded. Calls are made one after the other,
// and held up to be so.
func (s *Store) Apply(at backlog.Position, records []byte) error {
	if s.journal != nil {
		s.journal.awaitDisk() // before the lock, which the journal needs
	}
	s.apply.Lock()
	defer s.apply.Unlock()
	t := s.table.Load()
	switch here := s.log.Position(); {
	case t == nil:
		return ErrClosed
	case s.apply.failed != nil:
		return s.damaged()
	case at != here:
		return fmt.Errorf("%w: records at %s, log ends at %s", backlog.ErrPosition, at, here)
	}
	apply := t.applyAll
	if s.local != nil {
		apply = s.beneath(t, apply)
	}
	begun := false
	ops, err := carryOut(s.apply.ops, at.Offset, records, t.seed, func() error {
		s.applying.Store(at.Offset)
		begun = true
		return s.log.AppendAt(at, records)
	}, apply)
	s.apply.ops = ops
	if err != nil && begun && s.log.End() != at.Offset {
		// The log has more than the table. What was logged last is never waited
		// for with success, nor handed on.
		s.apply.failed = err
	} else {
		s.applying.Store(idle)
	}
	s.waiters.wake()
	return err
}

// applyAll applies operations in order.
func (t *table) applyAll(ops []operation) error {
	for i := range ops {
		if i%warmAhead == 0 {
			t.warm(ops[i:min(i+warmAhead, len(ops))])
		}
		if err := t.applyOne(&ops[i]); err != nil {
			return err
		}
	}
	return nil
}

// applyOne applies an operation. It returns ErrFull.
func (t *table) applyOne(op *operation) error {
	switch op.kind {
	case kindClear:
		t.lock()
		defer t.unlock()
		t.clear()
		return nil
	case kindTransaction:
		return t.applyParts(op.parts(t.seed))
	case kindDeletePrefix:
		t.applyPrefix(op)
		return nil
	}
	sh := t.shard(op.hash)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.apply(op)
}

// applyParts applies operations on different keys at once.
func (t *table) applyParts(ops []operation) error {
	t.warmAll(ops)
	var set shardSet
	for i := range ops {
		set.add(t.number(ops[i].hash))
	}
	t.lockSome(&set)
	defer t.unlockSome(&set)
	b := newBatch(t, ops)
	if err := b.prepare(); err != nil {
		return err
	}
	b.show()
	return nil
}

// applyPrefix applies the removal of all keys with a prefix. Their number bounds the
// work: it does not look for keys, but is told which they are.
func (t *table) applyPrefix(op *operation) {
	var (
		set    shardSet
		hashes []uint64
	)
	for key := range op.prefixKeys() {
		h := hash.Bytes(t.seed, key)
		hashes = append(hashes, h)
		set.add(t.number(h))
	}
	t.lockSome(&set)
	defer t.unlockSome(&set)
	var (
		ops  []operation
		keys keySet // a key that is named twice is removed once
		i    int
	)
	for key := range op.prefixKeys() {
		h := hashes[i]
		if at := t.shard(h).locate(h, text(key)); at.ok() && keys.add(at.key) {
			ops = append(ops, operation{kind: kindDelete, hash: h, key: at.key})
		}
		i++
	}
	b := newBatch(t, ops)
	b.prepare() // cannot fail: it needs no room
	b.show()
}

// warmAll is warm for any number of operations.
func (t *table) warmAll(ops []operation) {
	for rest := ops; len(rest) > 0; rest = rest[min(warmAhead, len(rest)):] {
		t.warm(rest[:min(warmAhead, len(rest))])
	}
}

// warm asks for the cache lines that ops will need: the groups of their keys, and
// then the entries that stand there now. On a store much larger than the caches each
// is a miss, and misses that do not wait for each other overlap. What it finds may be
// out of date by the time the operation is carried out; nothing depends on it.
func (t *table) warm(ops []operation) (sum byte) {
	for i := range ops {
		first, home := t.shard(ops[i].hash).dir.Load().home(ops[i].hash)
		atomic.LoadUint64(&at(first, home)[0])
	}
	for i := range ops {
		sum += t.shard(ops[i].hash).glance(ops[i].hash)
	}
	return sum
}

// glance reads the first byte of the entry that a key most likely has. It takes no
// lock; see find, of which it is the first step.
func (sh *shard) glance(hash uint64) byte {
	slabs := sh.slabs.Load()
	first, i := sh.dir.Load().home(hash)
	g := at(first, i)
	match := matchTags(atomic.LoadUint64(&g[0]), tag(hash))
	if match == 0 {
		return 0
	}
	ref := slot(atomic.LoadUint64(&g[1+lowest(match)]))
	if ref == 0 || sh.slabs.Load() != slabs {
		return 0
	}
	return slabs.data[ref.slab()][ref.offset()]
}
