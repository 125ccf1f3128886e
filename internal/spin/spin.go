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
)

// Lock locks mu. Before it sleeps as mu.Lock does, it looks for some twenty microseconds
// whether mu is free; it is for a lock that nobody holds for much longer than that, and never
// over a wait. It is as fair as mu is: one who has slept for a millisecond is served first.
func Lock(mu *sync.Mutex) {
	if !mu.TryLock() {
		wait(mu)
	}
}

// wait lets nobody else run before it sleeps: the caller may have other locks, which would stay
// locked for as long as all who want to run take. For the same reason it does not look where
// whoever has the lock cannot run beside it.
func wait(mu *sync.Mutex) {
	if runtime.NumCPU() > 1 { // GOMAXPROCS would take a lock that all waiters meet on
		for range rounds {
			for range pause {
			}
			if mu.TryLock() {
				return
			}
		}
	}
	mu.Lock()
}
