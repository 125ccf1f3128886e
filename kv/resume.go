package kv

import (
	"errors"
	"fmt"

	"github.com/emberkv/ember/backlog"
)

// A lostError says why the log does not go on from a watcher's place.
type lostError struct{ why backlog.Refusal }

func (e lostError) Error() string { return fmt.Sprintf("kv: watch cannot go on: %v", e.why) }

// next returns the stretch at the watcher's place. It blocks until there is one, and
// returns nil when it was woken without. It returns a [lostError] when there never will
// be one.
func (w *watcher) next() (*stretch, error) {
	b, level, changes, err := w.hub.next(w)
	switch {
	case err != nil || b != nil:
		return b, err
	case level:
		w.readBy(nil)
		return nil, w.wait()
	}
	if w.own == nil {
		if err := w.find(); err != nil {
			return nil, err
		}
		if w.target != unaimed && w.target <= w.pos.Offset {
			return nil, nil // find has lowered it: there may be nothing to wait for
		}
	}
	b, err = w.own.next()
	switch {
	case errors.Is(err, backlog.ErrTrimmed), errors.Is(err, backlog.ErrReset):
		// Looked up again: the same place may be in the log that came, and else
		// it is said why not.
		w.readBy(nil)
		return nil, nil
	case err != nil || b != nil:
		return b, err
	case !w.hub.park(w, changes):
		return nil, nil
	}
	return nil, w.wait()
}

// readBy lets the watcher read the log by c, or not by itself if that is nil, and lets go of
// the files that the source before may have been at.
func (w *watcher) readBy(c *source) {
	if w.own != nil {
		w.own.reader.Close()
	}
	w.own = c
}

// wait blocks a watcher that was parked until it is woken.
func (w *watcher) wait() error {
	select {
	case <-w.wake:
		return nil
	case <-w.ctx.Done():
		w.hub.unpark(w)
		return w.ctx.Err()
	}
}

// find makes a source at the watcher's place. It blocks until the store has come there.
func (w *watcher) find() error {
	for {
		changed := w.store.waiters.watch()
		r, why, err := w.locate()
		switch {
		case err != nil:
			return err
		case why != backlog.Accepted:
			return lostError{why}
		case r != nil:
			w.readBy(&source{store: w.store, reader: r})
			w.target = min(w.target, w.store.log.End()) // it may have been another log's
			return nil
		}
		select {
		case <-changed:
		case <-w.ctx.Done():
			return w.ctx.Err()
		}
	}
}

// locate returns a reader at the watcher's place, which it names by the history in
// which the log goes on from there; or why there is none; or neither when the store has
// not come there.
func (w *watcher) locate() (*backlog.Reader, backlog.Refusal, error) {
	log := w.store.log
	for {
		visible, err := w.store.visible(w.pos.Offset - 1)
		if err != nil {
			return nil, backlog.Accepted, err
		}
		current := log.Lineage().Current
		r, why := log.Continue(backlog.Lineage{Current: w.pos.History}, w.pos.Offset)
		lineage := log.Lineage()
		switch {
		case lineage.Current != current:
			letGo(r)
			continue
		case why == backlog.AheadOfFork && w.pos.History == current:
			return nil, backlog.Accepted, nil // not logged yet
		case why == backlog.Empty:
			why = backlog.OtherHistory // offset 0 of another one
		case why != backlog.Accepted:
		case visible < w.pos.Offset:
			letGo(r)
			return nil, backlog.Accepted, nil // not applied yet
		default:
			// With contents that were replaced meanwhile the lineage may not be
			// that of the reader.
			if _, err := r.Next(w.pos.Offset); err != nil {
				letGo(r)
				continue
			}
			w.pos.History = lineage.At(w.pos.Offset).Current
		}
		return r, why, nil
	}
}

// whyLost says why the log does not go on from a position of which it is known that
// it did.
func (w *watcher) whyLost(pos backlog.Position) backlog.Refusal {
	r, why := w.store.log.Continue(backlog.Lineage{Current: pos.History}, pos.Offset)
	letGo(r)
	if why == backlog.Accepted || why == backlog.Empty {
		why = backlog.OtherHistory
	}
	return why
}

// letGo closes a reader, if there is one: it may be at the journal's files.
func letGo(r *backlog.Reader) {
	if r != nil {
		r.Close()
	}
}
