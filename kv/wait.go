package kv

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emberkv/ember/backlog"
)

// idle is what Store.applying says when every record in the log is applied.
const idle = math.MaxInt64

// Wait blocks until everything up to pos is visible in this store. So what was
// written or read on another node before a position was taken there can be read
// here. Wait returns ctx.Err, [ErrClosed], an [*InvalidError] for a negative
// offset, and [ErrLost] when the store has left pos's history at an earlier
// offset. It waits for a position in a history that is not known here, because a
// new master's may be on its way; and for one that this store has left behind by
// itself, as long as it has not heard how the master that it follows now goes on,
// or awaits its first lease. Give ctx a deadline. The zero Position is everywhere.
func (s *Store) Wait(ctx context.Context, pos backlog.Position) error {
	if pos.Offset < 0 {
		return &InvalidError{Field: "Position.Offset", Value: pos.Offset, Want: "0 or more"}
	}
	if ok, err := s.reached(pos); ok || err != nil && err != errUndecided {
		return err
	}
	for {
		// Watched before it is looked at, so that no change is missed.
		changed := s.waiters.watch()
		var again <-chan time.Time
		switch ok, err := s.reached(pos); {
		case err == errUndecided:
			again = time.After(lookAgain)
		case ok || err != nil:
			return err
		}
		select {
		case <-changed:
		case <-again:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// errUndecided says that a position may turn out to be lost.
var errUndecided = errors.New("kv: undecided")

// lookAgain is when a position is looked at again that may turn out to be lost: a lease, by which that is
// decided, changes nothing in the store.
const lookAgain = time.Second

// reached reports whether pos is visible.
func (s *Store) reached(pos backlog.Position) (bool, error) {
	t := s.table.Load()
	switch {
	case t == nil:
		return false, ErrClosed
	case pos.IsZero():
		return true, nil
	}
	lineage := s.log.Lineage()
	known := pos.History == lineage.Current
	for _, f := range lineage.Earlier {
		if f.History == pos.History {
			if pos.Offset > f.End && s.undecided() {
				return false, errUndecided
			}
			if pos.Offset > f.End {
				return false, fmt.Errorf("%w: %s, which ended at %d", ErrLost, pos, f.End)
			}
			known = true
		}
	}
	// The end is read before applying, in the other order from that in which Apply
	// stores them. The lineage must still be the one that this end belongs to.
	if !known || s.log.End() < pos.Offset || s.applying.Load() < pos.Offset ||
		s.log.Lineage().Current != lineage.Current {
		return false, nil
	}
	// A write of our own shows after it is in the log, under its shard's lock.
	t.pass()
	return true, nil
}

// undecided reports whether the present history is one that this store has begun and that may come to
// nothing: it now follows another, and has not heard yet how that one went on; or its node was started
// as a master, and the error that refuses writes says that nobody has given it the right to write.
func (s *Store) undecided() bool {
	if _, own := s.log.Origin(); !own {
		return false
	}
	var why interface{ Undecided() bool }
	return s.following.Load() || errors.As(s.log.Refusing(), &why) && why.Undecided()
}

// Waiters are those who wait for a position. While there are none a change costs
// one load. A change is what a write, Apply, a full copy, SetFollower or SetClock does: a
// log that is forked wakes nobody by itself, but the node that forks it goes on to one of
// these, at the latest with the next heartbeat.
type waiters struct {
	waiting atomic.Bool
	mu      struct {
		sync.Mutex
		changed chan struct{} // nil when nobody waits
	}
}

// watch returns a channel that is closed at the next change.
func (w *waiters) watch() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.mu.changed == nil {
		w.mu.changed = make(chan struct{})
		w.waiting.Store(true)
	}
	return w.mu.changed
}

// wake wakes all who wait. It must be called after the change.
func (w *waiters) wake() {
	if !w.waiting.Load() {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.mu.changed != nil {
		close(w.mu.changed)
		w.mu.changed = nil
		w.waiting.Store(false)
	}
}
