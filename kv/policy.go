package kv

import (
	"fmt"
	"slices"
)

// An Eviction says what becomes of a write that would pass [Options.MaxBytes].
type Eviction uint8

const (
	// NoEviction refuses it with [ErrFull].
	NoEviction Eviction = iota

	// EvictLRU removes keys that have not been read or written for long.
	EvictLRU

	// EvictLFU removes keys that are seldom read or written. A key has to prove itself
	// before it counts among the others, so that a pass over many keys that nobody
	// asks for again does not drive out those in use.
	EvictLFU

	// EvictTTL removes the keys with the earliest deadlines, and refuses the write with
	// [ErrFull] when no key has one.
	EvictTTL
)

var evictions = [...]string{"none", "lru", "lfu", "ttl"}

const wantEviction = "one of none, lru, lfu and ttl"

// String returns "none", "lru", "lfu" or "ttl".
func (e Eviction) String() string {
	if int(e) < len(evictions) {
		return evictions[e]
	}
	return fmt.Sprintf("Eviction(%d)", uint8(e))
}

// MarshalText returns what String returns.
func (e Eviction) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// UnmarshalText reads what String returns, or returns an [*InvalidError].
func (e *Eviction) UnmarshalText(text []byte) error {
	i := slices.Index(evictions[:], string(text))
	if i < 0 {
		return &InvalidError{Field: "Eviction", Value: string(text), Want: wantEviction}
	}
	*e = Eviction(i)
	return nil
}

// marks reports whether the policy has to know which keys are used.
func (e Eviction) marks() bool { return e == EvictLRU || e == EvictLFU }
