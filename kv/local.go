package kv

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/google/btree"
)

const (
	// DefaultMaxLocalBytes is what local writes take at most, unless Options say otherwise.
	DefaultMaxLocalBytes = 16 << 20

	// localCost is what an entry takes beside its key and its value.
	localCost = 128

	localDegree = 16
)

// Locals are the local writes of a replica (see Options.WritableReplica): what its own
// program has written, beside the log and over the table. They are kept apart, so that
// what is replicated, its digest and its snapshots know nothing of them.
//
// A write makes a new view, of which nothing is changed any more; most of its tree it
// shares with the one before.
type locals struct {
	max    int64
	taking atomic.Bool               // the store follows: writes are local
	view   atomic.Pointer[localView] // stored under mu; nil when there are none

	// mu is held for writing while a view is made, and while records are applied and what
	// is over them is taken away: so whoever holds it for reading never sees half of that
	// in a view. After Store.apply, before the shards' locks.
	mu sync.RWMutex
}

// A localView is the local writes at one moment.
type localView struct {
	tree  *btree.BTreeG[localEntry]
	bytes int64
}

// A localEntry is what a key has here, whatever the table has.
type localEntry struct {
	key      string
	value    []byte
	deadline int64
	gone     bool // it was removed here, and is in the table
}

func (e localEntry) less(o localEntry) bool { return e.key < o.key }

func (e *localEntry) bytes() int64 { return int64(len(e.key)+len(e.value)) + localCost }

// shows reports whether a reader sees the entry as a key that exists.
func (e *localEntry) shows(reached func(int64) bool) bool { return !e.gone && !reached(e.deadline) }

// newLocals returns what options ask for, or nil.
func newLocals(o *Options) *locals {
	if !o.WritableReplica {
		return nil
	}
	l := &locals{max: o.MaxLocalBytes}
	if l.max <= 0 {
		l.max = DefaultMaxLocalBytes
	}
	return l
}

// localView returns the local writes as they are, nil for none.
func (s *Store) localView() *localView {
	if s.local == nil {
		return nil
	}
	s.local.mu.RLock()
	defer s.local.mu.RUnlock()
	return s.local.view.Load()
}

// get returns what a key has here, and whether that is anything.
func (v *localView) get(key string) (e localEntry, ok bool) {
	if v == nil {
		return e, false
	}
	return v.tree.Get(localEntry{key: key})
}

// setLocked makes v the view in use. locals.mu must be held for writing.
func (s *Store) setLocked(v *localView) {
	if v != nil && v.tree.Len() == 0 {
		v = nil
	}
	s.routing.Lock()
	defer s.routing.Unlock()
	s.local.view.Store(v)
	s.routeLocked()
}

// A localChange is a view in the making.
type localChange struct {
	store *Store
	table *table
	old   *localView
	tree  *btree.BTreeG[localEntry] // nil as long as nothing has changed
	bytes int64
}

func (s *Store) changeLocked(t *table) *localChange {
	c := &localChange{store: s, table: t, old: s.local.view.Load()}
	if c.old != nil {
		c.bytes = c.old.bytes
	}
	return c
}

// own makes sure that the tree may be changed.
func (c *localChange) own() {
	switch {
	case c.tree != nil:
	case c.old != nil:
		c.tree = c.old.tree.Clone()
	default:
		c.tree = btree.NewG(localDegree, localEntry.less)
	}
}

// get returns what a reader sees of a key, and whether it exists.
func (c *localChange) get(key string) (localEntry, bool) {
	e, ok := c.old.get(key)
	if c.tree != nil {
		e, ok = c.tree.Get(localEntry{key: key})
	}
	if ok {
		return e, e.shows(c.store.clock.reached)
	}
	in, ok := c.table.find(key)
	return localEntry{key: key, value: in.value, deadline: in.deadline}, ok && !c.store.clock.reached(in.deadline)
}

// put gives a key a copy of a value.
func (c *localChange) put(key string, value []byte, deadline int64) {
	c.set(localEntry{key: strings.Clone(key), value: append(make([]byte, 0, len(value)), value...), deadline: deadline})
}

// remove lets a key be seen no more.
func (c *localChange) remove(key string) {
	if _, ok := c.table.find(key); ok {
		c.set(localEntry{key: strings.Clone(key), gone: true})
	} else {
		c.drop(key)
	}
}

func (c *localChange) set(e localEntry) {
	c.own()
	if old, ok := c.tree.ReplaceOrInsert(e); ok {
		c.bytes -= old.bytes()
	}
	c.bytes += e.bytes()
}

// drop takes away what a key has here: the table's shows again.
func (c *localChange) drop(key string) {
	if c.tree == nil {
		if _, ok := c.old.get(key); !ok {
			return
		}
	}
	c.own()
	if old, ok := c.tree.Delete(localEntry{key: key}); ok {
		c.bytes -= old.bytes()
	}
}

// expire removes what has passed its deadline. Nobody sees it any more, but it takes room.
func (c *localChange) expire() {
	var passed []string
	c.tree.Ascend(func(e localEntry) bool {
		if !e.gone && c.store.clock.reached(e.deadline) {
			passed = append(passed, e.key)
		}
		return true
	})
	for _, key := range passed {
		c.remove(key)
	}
}

// show makes the change the view in use. It returns ErrFull if that takes too much.
func (c *localChange) show() error {
	if c.tree == nil {
		return nil
	}
	if limit := c.store.local.max; c.bytes > limit {
		if c.expire(); c.bytes > limit && (c.old == nil || c.bytes > c.old.bytes) {
			return fmt.Errorf("%w: local writes of %d bytes, Options.MaxLocalBytes is %d", ErrFull, c.bytes, limit)
		}
	}
	c.store.setLocked(&localView{c.tree, c.bytes})
	return nil
}

// beneath returns an apply that takes away, in the same moment, the local writes to keys
// that records concern: those are what was written last.
func (s *Store) beneath(t *table, apply func([]operation) error) func([]operation) error {
	return func(ops []operation) error {
		s.local.mu.Lock()
		defer s.local.mu.Unlock()
		err := apply(ops)
		s.uncoverLocked(t, ops)
		return err
	}
}

// uncoverLocked takes away the local writes to keys that operations concern. locals.mu must
// be held for writing, if there are locals, since before the operations were carried out.
func (s *Store) uncoverLocked(t *table, ops []operation) {
	if s.local == nil || s.local.view.Load() == nil {
		return
	}
	c := s.changeLocked(t)
	if c.overwritten(ops); c.tree != nil {
		s.setLocked(&localView{c.tree, c.bytes})
	}
}

// overwritten takes away what operations have written over.
func (c *localChange) overwritten(ops []operation) {
	for i := range ops {
		switch op := &ops[i]; op.kind {
		case kindClear:
			c.tree, c.bytes = btree.NewG(localDegree, localEntry.less), 0
		case kindTransaction:
			c.overwritten(op.parts(c.table.seed))
		case kindDeletePrefix:
			c.overwrittenPrefix(op.prefix())
		default:
			c.drop(text(op.key))
		}
	}
}

func (c *localChange) overwrittenPrefix(prefix string) {
	c.own()
	var under []string
	c.tree.AscendGreaterOrEqual(localEntry{key: prefix}, func(e localEntry) bool {
		if !strings.HasPrefix(e.key, prefix) {
			return false
		}
		under = append(under, e.key)
		return true
	})
	for _, key := range under {
		c.drop(key)
	}
}
