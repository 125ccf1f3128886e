package repl

import (
	"slices"
	"sync"
)

// turns lets as many followers at once leave their tails as Options.MaxSyncs says, and the rest
// wait in line, the first to come first. Each that has its turn may send a list of keys of a
// MiB, makes the machine look up all of them at one moment, and is sent their state; after a
// failover there may be as many of them as there are followers, all in the same second.
type turns struct {
	room int

	mu struct {
		sync.Mutex
		taken   int
		waiting []*turn
	}
}

// A turn is one follower's.
type turn struct {
	granted chan struct{} // closed when it has come
	over    bool          // guarded by turns.mu
}

// ask gets in line. Whoever does calls leave in the end.
func (t *turns) ask() *turn {
	w := &turn{granted: make(chan struct{})}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mu.waiting = append(t.mu.waiting, w)
	t.grantLocked()
	return w
}

// leave gives a turn back, or its place in the line. It may be called more than once.
func (t *turns) leave(w *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if w.over {
		return
	}
	w.over = true
	if i := slices.Index(t.mu.waiting, w); i >= 0 {
		t.mu.waiting = slices.Delete(t.mu.waiting, i, i+1)
	} else {
		t.mu.taken--
	}
	t.grantLocked()
}

func (t *turns) grantLocked() {
	for t.mu.taken < t.room && len(t.mu.waiting) > 0 {
		t.mu.taken++
		close(t.mu.waiting[0].granted)
		t.mu.waiting = slices.Delete(t.mu.waiting, 0, 1)
	}
}

// place returns where in the line w is, from 1; 0 when it is not.
func (t *turns) place(w *turn) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Index(t.mu.waiting, w) + 1
}
