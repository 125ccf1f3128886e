package kv

import (
	"fmt"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/rdb"
)

// Repair leaves the end of the store's log for the history of another node, in place of a
// full copy. From then on the store is at the footer's position: its log has the other
// one's bytes from r.Fork on, and its contents are what the other store had there. The keys in
// r.Keys, which the store's own records after the fork concern, get the state that r has of
// them; those that r.Records concern get what these say; all others have been the same on both
// since the fork. Records are effects, so it does no harm to carry out on top of the state
// those of r.Records that precede it.
//
// All of it shows at once, to reads, transactions and snapshots. Readers of the log that stood in
// what is left behind get [backlog.ErrReset], and watchers that have seen some of it an
// [EventReset]. [Store.Wait] returns [ErrLost] for positions in it. Before, it is handed to
// [Options].OnLostTail. Repair shares memory with r, and never holds up reads; it holds up copies
// and snapshots for about a microsecond a key.
//
// It returns [ErrRepair] when r does not fit the store, which may have been changed since
// [Store.Tail], or changes too much; [ErrDigest] when the contents would not be those that
// the footer says; [ErrBlock] and [*RecordError] for what does not decode; [ErrFull],
// [ErrDamaged] and [ErrClosed]. Then nothing has changed.
func (s *Store) Repair(r *rdb.Repair) error {
	t := s.table.Load()
	if t == nil {
		return ErrClosed
	}
	o := overlay{seed: t.seed, index: make(map[string]int)}
	if err := o.gather(r); err != nil {
		return err
	}
	log, err := s.continued(r)
	if err != nil {
		return err
	}
	log.Close() // not under the locks, where nothing is waited for
	// Verified first, so that nothing is reported as lost that is not.
	if err := s.atTail(t, r, func() error { return t.verify(o.ops, r.Footer) }); err != nil {
		return err
	}
	s.reportLostTail(r.Lineage, r.Footer.Position.Offset)
	err = s.atTail(t, r, func() error { return s.goOver(t, o.ops, r.Fork, log) })
	s.waiters.wake()
	return err
}

// continued returns the log as it will be.
func (s *Store) continued(r *rdb.Repair) (_ *backlog.Log, err error) {
	mine, to := s.log.Lineage(), r.Footer.Position
	if err := r.Lineage.Validate(to.Offset); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRepair, err)
	}
	if common, ok := mine.Common(r.Tail.Offset, r.Lineage, to.Offset); !ok || r.Fork < 0 || r.Fork > common {
		return nil, fmt.Errorf("%w: it has parted from %s before %d", ErrRepair, to, r.Fork)
	}
	log, err := s.log.Branch(r.Fork)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRepair, err)
	}
	defer func() {
		if err != nil {
			log.Close()
		}
	}()
	for _, records := range r.Records {
		for len(records) > 0 {
			if err := log.Extend(r.Lineage.At(log.End())); err != nil {
				return nil, fmt.Errorf("%w: %w", ErrRepair, err)
			}
			n := int64(len(records))
			if fork, ok := r.Lineage.NextFork(log.End()); ok {
				n = min(n, fork-log.End())
			}
			if err := log.AppendAt(log.Position(), records[:n]); err != nil {
				return nil, fmt.Errorf("%w: %w", ErrRepair, err)
			}
			records = records[n:]
		}
	}
	if err := log.Extend(r.Lineage); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRepair, err)
	}
	if end := log.Position(); end != to {
		return nil, fmt.Errorf("%w: log up to %s, want %s", ErrRepair, end, to)
	}
	return log, nil
}

// atTail calls f with all locks held, if the contents are still t at the end of the tail.
func (s *Store) atTail(t *table, r *rdb.Repair, f func() error) error {
	s.apply.Lock()
	defer s.apply.Unlock()
	if s.local != nil {
		s.local.mu.Lock()
		defer s.local.mu.Unlock()
	}
	now := s.lockAll()
	if now == nil {
		return ErrClosed
	}
	defer now.unlock()
	if err := s.damaged(); err != nil {
		return err
	}
	if at := s.log.Position(); now != t || at != r.Tail {
		return fmt.Errorf("%w: contents are at %s, and the tail ended at %s", ErrRepair, at, r.Tail)
	}
	return f()
}

// verify returns ErrDigest unless ops, on different keys, make of t what f says. All
// shards must be locked.
func (t *table) verify(ops []operation, f rdb.Footer) error {
	keys, sum, _ := t.totalsLocked()
	for i := range ops {
		op := &ops[i]
		var at found
		t.shard(op.hash).locate(op.hash, text(op.key), &at)
		if at.ok() {
			keys--
			sum -= rdb.EntrySum(text(at.key), at.value, at.deadline)
		}
		switch {
		case op.kind == rdb.KindPut || op.kind == rdb.KindPutDeadline:
			keys++
			sum += op.sum
		case op.kind == kindDeadline && at.ok():
			keys++
			sum += rdb.EntrySum(text(at.key), at.value, op.deadline)
		}
	}
	if keys != f.Keys || sum != f.Sum {
		return fmt.Errorf("%w: %d keys with sum %016x at %s, want %d with %016x", ErrDigest, keys, sum, f.Position, f.Keys, f.Sum)
	}
	return nil
}

// goOver exchanges the log and carries out ops, on different keys, at once. All locks
// must be held.
func (s *Store) goOver(t *table, ops []operation, fork int64, log *backlog.Log) error {
	b := newBatch(t, ops)
	if err := b.prepare(); err != nil {
		return err
	}
	// As when records are applied: first the log, and nothing of it is visible
	// behind the fork before the table has it.
	s.applying.Store(fork)
	s.log.Adopt(log)
	b.show()
	s.uncoverLocked(t, ops)
	t.repairs.Add(1)
	s.applying.Store(idle)
	return nil
}
