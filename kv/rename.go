package kv

import (
	"github.com/emberkv/ember/internal/hash"
	"github.com/emberkv/ember/rdb"
)

// Rename gives a key's value and deadline to another key, whose own are lost, and
// removes the first, at once and as one record. Renaming a key to itself changes
// nothing. It returns [ErrNotFound] when there is no such key, [ErrEmptyKey] and
// [ErrTooLarge] for the new one, [ErrClosed], and the errors of the log's gate and
// settler.
func (s *Store) Rename(key, to string) error { return s.transfer(key, to, true) }

// Copy gives a key's value and deadline to another key, whose own are lost. The log gets
// the value, as if it had been set. Copy returns the errors of [Store.Rename].
func (s *Store) Copy(key, to string) error { return s.transfer(key, to, false) }

func (s *Store) transfer(key, to string, remove bool) error {
	if err := checkKey(to); err != nil {
		return err
	}
	if s.takesLocally() {
		if taken, err := s.transferLocally(key, to, remove); taken {
			return err
		}
	}
	w := s.beginWrite()
	deadline, end, err := s.transferKey(key, to, remove)
	for try := 0; s.again(&err, try, key, to); try++ {
		deadline, end, err = s.transferKey(key, to, remove)
	}
	if end == 0 {
		return s.unchanged(err)
	}
	if deadline != 0 {
		s.expirer.wake(deadline)
	}
	return w.settle(end)
}

func (s *Store) transferKey(key, to string, remove bool) (deadline, end int64, err error) {
	t, unlock := s.lockKeys(key, to)
	if t == nil {
		return 0, 0, ErrClosed
	}
	defer unlock()
	h := hash.String(t.seed, key)
	var at found
	t.shard(h).locate(h, key, &at)
	switch {
	case !at.ok() || s.clock.reached(at.deadline):
		return 0, 0, ErrNotFound
	case key == to:
		return 0, 0, nil
	}
	size := rdb.EntrySize(len(to), len(at.value), at.deadline)
	put := operation{
		kind: rdb.KindPut, hash: hash.String(t.seed, to), sum: rdb.EntrySum(to, at.value, at.deadline),
		deadline: at.deadline, key: bytesOf(to), record: newBigSlab(size)[:size],
		owned: size > bigEntryBytes,
	}
	if at.deadline != 0 {
		put.kind = rdb.KindPutDeadline
	}
	rdb.PutEntry(put.record, to, at.value, at.deadline)
	ops := []operation{put}
	if remove {
		gone := operation{kind: kindDelete, hash: h, key: at.key, record: appendKeyRecord(nil, kindDelete, key)}
		ops = append(ops, gone)
		if err := checkRecord(2, len(put.record)+len(gone.record)); err != nil {
			return 0, 0, err
		}
	}
	end, err = s.commit(newBatch(t, ops))
	return at.deadline, end, err
}

// lockKeys returns the table with the shards of two keys locked, and what unlocks them;
// or nil when the store is closed.
func (s *Store) lockKeys(a, b string) (t *table, unlock func()) {
	for {
		t := s.table.Load()
		if t == nil {
			return nil, nil
		}
		var set shardSet
		set.add(t.number(hash.String(t.seed, a)))
		set.add(t.number(hash.String(t.seed, b)))
		t.lockSome(&set)
		if s.table.Load() == t {
			return t, func() { t.unlockSome(&set) }
		}
		t.unlockSome(&set)
	}
}
