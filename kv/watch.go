package kv

import (
	"context"
	"errors"
	"iter"

	"github.com/emberkv/ember/backlog"
)

// Watch returns an iterator over the changes of the keys that begin with prefix: in the
// order of the log, without a gap, on any node, whether it writes or follows. No writer
// ever waits for it.
//
// From the zero Position it hands out the contents first, as they are, each key an
// [EventPut] and in no particular order, then an [EventSynced], and then every change as
// it happens. With [Options.Ordered] the index finds the contents of a prefix; without,
// all keys are looked at.
//
// From any other Position it goes on after that, on this node or on another of the
// group, and hands out an EventSynced when it has come to where the log stood when the
// loop began. So a program keeps the Position of the newest event that is Last, and
// hands it to Watch after a restart. When little happens to the keys in question, an
// EventSynced brings a newer Position from time to time, about once a MiB of log. It
// waits for a position that has not been reached here yet.
//
// When the log cannot go on from a position, because it was trimmed, left behind in a
// fork, or is of a history that is not known here, an [EventReset] says why, and what
// follows is the same as from the zero Position. This may happen at any time: to a
// watcher that falls further behind the writers than the log reaches back, with the
// journal's files if there are any; and to those on a node that takes a full copy that
// does not continue what they have seen. On a node that may hear of a history only later,
// because it has just begun to follow, call [Store.Wait] with the Position before Watch.
//
// When an event is handed out, everything up to its Position can be read from the store,
// which may be ahead of it. Events are effects: one that is handed out again, with all
// that followed it, changes nothing. While several watchers read the contents they may
// share an older state of them; then they are handed what has changed since, before the
// EventSynced.
//
// The loop's body runs in the caller's goroutine with no lock held. It may write to
// the store, watch it again, and take its time: [Event.Behind] says how far behind it
// is. Nothing is queued for it. One goroutine decodes the log for all watchers of a
// store while there are any; one that is behind reads the log by itself. When the loop
// ends, everything is let go of.
//
// The iteration ends after yielding an error: ctx.Err, [ErrClosed], an [*InvalidError]
// for a negative offset and on a store whose log holds nothing, a [*RecordError] for a
// record that this version does not know, or [ErrDamaged] in place of the contents. Each loop over the iterator is a
// watch of its own. Watch is like etcd's, which ends where this one resets
// (https://etcd.io/docs/v3.6/learning/api/#watch-api).
func (s *Store) Watch(ctx context.Context, prefix string, from backlog.Position) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		if err := s.watch(ctx, prefix, from, yield); err != errStopped {
			yield(Event{}, err)
		}
	}
}

// errStopped says that the loop's body has ended the loop.
var errStopped = errors.New("kv: watch was stopped")

// errRevoked says that a cut was given up.
var errRevoked = errors.New("kv: cut was given up")

func (s *Store) watch(ctx context.Context, prefix string, from backlog.Position, yield func(Event, error) bool) error {
	switch {
	case from.Offset < 0:
		return &InvalidError{Field: "Position.Offset", Value: from.Offset, Want: "0 or more"}
	case s.log.Window().Max < 0:
		return &InvalidError{Field: "Options.LogBytes", Value: s.opts.MaxBytes, Want: "0 or more: a watcher reads the log"}
	}
	h := s.watching.join(s)
	if h == nil {
		return ErrClosed
	}
	defer s.watching.leave(h)
	w := &watcher{store: s, hub: h, ctx: ctx, prefix: prefix, yield: yield, target: unaimed, wake: make(chan struct{}, 1)}
	defer w.readBy(nil)
	return w.run(from)
}

// unaimed is the target of a watcher that is synced.
const unaimed = -1

// A watcher is one loop over what [Store.Watch] returned. Its place is the position up
// to which it has handed out all. It finds the next stretch in the hub's ring, or reads
// the log by itself while the ring does not reach back to its place.
type watcher struct {
	store  *Store
	hub    *hub
	ctx    context.Context
	prefix string
	yield  func(Event, error) bool

	pos    backlog.Position // its place
	seq    int64            // of the stretch there; 0 when it is not in the ring
	own    *source          // of a watcher that reads by itself
	target int64            // offset from which it is synced; unaimed when it is
	told   int64            // offset of the last event

	// wake gets a token when the watcher was parked and is woken. The hub changes pos
	// and seq before, under its lock.
	wake chan struct{}
}

func (w *watcher) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// run ends with an error.
func (w *watcher) run(from backlog.Position) error {
	err := w.begin(from)
	for {
		var lost lostError
		if errors.As(err, &lost) {
			err = w.contents(&lost)
		}
		if err != nil {
			return err
		}
		var b *stretch
		if b, err = w.next(); err != nil {
			continue
		}
		if b != nil {
			err = w.deliver(b)
		}
		if err == nil {
			err = w.tell()
		}
	}
}

// begin goes to from.
func (w *watcher) begin(from backlog.Position) error {
	if from.IsZero() {
		return w.contents(nil)
	}
	w.pos = from
	if err := w.find(); err != nil {
		return err
	}
	w.target, w.told = w.store.log.End(), w.pos.Offset
	return w.synced()
}

// tell hands out an EventSynced if it is time for one.
func (w *watcher) tell() error {
	if w.target != unaimed || w.pos.Offset-w.told >= syncedBytes {
		return w.synced()
	}
	return nil
}

// synced hands out an EventSynced if the target is reached.
func (w *watcher) synced() error {
	if w.pos.Offset < w.target {
		return nil
	}
	w.target = unaimed
	return w.hand(Event{Kind: EventSynced, Position: w.pos, Last: true})
}

// hand hands out an event.
func (w *watcher) hand(e Event) error {
	select {
	case <-w.ctx.Done():
		return w.ctx.Err()
	default:
	}
	e.Behind = max(w.store.log.End()-e.Position.Offset, 0)
	w.told = e.Position.Offset
	if !w.yield(e, nil) {
		return errStopped
	}
	return nil
}

// deliver hands out what is in a stretch from the watcher's place on.
func (w *watcher) deliver(b *stretch) error {
	var held *item // is handed out when it is known whether it is its record's last
	for i := b.search(w.pos.Offset); i < len(b.items); i++ {
		it := &b.items[i]
		if !b.concerns(it, w.prefix) {
			continue
		}
		if held != nil {
			if err := w.handItem(b, held, held.end != it.end); err != nil {
				return err
			}
		}
		held = it
	}
	if held != nil {
		if err := w.handItem(b, held, true); err != nil {
			return err
		}
	}
	w.pos = backlog.Position{History: b.history, Offset: b.end()}
	if b.seq > 0 {
		w.seq = b.seq + 1
		w.readBy(nil)
	}
	return nil
}

func (w *watcher) handItem(b *stretch, it *item, last bool) error {
	e := b.event(it)
	e.Last = last
	return w.hand(e)
}

// contents hands out the contents, after an EventReset if something was lost, and goes
// to the position that they stand for.
func (w *watcher) contents(lost *lostError) error {
	w.readBy(nil)
	for {
		c, fresh, err := w.hub.cuts.take()
		if err != nil {
			return err
		}
		// A fresh cut is all that there was when the watch began; one that is shared may be older.
		// Nothing from before the cut: if the contents are replaced, that is the end of a log with
		// which the cut has nothing to do, and nobody may ever come there.
		if w.target = c.pos.Offset; !fresh {
			w.target = w.store.log.End()
		}
		err = w.read(c, lost)
		if err == nil {
			w.pos, w.seq = c.pos, 0
			return w.synced()
		}
		if err != errRevoked {
			return err
		}
		lost = &lostError{why: w.whyLost(c.pos)}
	}
}

// read hands out what a cut holds, and releases it.
func (w *watcher) read(c *cut, lost *lostError) error {
	defer w.hub.cuts.release(c) // also when the loop's body panics
	if lost != nil {
		if err := w.hand(Event{Kind: EventReset, Position: c.pos, Reason: lost.why}); err != nil {
			return err
		}
	}
	var (
		entries = make([]entry, 0, pageRecords)
		at      place
	)
	for more := true; more; {
		if w.store.table.Load() == nil {
			return ErrClosed
		}
		// Pages may be empty for long.
		if err := w.ctx.Err(); err != nil {
			return err
		}
		var ok bool
		if entries, at, more, ok = c.page(at, w.prefix, entries[:0]); !ok {
			return errRevoked
		}
		for i := range entries {
			e := &entries[i]
			put := Event{Kind: EventPut, Key: text(e.key), Value: e.value, Deadline: deadlineTime(e.deadline), Position: c.pos}
			if err := w.hand(put); err != nil {
				return err
			}
		}
		clear(entries)
	}
	return nil
}
