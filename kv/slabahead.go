package kv

import (
	"sync/atomic"

	"github.com/emberkv/ember/internal/hugepage"
)

// A slabAhead keeps a slab that was made before a writer needs it.
//
// A new slab may lie in memory that nobody has touched yet. Whoever touches a large page of it first
// waits until the system has found and cleared it: 0.1 milliseconds, or 4 in a virtual
// machine whose host has to find it, too. A writer would wait under its shard's lock, and
// others for it. So a goroutine makes the next slab as soon as one is taken, and ends.
//
// One slab for all shards is enough: writers who take them faster make their own.
type slabAhead struct {
	next   atomic.Pointer[[]byte] // nil while there is none
	making atomic.Bool            // a goroutine is about to store next
}

// take returns a new slab of n bytes.
func (a *slabAhead) take(n int) []byte {
	p := a.next.Swap(nil)
	if a.making.CompareAndSwap(false, true) {
		go a.make(n)
	}
	if p == nil || len(*p) != n {
		return newLargeSlab(n)
	}
	return *p
}

// make makes the next slab. Shards have slabs of the same size for the most part.
func (a *slabAhead) make(n int) {
	slab := newLargeSlab(n)
	hugepage.Touch(slab)
	a.next.Store(&slab)
	a.making.Store(false)
}

func newLargeSlab(n int) []byte {
	slab := make([]byte, n)
	hugepage.Advise(slab)
	return slab
}
