package spin

import (
	"runtime"
	"sync"
)

const (
	// rounds bounds how often a lock is looked at again before the goroutine sleeps:
	// for some twenty microseconds.
	rounds = 512

	// pause is how many empty turns a loop makes between two looks, for a tenth of a
	// microsecond at most: each takes the cache line from the one who has the lock, who
	// writes beside it.
	pause = 100

	// yieldEvery is after how many rounds others may run: there may be more goroutines
	// than processors, and one of them have the lock.
	yieldEvery = 64
)

// Lock locks mu. Before it sleeps as mu.Lock does, it looks for some twenty microseconds
// whether mu is free; it is for a lock that nobody holds for much longer than that, and never
// over a wait. It is as fair as mu is: one who has slept for a millisecond is served first.
func Lock(mu *sync.Mutex) {
	if !mu.TryLock() {
		wait(mu)
	}
}

func wait(mu *sync.Mutex) {
	for round := range rounds {
		for range pause {
		}
		if mu.TryLock() {
			return
		}
		if round%yieldEvery == yieldEvery-1 {
			runtime.Gosched()
		}
	}
	mu.Lock()
}
