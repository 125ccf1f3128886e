package kv

import "iter"

// Range returns an iterator over the keys k with from <= k < to, in the order of their bytes,
// and their values. An empty string leaves its end open. Keys and values are slices of the store's memory, as [Store.Get] returns them.
//
// The iteration is weak: it yields each key at most once, with the value that it has at its
// turn, and a key that comes or goes meanwhile if it is there at its turn. In [Store.Snapshot]
// everything stands still. No lock is held while the loop's body runs; it may read and write
// the store, iterate over it, and take its time. Nothing more comes after Close, or while
// reads are refused ([ErrStale]).
//
// With [Options.Ordered] the first key takes some microseconds, and each further one about
// as long as a Get. Without, a pass over all keys comes first, which collects those of the
// range (16 bytes each) and sorts them.
func (s *Store) Range(from, to string) iter.Seq2[string, []byte] {
	return s.iterate(keyRange{from: from, to: to})
}

// Prefix returns an iterator over the keys that begin with prefix, in order. It is a
// [Store.Range].
func (s *Store) Prefix(prefix string) iter.Seq2[string, []byte] {
	return s.iterate(prefixRange(prefix))
}

// Backward is like [Store.Range], with the same bounds, from the last key to the first.
func (s *Store) Backward(from, to string) iter.Seq2[string, []byte] {
	return s.iterate(keyRange{from: from, to: to, backward: true})
}

// Min returns the first key in order and its value, a slice of the store's memory like that
// of [Store.Get]. It returns [ErrNotFound] when there is no key, [ErrStale] and [ErrClosed].
// Without [Options.Ordered] it looks at all keys.
func (s *Store) Min() (key string, value []byte, err error) { return s.end(false) }

// Max is like [Store.Min], for the last key.
func (s *Store) Max() (key string, value []byte, err error) { return s.end(true) }

func (s *Store) iterate(r keyRange) iter.Seq2[string, []byte] {
	if s.ordered {
		return func(yield func(string, []byte) bool) {
			if v := s.localView(); v != nil {
				s.whileReadable(v.merge(r, s.clock.reached, func(y func(string, []byte) bool) { s.scan(r, y) }))(yield)
				return
			}
			s.scan(r, yield)
		}
	}
	return func(yield func(string, []byte) bool) {
		for _, key := range r.sorted(s.All()) {
			if e, err := s.peek(key); err == nil && !yield(key, e.value) {
				return
			}
		}
	}
}

func (s *Store) end(backward bool) (key string, value []byte, err error) {
	if s.ordered {
		err = ErrNotFound
		for k, v := range s.iterate(keyRange{backward: backward}) {
			key, value, err = k, v, nil
			break
		}
	} else {
		key, value, err = extremeOf(s.All(), backward)
	}
	if _, err := s.readable(); err != nil {
		return "", nil, err
	}
	return key, value, err
}

// Range is like [Store.Range] for the snapshot's contents, but exact. Without
// [Options.Ordered] it, too, makes a pass over all keys first.
func (n *Snapshot) Range(from, to string) iter.Seq2[string, []byte] {
	return n.iterate(keyRange{from: from, to: to})
}

// Prefix returns an iterator over the keys that begin with prefix, in order. It is a
// [Snapshot.Range].
func (n *Snapshot) Prefix(prefix string) iter.Seq2[string, []byte] {
	return n.iterate(prefixRange(prefix))
}

// Backward is like [Snapshot.Range], with the same bounds, from the last key to the first.
func (n *Snapshot) Backward(from, to string) iter.Seq2[string, []byte] {
	return n.iterate(keyRange{from: from, to: to, backward: true})
}

// Min returns the first key in order and its value, as [Store.Min] does. It returns
// [ErrNotFound] when there is no key, and [ErrClosed].
func (n *Snapshot) Min() (key string, value []byte, err error) { return n.end(false) }

// Max is like [Snapshot.Min], for the last key.
func (n *Snapshot) Max() (key string, value []byte, err error) { return n.end(true) }

func (n *Snapshot) iterate(r keyRange) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		if !n.enter() {
			return
		}
		defer n.leave()
		if n.index != nil {
			n.scan(r, yield)
			return
		}
		for _, key := range r.sorted(n.All()) {
			var e entry
			if n.find(n.hash(key), key, &e) && !yield(key, e.value) {
				return
			}
		}
	}
}

func (n *Snapshot) end(backward bool) (key string, value []byte, err error) {
	if !n.enter() {
		return "", nil, ErrClosed
	}
	defer n.leave()
	if n.index == nil {
		return extremeOf(n.All(), backward)
	}
	err = ErrNotFound
	n.scan(keyRange{backward: backward}, func(k string, v []byte) bool {
		key, value, err = k, v, nil
		return false
	})
	return key, value, err
}
