package kv

import "github.com/emberkv/ember/internal/hash"

// SetStale says whether the store's data are too old to be read from now on, as a node
// that has lost its master may want it (see Reading of package repl). Until it is said
// otherwise, these return [ErrStale], or show nothing where they return no error:
//
//   - Get, GetMulti, Append, Has, TTL, Min, Max, View and its Tx, and the same of a [Map], Load too;
//   - All, Range, Prefix and Backward, of which a loop that has begun ends. A [Map]'s
//     iterators then yield ErrStale; use View where nothing must not be taken for an end;
//   - local writes, under [Options.WritableReplica].
//
// Len, Position, Wait, Digest, Stats, Snapshot and Watch go on: they say what there is, or
// come with the position that they stand for. A position that Wait was asked for is here,
// though it may not be read.
func (s *Store) SetStale(stale bool) {
	s.routing.Lock()
	defer s.routing.Unlock()
	s.stale.Store(stale)
	s.routeLocked()
}

// readable returns the table if it may be read, or ErrClosed or ErrStale.
func (s *Store) readable() (*table, error) {
	if t := s.reads.Load(); t != nil {
		return t, nil
	}
	t := s.table.Load()
	switch {
	case t == nil:
		return nil, ErrClosed
	case s.stale.Load():
		return nil, ErrStale
	}
	return t, nil
}

// routeLocked chooses the way of those who read single keys: straight to the table, if
// nothing is in the way. So they look at one pointer and nothing else.
func (s *Store) routeLocked() {
	if s.stale.Load() || s.local != nil && s.local.view.Load() != nil {
		s.reads.Store(nil)
		return
	}
	s.reads.Store(s.table.Load())
}

// install puts another table in the place of the one in use. nil closes the store.
func (s *Store) install(t *table) {
	s.routing.Lock()
	defer s.routing.Unlock()
	// Before the table: who has found the new one, and so what can be waited for in it,
	// must not read the old one afterwards.
	if s.reads.Load() != nil {
		s.reads.Store(t)
	}
	s.table.Store(t)
	s.routeLocked()
}

// find returns the entry of a key in the table.
func (t *table) find(key string) (e entry, ok bool) {
	h := hash.String(t.seed, key)
	if !t.shard(h).find(h, key, &e) {
		return entry{}, false
	}
	return e, true
}
