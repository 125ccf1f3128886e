package kv

import "github.com/emberkv/ember/backlog"

// A Digest says what a store holds at a position, in brief. Two stores that hold
// the same entries have equal Sum and Keys; two at the same Position must have.
type Digest struct {
	// Sum is the sum, modulo 2^64, of [rdb.EntrySum] over all entries.
	Sum uint64

	// Keys is the number of entries. It includes those whose deadline has passed
	// and that have not been deleted yet: their deletion is a record, so a node
	// that hides them still has what all others have at this position.
	Keys int64

	Position backlog.Position
}

// Digest returns the digest of the store's contents. It is kept up to date by
// every write, so this takes microseconds, during which writers wait. It returns
// [ErrClosed] and [ErrDamaged].
func (s *Store) Digest() (Digest, error) {
	// Records that are logged and not applied would be in the position and not
	// in the sum.
	s.apply.Lock()
	defer s.apply.Unlock()
	t := s.lockAll()
	if t == nil {
		return Digest{}, ErrClosed
	}
	defer t.unlock()
	return s.digestLocked(t), s.damaged()
}

// digestLocked is Digest for the holder of the apply lock and of all shards'.
func (s *Store) digestLocked(t *table) Digest {
	keys, sum, _ := t.totalsLocked()
	return Digest{Sum: sum, Keys: keys, Position: s.log.Position()}
}
