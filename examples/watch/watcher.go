package main

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/kv"
)

// A watcher keeps a view up to date from a store. It can be stopped and started again,
// like the process that it would be part of: the view and its position are kept, in
// memory here, in one file there.
type watcher struct {
	store  *kv.Store
	cancel context.CancelFunc
	done   chan struct{} // closed when it has ended, for the reason err
	err    error

	mu struct {
		sync.Mutex
		view   *view
		at     backlog.Position // of the newest Last event: the view is exactly that
		counts counts
		moved  chan struct{} // closed when at has changed
	}
}

// counts say what a watcher has been handed since it was started.
type counts struct {
	events int
	late   int // of these, before it was level
	resets []backlog.Refusal
}

func newWatcher(s *kv.Store) *watcher {
	w := &watcher{store: s}
	w.mu.view = newView()
	w.mu.moved = make(chan struct{})
	return w
}

// start goes on from where the watcher was stopped, or begins.
func (w *watcher) start() {
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel, w.done = cancel, make(chan struct{})
	w.mu.Lock()
	w.mu.counts = counts{}
	from := w.mu.at
	w.mu.Unlock()
	go func() {
		defer close(w.done)
		w.err = w.run(ctx, from)
	}()
}

// stop ends the watcher.
func (w *watcher) stop() error {
	if w.cancel == nil {
		return nil
	}
	w.cancel()
	w.cancel = nil
	if <-w.done; !errors.Is(w.err, context.Canceled) {
		return w.err
	}
	return nil
}

func (w *watcher) run(ctx context.Context, from backlog.Position) error {
	synced := false
	for e, err := range w.store.Watch(ctx, prefix, from) {
		if err != nil {
			return err
		}
		switch e.Kind {
		case kv.EventSynced:
			synced = true
		case kv.EventReset:
			synced = false
		}
		if err := w.take(e, synced); err != nil {
			return err
		}
	}
	return nil
}

// take applies an event. Points are only ever moved from one player to another, in a
// transaction: whoever saw half of one would have another total.
func (w *watcher) take(e kv.Event, synced bool) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.mu.view.apply(e); err != nil {
		return err
	}
	c := &w.mu.counts
	c.events++
	if !synced {
		c.late++
	}
	if e.Kind == kv.EventReset {
		c.resets = append(c.resets, e.Reason)
	}
	if !e.Last {
		return nil
	}
	if synced && w.mu.view.total != totalPoints {
		return fmt.Errorf("%d points at %v, want %d", w.mu.view.total, e.Position, totalPoints)
	}
	w.mu.at = e.Position
	close(w.mu.moved)
	w.mu.moved = make(chan struct{})
	return nil
}

// wait blocks until the view has come to where the store is now, which nobody must
// write to.
func (w *watcher) wait(ctx context.Context) error {
	for {
		w.mu.Lock()
		at, moved := w.mu.at, w.mu.moved
		w.mu.Unlock()
		if at == w.store.Position() {
			return nil
		}
		select {
		case <-moved:
		case <-w.done:
			return w.err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// look calls f with the view and what the watcher has been handed, while neither changes.
func (w *watcher) look(f func(*view, counts)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f(w.mu.view, w.mu.counts)
}
