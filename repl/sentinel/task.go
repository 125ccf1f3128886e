package sentinel

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/emberkv/ember/repl"
)

// A task is an order to a node that is given until it is carried out. That is safe, as
// what a node has done already it does not do again, and an order that comes late is of an epoch
// that is over.
type task struct {
	number uint64 // of the newest errand; 0 while there was none
	given  int    // how many errands there were
	under  bool   // it is under way
	done   bool
	doneAt time.Time
	err    error     // of the last, if it failed
	failed time.Time // when
}

func (t *task) result(now time.Time, err error) {
	t.under, t.err = false, err
	if err == nil {
		t.done, t.doneAt = true, now
	} else {
		t.failed = now
	}
}

// refused reports whether the node has not done it, and will not however often it is told.
func (t *task) refused() bool {
	var r *repl.RefusedError
	return errors.As(t.err, &r) && !errors.Is(r, repl.ErrBusy) && !errors.Is(r, context.DeadlineExceeded)
}

// idle reports whether the order was refused, and has changed nothing: it was given once only, for a
// reason that is known, and the node did not end while it was carried out.
func (t *task) idle() bool {
	return t.given == 1 && t.refused() && !errors.Is(t.err, repl.ErrPeerClosed) && !errors.Is(t.err, repl.ErrFailed)
}

// due reports whether the order is to be given to n, for the first time or again: a node that was
// busy is left alone for a while, and one whose link was lost has to have said something.
func (t *task) due(now time.Time, n *node, pause time.Duration) bool {
	switch {
	case t.done, t.under, !n.linked, t.refused():
		return false
	case t.err == nil:
		return true
	}
	return !now.Before(t.failed.Add(pause)) && n.sentAt.After(t.failed)
}

// give gives n an order, if it is due, and reports whether it did.
func (f *failover) give(now time.Time, t *task, n *node, o repl.Order) bool {
	if !t.due(now, n, lookAgain) {
		return false
	}
	f.numbers++
	t.number, t.under = f.numbers, true
	t.given++
	o.Epoch = f.epoch
	f.out.orders = append(f.out.orders, errand{number: t.number, to: n.id, order: &o})
	return true
}

// problem describes what became of an order, for the text of an event.
func (t *task) problem(otherwise error) error {
	if t.err == nil {
		return otherwise
	}
	return fmt.Errorf("%w: %w", otherwise, t.err)
}
