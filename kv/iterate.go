package kv

import "iter"

// All returns an iterator over the store's keys and values, in no particular order,
// not even with [Options.Ordered]: it is the fastest way to see everything, and
// [Store.Range] the one to see it in order. Keys and values are slices of the store's
// memory, as [Store.Get] returns them.
//
// The iteration is exact only within each of the store's shards, as of the moment
// when it comes to that shard: of writes that are made meanwhile it may show some
// and not others. [Store.Snapshot] is exact throughout. No lock is held while the
// loop's body runs; it may read and write the store, and take its time. There is
// nothing to see after Close, or while reads are refused ([ErrStale]).
func (s *Store) All() iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		if v := s.localView(); v != nil {
			s.whileReadable(v.over(s.clock.reached, s.all))(yield)
			return
		}
		s.all(yield)
	}
}

// all is All without the local writes.
func (s *Store) all(yield func(string, []byte) bool) {
	t, err := s.readable()
	if err != nil {
		return
	}
	for i := range t.shards {
		if s.isStale() || !s.visit(&t.shards[i], yield) {
			return
		}
	}
}

// visit yields the visible entries of a shard.
func (s *Store) visit(sh *shard, yield func(string, []byte) bool) (more bool) {
	sh.mu.Lock()
	if sh.mu.keys == 0 {
		sh.mu.Unlock()
		return true
	}
	f := sh.freeze()
	sh.mu.Unlock()
	entries := f.list(nil)
	f.release()
	more = true
	entries.records(func(record []byte) bool {
		e := parseEntry(record)
		if !s.clock.reached(e.deadline) {
			more = yield(text(e.key), e.value)
		}
		return more
	})
	return more
}
