package kv

import (
	"math"
	"time"

	"github.com/emberkv/ember/internal/hash"
)

// neverStale is the moment after which data are stale that may always be read.
const neverStale = math.MaxInt64

// SetStaleAfter says that the store's data will be too old to be read after t, as a node that has
// lost its master may want (see Reading of package repl): at once if t has passed, and never, as at
// the beginning, if t is the zero Time. From then on, until it is called again, these return
// [ErrStale], or show nothing where they return no error:
//
//   - Get, GetMulti, Append, Has, TTL, Min, Max, View and its Tx, and the same of a [Map], Load too;
//   - All, Range, Prefix and Backward, whose running loops end. A [Map]'s iterators then
//     yield ErrStale; use View where this must not be mistaken for the end;
//   - local writes, under [Options.WritableReplica].
//
// Len, Position, Wait, Digest, Stats, Snapshot and Watch go on: they say what there is, or
// come with the position that they stand for. Wait returns when the position is here,
// though it may not be read.
//
// Nothing has to happen at t: a process that was stopped and goes on reads nothing that has become
// too old meanwhile. While there is such a time each read asks the clock, a GetMulti once for 32
// keys, which costs a Get 50 to 70 ns (BenchmarkGetBounded). t counts by its monotonic part, if it
// has one, which on Linux stands still while the whole machine is suspended.
func (s *Store) SetStaleAfter(t time.Time) {
	after := time.Duration(neverStale)
	if !t.IsZero() {
		after = t.Sub(s.born)
	}
	s.staleAfter.Store(int64(after))
}

// isStale reports whether the data are too old to be read.
func (s *Store) isStale() bool {
	after := s.staleAfter.Load()
	return after != neverStale && int64(time.Since(s.born)) > after
}

// free returns the table if the way of those who read single keys to it is free, or nil.
func (s *Store) free() *table {
	if s.isStale() { // first: a table that is found before may have been replaced by the one that is not
		return nil
	}
	return s.reads.Load()
}

// readable returns the table if it may be read, or ErrClosed or ErrStale.
func (s *Store) readable() (*table, error) {
	if t := s.free(); t != nil {
		return t, nil
	}
	stale, t := s.isStale(), s.table.Load()
	switch {
	case t == nil:
		return nil, ErrClosed
	case stale:
		return nil, ErrStale
	}
	return t, nil
}

// routeLocked chooses the way of those who read single keys: straight to the table, if
// nothing lies over it. So they look at one pointer, and at whether there is a time to look at.
func (s *Store) routeLocked() {
	if s.local != nil && s.local.view.Load() != nil {
		s.reads.Store(nil)
		return
	}
	s.reads.Store(s.table.Load())
}

// install puts another table in place of the one in use. nil closes the store.
func (s *Store) install(t *table) {
	s.routing.Lock()
	defer s.routing.Unlock()
	// Before the table: whoever has found the new one, and so what can be waited for in
	// it, must not read the old one afterwards.
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
