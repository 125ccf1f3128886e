package kv

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/internal/hash"
	"github.com/emberkv/ember/rdb"
)

// commit carries out what the transaction wrote, if everything that it read is so still.
// It returns ErrConflict when not, and the log's end afterwards, or 0 when there was
// nothing to change.
func (tx *Tx) commit() (end int64, err error) {
	if len(tx.writes) == 0 {
		return 0, nil
	}
	s, t := tx.store, tx.table
	size := 0
	for i := range tx.writes {
		size += len(tx.writes[i].record)
	}
	if err := checkRecord(len(tx.writes), size); err != nil {
		return 0, err
	}
	var set shardSet
	for i := range tx.seen.shards {
		set.add(tx.seen.shards[i].number)
	}
	var few [4]operation
	ops := tx.operations(few[:0])
	for i := range ops {
		set.add(t.number(ops[i].hash))
	}
	if len(ops) > max(1, len(tx.seen.keys)) {
		t.warmAll(ops) // what was read has been fetched for that
	}
	b := newBatch(t, ops) // before others have to wait: it sorts, and takes 300 bytes a key
	t.lockSome(&set)
	defer t.unlockSome(&set)
	if err := tx.checkLocked(); err != nil {
		return 0, err
	}
	return s.commit(b)
}

// operations returns what was written, as what is done to the table, in the room of dst
// if there is enough.
func (tx *Tx) operations(dst []operation) []operation {
	ops := slices.Grow(dst, len(tx.writes))[:len(tx.writes)]
	for i := range tx.writes {
		w, op := &tx.writes[i], &ops[i]
		op.kind, op.hash = w.kind, hash.String(tx.table.seed, w.key)
		op.deadline, op.key, op.record, op.owned = w.deadline, bytesOf(w.key), w.record, w.owned
		if w.kind == rdb.KindPut || w.kind == rdb.KindPutDeadline {
			op.sum = rdb.EntrySum(w.key, w.value, w.deadline)
		}
	}
	return ops
}

// checkLocked is check with the shards locked in which something was read or is written.
func (tx *Tx) checkLocked() error {
	switch now := tx.store.table.Load(); {
	case now == nil:
		return ErrClosed
	case now != tx.table:
		return ErrConflict
	}
	r := &tx.seen
	for _, v := range r.shards {
		sh := &tx.table.shards[v.number]
		if sh.version.Load() != v.version && !tx.recheck(v.number, sh) {
			return ErrConflict
		}
	}
	if tx.moment == 0 && tx.cut == nil {
		return nil // no deadline was met
	}
	if now := tx.store.clock.now(); r.until <= now || now < tx.moment || tx.cut != nil && tx.cut.expiredSince(now) {
		return ErrConflict
	}
	return nil
}

// expiredSince reports whether a key has reached its deadline between the snapshot and
// now. The shards must be locked, and unchanged since.
func (n *Snapshot) expiredSince(now int64) bool {
	visible := n.digest.Keys
	for _, f := range n.views {
		visible -= f.shard.mu.deadlines.passed(now)
	}
	return visible != n.visible
}

// checkRecord returns ErrTooLarge when one record cannot have n parts of that many bytes.
func checkRecord(n, bytes int) error {
	if n > 1 && bytes+1 > backlog.MaxRecordBytes {
		return fmt.Errorf("%w: transaction of %d bytes, limit %d", ErrTooLarge, bytes, backlog.MaxRecordBytes-1)
	}
	return nil
}

// commit logs what a batch does, as one record, and shows it at once. Its shards must be
// locked. It returns 0 for the log's end when the batch changes nothing.
func (s *Store) commit(b *batch) (end int64, err error) {
	t := b.table
	acquired, err := s.admitBatch(b)
	if err != nil {
		return 0, err
	}
	if err = b.prepare(); err == nil && len(b.steps) > 0 {
		var few [1 << 10]byte
		end, err = s.logAndShow(b, b.record(few[:0]))
	}
	if t.mem != nil {
		t.mem.used.Add(-acquired)
		s.evictForBatch(b)
	}
	return end, err
}

// evictForBatch is evictFor for all that a batch has written.
func (s *Store) evictForBatch(b *batch) {
	if !b.table.mem.tight() {
		return
	}
	var few [16]uint64
	written := spared{hashes: few[:0]}
	for i := range b.steps {
		written.hashes = append(written.hashes, b.steps[i].op.hash) // which are sorted
	}
	for i := range b.steps {
		s.evictFor(b.table.shard(b.steps[i].op.hash), len(b.steps[i].room.bytes), &written)
	}
}

// record returns the record of what a batch does, in the room of dst if there is enough.
func (b *batch) record(dst []byte) []byte {
	if len(b.steps) == 1 {
		return b.steps[0].op.record
	}
	size := 1
	for i := range b.steps {
		size += len(b.steps[i].op.record)
	}
	dst = slices.Grow(dst, size+backlog.MaxFrameOverhead)
	dst = append(binary.AppendUvarint(dst, uint64(size)), kindTransaction)
	for i := range b.steps {
		dst = append(dst, b.steps[i].op.record...)
	}
	return dst
}

// logAndShow carries out what was prepared, if the log's gate lets its record in.
func (s *Store) logAndShow(b *batch, record []byte) (end int64, err error) {
	// First the log, then the table, as with a single key.
	if end, err = s.log.Append(record); err != nil {
		b.abandon()
		return 0, err
	}
	b.show()
	return end, nil
}
