package kv

import "iter"

// getSlowly is get when the way to the table is not free: local writes lie over it, or it
// may not be read.
//
//go:noinline
func (s *Store) getSlowly(key string, e *entry) (err error) {
	*e, err = s.peek(key)
	if s.counts.lookups.stripes != nil && (err == nil || err == ErrNotFound) {
		s.counts.lookups.count(err == nil)
	}
	return err
}

// lookUp returns what a reader sees of a key. It returns ErrStale and ErrClosed.
func (s *Store) lookUp(key string) (e entry, ok bool, err error) {
	// The local writes first: when they are taken away, what they were over has changed.
	own, local := s.localView().get(key)
	t, err := s.readable()
	if err != nil {
		return e, false, err
	}
	if local {
		return own.entry(), own.shows(s.clock.reached), nil
	}
	e, ok = t.find(key)
	return e, ok && !s.clock.reached(e.deadline), nil
}

func (e *localEntry) entry() entry {
	return entry{key: bytesOf(e.key), value: e.value, deadline: e.deadline}
}

// localLen returns by how much there are more keys than in the table.
func (s *Store) localLen(t *table, v *localView) (n int) {
	v.tree.Ascend(func(own localEntry) bool {
		if own.shows(s.clock.reached) {
			n++
		}
		if e, ok := t.find(own.key); ok && !s.clock.reached(e.deadline) {
			n--
		}
		return true
	})
	return n
}

// over returns what seq yields, in any order, with the local writes over it.
func (v *localView) over(reached func(int64) bool, seq iter.Seq2[string, []byte]) iter.Seq2[string, []byte] {
	if v == nil {
		return seq
	}
	return func(yield func(string, []byte) bool) {
		for key, value := range seq {
			if _, own := v.get(key); !own && !yield(key, value) {
				return
			}
		}
		v.tree.Ascend(func(e localEntry) bool { return !e.shows(reached) || yield(e.key, e.value) })
	}
}

// whileReadable ends seq when the store may not be read any more: local writes outlive what
// they are over.
func (s *Store) whileReadable(seq iter.Seq2[string, []byte]) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		for key, value := range seq {
			if _, err := s.readable(); err != nil || !yield(key, value) {
				return
			}
		}
	}
}

// merge returns what seq yields of a range, in its order, with the local writes over it.
func (v *localView) merge(r keyRange, reached func(int64) bool, seq iter.Seq2[string, []byte]) iter.Seq2[string, []byte] {
	if v == nil {
		return seq
	}
	return func(yield func(string, []byte) bool) {
		c := localCursor{view: v, r: r}
		c.begin()
		give := func() bool {
			e := c.entry
			c.next()
			return !e.shows(reached) || yield(e.key, e.value)
		}
		for key, value := range seq {
			for c.ok && r.before(c.entry.key, key) {
				if !give() {
					return
				}
			}
			if c.ok && c.entry.key == key {
				if !give() {
					return
				}
			} else if !yield(key, value) {
				return
			}
		}
		for c.ok {
			if !give() {
				return
			}
		}
	}
}

// A localCursor goes through the local writes of a range.
type localCursor struct {
	view  *localView
	r     keyRange
	entry localEntry
	ok    bool // there is one
}

func (c *localCursor) begin() {
	c.ok = false
	switch {
	case !c.r.backward:
		c.view.tree.AscendGreaterOrEqual(localEntry{key: c.r.from}, c.take)
	case c.r.to == "":
		c.view.tree.Descend(c.take)
	default:
		c.below(c.r.to)
	}
}

func (c *localCursor) next() {
	last := c.entry.key
	c.ok = false
	if c.r.backward {
		c.below(last)
	} else {
		c.view.tree.AscendGreaterOrEqual(localEntry{key: last + "\x00"}, c.take)
	}
}

// below goes to the last entry before key.
func (c *localCursor) below(key string) {
	c.view.tree.DescendLessOrEqual(localEntry{key: key}, func(e localEntry) bool {
		return e.key == key || c.take(e)
	})
}

// take takes an entry if it is in the range.
func (c *localCursor) take(e localEntry) bool {
	c.entry, c.ok = e, c.r.contains(e.key)
	return false
}
