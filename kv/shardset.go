package kv

import (
	"math/bits"

	"github.com/emberkv/ember/internal/spin"
	"github.com/emberkv/ember/rdb"
)

// A shardSet is a set of shards of a table, by their numbers.
type shardSet [rdb.MaxShards / 64]uint64

func (set *shardSet) add(n int) { set[n/64] |= 1 << (n % 64) }

// lock locks the shards of a set in index order.
func (t *table) lockSome(set *shardSet) {
	for i, word := range set {
		for ; word != 0; word &= word - 1 {
			spin.Lock(&t.shards[i*64+bits.TrailingZeros64(word)].mu.Mutex)
		}
	}
}

func (t *table) unlockSome(set *shardSet) {
	for i, word := range set {
		for ; word != 0; word &= word - 1 {
			t.shards[i*64+bits.TrailingZeros64(word)].mu.Unlock()
		}
	}
}

func (set *shardSet) has(n int) bool { return set[n/64]&(1<<(n%64)) != 0 }
