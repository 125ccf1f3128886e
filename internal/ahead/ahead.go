// Package ahead makes memory before a writer needs it.
//
// New memory may be such that nobody has touched yet. Whoever touches a large page of it first
// waits until the system has found and cleared it: 0.1 milliseconds, or 4 in a virtual machine
// whose host has to find it, too. A writer would wait with a lock that others wait for.
package ahead

import (
	"sync"

	"github.com/emberkv/ember/internal/hugepage"
)

// A Block is the next block of memory, or the place for it. The zero Block is empty.
//
// It is for any number of goroutines, and has at most one of its own, which makes a block and
// ends. Drop, or Close, is the last to be called.
type Block struct {
	mu struct {
		sync.Mutex // held for a moment; nothing is locked or waited for under it
		bytes      []byte
		making     bool
		unwanted   bool // what is being made was dropped
		closed     bool
	}
	maker sync.WaitGroup
}

// Make begins to make a block of n bytes, all zeros, on large pages, unless there is one of that size, or
// one is being made. It does not block.
func (b *Block) Make(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.mu.making || b.mu.closed || len(b.mu.bytes) == n {
		return
	}
	b.mu.making, b.mu.unwanted = true, false
	b.maker.Go(func() {
		bytes := make([]byte, n)
		hugepage.Advise(bytes)
		hugepage.Touch(bytes)
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.mu.making = false; !b.mu.unwanted {
			b.mu.bytes = bytes
		}
	})
}

// Take returns the block, which is the caller's then, or nil if there is none of n bytes: one of another
// size is given up.
func (b *Block) Take(n int) []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	bytes := b.mu.bytes
	b.mu.bytes = nil
	if len(bytes) != n {
		return nil
	}
	return bytes
}

// Drop gives the block up, and what is being made.
func (b *Block) Drop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mu.bytes, b.mu.unwanted = nil, true
}

// Close gives the block up, waits until nothing is being made any more, which takes some
// milliseconds at most, and keeps anything from being made.
func (b *Block) Close() {
	b.mu.Lock()
	b.mu.bytes, b.mu.unwanted, b.mu.closed = nil, true, true
	b.mu.Unlock()
	b.maker.Wait()
}

// Held returns the bytes of the block.
func (b *Block) Held() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return int64(len(b.mu.bytes))
}
