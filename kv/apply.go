package kv

import (
	"fmt"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/internal/hash"
)

// applyAtOnce is how many bytes of records are applied before all locks are let go, for which
// transactions wait that read any key of these shards. A larger record holds up those of its
// own shard only.
const applyAtOnce = 64 << 10

// Apply takes whole records that another node has logged at position at: it
// appends them to the store's log, whose gate is not asked, and applies them in
// order. Each is visible as soon as it is applied, and all of them are when
// Apply returns. It copies records.
//
// It returns [backlog.ErrPosition] unless at is the end of the store's log, and a
// [*RecordError] if a record does not decode; nothing has changed then. After an
// [ErrFull], which says that the log has more than the table, it returns
// [ErrDamaged] until a full copy has been loaded. Concurrent calls wait for each
// other.
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
	var ahead fetcher
	for len(ops) > 0 {
		var err error
		n := leadingSingles(ops[:min(len(ops), fetchAhead)])
		if n > 0 {
			err = t.applySingles(ops[:n], &ahead)
		} else {
			n, err = 1, t.applySeveral(&ops[0])
		}
		if err != nil {
			return err
		}
		ops = ops[n:]
	}
	return nil
}

// leadingSingles returns how many operations at the front of ops concern one key each and
// may be applied under one hold of their shards' locks: up to applyAtOnce bytes, or one.
func leadingSingles(ops []operation) int {
	bytes := 0
	for i := range ops {
		switch ops[i].kind {
		case kindClear, kindTransaction, kindDeletePrefix:
			return i
		}
		if bytes += len(ops[i].record); bytes > applyAtOnce && i > 0 {
			return i
		}
	}
	return len(ops)
}

// applySingles applies operations on single keys, in order, as many as leadingSingles says.
// All their shards are locked meanwhile, some twenty microseconds, so that nothing comes
// between what is asked for at once and its use. It returns ErrFull.
func (t *table) applySingles(ops []operation, ahead *fetcher) error {
	var set shardSet
	for i := range ops {
		set.add(t.number(ops[i].hash))
	}
	t.lockSome(&set)
	defer t.unlockSome(&set)
	ahead.fetchLocked(t, ops)
	for i := range ops {
		if err := t.shard(ops[i].hash).apply(&ops[i]); err != nil {
			return err
		}
	}
	return nil
}

// applySeveral applies an operation on several keys, or all. It returns ErrFull.
func (t *table) applySeveral(op *operation) error {
	switch op.kind {
	case kindClear:
		t.lock()
		defer t.unlock()
		t.clear()
	case kindTransaction:
		return t.applyParts(op.parts(t.seed))
	case kindDeletePrefix:
		t.applyPrefix(op)
	}
	return nil
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
		at   found
		i    int
	)
	for key := range op.prefixKeys() {
		h := hashes[i]
		if t.shard(h).locate(h, text(key), &at); at.ok() && keys.add(at.key) {
			ops = append(ops, operation{kind: kindDelete, hash: h, key: at.key})
		}
		i++
	}
	b := newBatch(t, ops)
	b.prepare() // cannot fail: it needs no room
	b.show()
}

// warmAll asks for the cache lines that ops will need; see fetcher.
func (t *table) warmAll(ops []operation) {
	var ahead fetcher
	for rest := ops; len(rest) > 0; rest = rest[min(fetchAhead, len(rest)):] {
		ahead.fetch(t, rest[:min(fetchAhead, len(rest))])
	}
}
