package kv

import (
	"slices"

	"github.com/emberkv/ember/internal/hash"
)

// A spared is a set of keys that are not to be evicted: those of the write or the transaction
// that needs the room.
type spared struct {
	hashes []uint64  // sorted
	shards *shardSet // of which no key is, because too many were read
	table  *table
}

// has reports whether a key is spared. A nil set has none.
func (p *spared) has(sh *shard, hash uint64) bool {
	if p == nil {
		return false
	}
	_, ok := slices.BinarySearch(p.hashes, hash)
	return ok || p.shards != nil && p.shards.has(p.table.number(hash))
}

// sparing returns the set of some keys.
func (s *Store) sparing(keys ...string) *spared {
	t := s.table.Load()
	if t == nil || t.mem == nil {
		return nil
	}
	p := &spared{table: t}
	for _, key := range keys {
		p.hashes = append(p.hashes, hash.String(t.seed, key))
	}
	slices.Sort(p.hashes)
	return p
}

// sparing returns the set of what a transaction has read or written.
func (tx *Tx) sparing() *spared {
	if tx.table.mem == nil {
		return nil
	}
	p := &spared{hashes: make([]uint64, 0, len(tx.writes)+len(tx.seen.keys)), table: tx.table}
	for i := range tx.writes {
		p.hashes = append(p.hashes, hash.String(tx.table.seed, tx.writes[i].key))
	}
	for i := range tx.seen.keys {
		p.hashes = append(p.hashes, tx.seen.keys[i].hash)
	}
	slices.Sort(p.hashes)
	if tx.seen.whole {
		p.shards = new(shardSet)
		for i := range tx.seen.shards {
			p.shards.add(tx.seen.shards[i].number)
		}
	}
	return p
}
