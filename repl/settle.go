package repl

import (
	"slices"
	"time"
)

// A writer waits until Options.Ack followers have applied the log up to an offset.
// One ack releases all that it covers: while a round trip is under way any number
// of writers gets in line, and the next one carries what they have written
// together.
type writer struct {
	offset int64
	timer  *time.Timer
	ready  chan struct{} // capacity 1: a token when the floor has come to offset
}

// await blocks until the floor has come to offset. It gives up after Options.AckTimeout, and
// when t ends.
func (a *acks) await(t *tenure, offset int64) {
	w := a.newWriter(offset)
	if !a.enter(w) { // it was acked meanwhile
		a.reuse(w)
		return
	}
	select {
	case <-w.ready:
		a.reuse(w)
		return
	case <-w.timer.C:
	case <-t.ctx.Done():
	}
	if late := !a.leave(w); late {
		<-w.ready // sent under the lock, before leave had it
	}
	a.reuse(w)
}

func (a *acks) newWriter(offset int64) *writer {
	patience := a.node.opts.AckTimeout
	select {
	case w := <-a.spare:
		w.offset = offset
		w.timer.Reset(patience)
		return w
	default:
		return &writer{offset, time.NewTimer(patience), make(chan struct{}, 1)}
	}
}

func (a *acks) reuse(w *writer) {
	w.timer.Stop()
	select {
	case a.spare <- w:
	default:
	}
}

// enter puts w into the line, unless the floor has come to its offset already. Most
// offsets are the newest, so its place is looked for from the end.
func (a *acks) enter(w *writer) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.floor.Load() >= w.offset {
		return false
	}
	i := len(a.mu.writers)
	for i > 0 && a.mu.writers[i-1].offset > w.offset {
		i--
	}
	a.mu.writers = slices.Insert(a.mu.writers, i, w)
	return true
}

// leave takes w out of the line. It returns false if w was let go before.
func (a *acks) leave(w *writer) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	i := slices.Index(a.mu.writers, w)
	if i < 0 {
		return false
	}
	a.mu.writers = slices.Delete(a.mu.writers, i, i+1)
	return true
}

// wakeWritersLocked releases those whose offset the floor has reached.
func (a *acks) wakeWritersLocked(floor int64) {
	n := 0
	for n < len(a.mu.writers) && a.mu.writers[n].offset <= floor {
		a.mu.writers[n].ready <- struct{}{}
		n++
	}
	a.mu.writers = slices.Delete(a.mu.writers, 0, n)
}
