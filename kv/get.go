package kv

import (
	"slices"
	"time"

	"github.com/emberkv/ember/internal/hash"
)

// Get returns the value of a key. The slice is the store's: it must not be modified, and has
// no spare capacity. Get returns [ErrNotFound], [ErrStale] or [ErrClosed].
func (s *Store) Get(key string) ([]byte, error) {
	var e entry
	if err := s.get(key, &e); err != nil {
		return nil, err
	}
	return e.value, nil
}

// GetMulti appends the values of keys to dst, in their order, and returns the extended slice, like
// Redis' MGET. A key that does not exist gives nil, an empty value does not. The values are the
// store's, as Get returns them, each as of its turn; [Tx.GetMulti] returns those of one moment. In a
// store much larger than the processor's caches four keys take half as long as a Get of each, and 32 a
// third, since it waits for the memory of many at once. It returns [ErrStale] or [ErrClosed], and dst
// as it was.
func (s *Store) GetMulti(dst [][]byte, keys ...string) ([][]byte, error) {
	var w warmer
	values := slices.Grow(dst, len(keys))
	for len(keys) > 0 {
		some := keys[:min(len(keys), scanAhead)]
		keys = keys[len(some):]
		t := s.free()
		if t != nil {
			w.warmKeys(t, some)
		}
		for _, key := range some {
			var (
				e   entry
				err error
			)
			if t != nil && s.reads.Load() == t {
				err = s.getIn(t, key, &e) // the clock was asked, for all of these
			} else {
				err = s.get(key, &e)
			}
			switch err {
			case nil:
				values = append(values, e.value)
			case ErrNotFound:
				values = append(values, nil)
			default:
				return dst, err
			}
		}
	}
	return values, nil
}

// Append appends a copy of a key's value to dst and returns the extended slice.
// It returns [ErrNotFound], [ErrStale] or [ErrClosed], and dst as it was.
func (s *Store) Append(dst []byte, key string) ([]byte, error) {
	var e entry
	if err := s.get(key, &e); err != nil {
		return dst, err
	}
	return append(dst, e.value...), nil
}

// Has reports whether a key exists. It returns [ErrStale] and [ErrClosed].
func (s *Store) Has(key string) (bool, error) {
	var e entry
	err := s.get(key, &e)
	if err == ErrNotFound {
		return false, nil
	}
	return err == nil, err
}

// TTL returns how long a key has left, to the millisecond, or [NoTTL] if it has
// no deadline. It returns [ErrNotFound], [ErrStale] or [ErrClosed].
func (s *Store) TTL(key string) (time.Duration, error) {
	e, ok, err := s.lookUp(key)
	if err != nil {
		return 0, err
	}
	if !ok {
		return 0, ErrNotFound
	}
	if e.deadline == 0 {
		return NoTTL, nil
	}
	left := e.deadline - s.clock.now()
	if left <= 0 {
		return 0, ErrNotFound
	}
	return span(left), nil
}

// get looks a key up. After an error e means nothing.
func (s *Store) get(key string, e *entry) error {
	t := s.free()
	if t == nil {
		return s.getSlowly(key, e)
	}
	return s.getIn(t, key, e)
}

// getIn is get in a table that may be read.
func (s *Store) getIn(t *table, key string, e *entry) error {
	h := hash.String(t.seed, key)
	sh := t.shard(h)
	ok := sh.find(h, key, e)
	if sh.mem != nil {
		s.lookedUp(sh, h, ok && !s.clock.reached(e.deadline))
	}
	if !ok || s.clock.reached(e.deadline) {
		return ErrNotFound
	}
	return nil
}

// peek is get for an iteration, and for whoever looks again on behalf of one who has looked already:
// it is no hit, no miss and no use of the key.
func (s *Store) peek(key string) (entry, error) {
	e, ok, err := s.lookUp(key)
	if err == nil && !ok {
		err = ErrNotFound
	}
	if err != nil {
		return entry{}, err
	}
	return e, nil
}

// span returns ms milliseconds as a duration, the longest one if they do not fit:
// a deadline may lie further ahead than a duration reaches.
func span(ms int64) time.Duration {
	const longest = time.Duration(1<<63 - 1)
	return time.Duration(min(ms, longest.Milliseconds())) * time.Millisecond
}
