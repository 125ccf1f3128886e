package kv

import "fmt"

// An Eviction says what becomes of a write that would pass [Options.MaxBytes].
type Eviction uint8

const (
	// NoEviction refuses it with [ErrFull].
	NoEviction Eviction = iota

	// EvictLRU removes keys that have not been read or written for long.
	EvictLRU

	// EvictLFU removes keys that are seldom read or written. A key has to prove itself
	// before it counts among the others, so that a pass over many keys that are never
	// asked for again does not drive out those that are.
	EvictLFU

	// EvictTTL removes the keys whose deadline comes soonest, and refuses the write with
	// [ErrFull] when none has one.
	EvictTTL
)

var evictions = [...]string{"none", "lru", "lfu", "ttl"}

// String returns "none", "lru", "lfu" or "ttl".
func (e Eviction) String() string {
	if int(e) < len(evictions) {
		return evictions[e]
	}
	return fmt.Sprintf("Eviction(%d)", uint8(e))
}

// marks reports whether the policy has to know which keys are used.
func (e Eviction) marks() bool { return e == EvictLRU || e == EvictLFU }
