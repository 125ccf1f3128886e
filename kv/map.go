package kv

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A Map is the part of a [Store] whose keys begin with a prefix, with keys and values of Go
// types. It keeps nothing of its own: several Maps of one prefix, on one node or on several,
// are the same one if their codecs agree and either all or none of them have a loader. A Map
// with a loader puts one byte or nine before each value, which say what it is and until when
// it is fresh. All methods may be called concurrently.
//
// The prefix of one Map must not be the beginning of another's, or else it finds the
// other's keys: end prefixes with a separator that they do not contain otherwise, as in
// "user:" and "user-by-mail:". The empty prefix takes the whole store.
//
// Get, Has, Set and Delete are those of the Store, and cost little more, depending on the
// codecs. With [Strings], [Bytes] and [Integers] they allocate nothing. As with the Store,
// what they return of its memory must not be modified.
//
// There is no Len, since it would have to look at every key: count what All yields.
type Map[K, V any] struct {
	store   *Store
	prefix  string
	opts    MapOptions[K, V]
	buffers sync.Pool // of *mapBuffer

	// Of a map with a loader.
	loading  bool
	flights  *flights[V]
	counters mapCounters
	began    time.Time    // on the monotonic clock
	pause    atomic.Int64 // nanoseconds after began until which nobody is asked; see mapload.go
}

// A mapBuffer is room for what is encoded.
type mapBuffer struct{ key, value []byte }

// errPrefix is what is wrong with a codec that does not append.
var errPrefix = errors.New("the codec has not appended to what it was given")

// NewMap returns the map of the keys of a store that begin with prefix. It returns an
// [*InvalidError] for options that make no sense, or without MapOptions.Keys for a type of
// key that needs it. On all nodes the maps of a prefix need the same options, as far as
// codecs and having a loader go. Close a map with a loader when it is not needed any more;
// otherwise [Store.Close] does.
func NewMap[K, V any](store *Store, prefix string, opts *MapOptions[K, V]) (*Map[K, V], error) {
	o, err := opts.checked()
	if err != nil {
		return nil, err
	}
	m := &Map[K, V]{store: store, prefix: prefix, opts: o, loading: o.loads(), began: time.Now()}
	m.buffers.New = func() any { return new(mapBuffer) }
	if m.loading {
		m.flights = newFlights[V](o.MaxLoads, o.LoadTimeout)
		store.enders.add(m.flights)
	}
	return m, nil
}

// Prefix returns what the map's keys begin with in the store.
func (m *Map[K, V]) Prefix() string { return m.prefix }

// Close ends what the map has under way: callers that wait in [Map.Load] get [ErrClosed] at
// once, the contexts of loads end, and Close waits until the loads have returned.
// Afterwards Load returns ErrClosed for what would have to be loaded; everything else works
// as long as the store does. Close may be called again, and returns nil.
func (m *Map[K, V]) Close() error {
	if m.loading {
		m.flights.end()
		m.store.enders.remove(m.flights)
	}
	return nil
}

// Get returns a key's value. It never loads; [Map.Load] does. It returns [ErrNotFound], a
// [*CodecError], [ErrStale] and [ErrClosed].
func (m *Map[K, V]) Get(key K) (v V, err error) {
	b := m.buffer()
	k, err := m.encodeKey(b, key)
	if err != nil {
		return v, err
	}
	var e entry
	err = m.store.get(k, &e)
	m.free(b)
	if err != nil {
		return v, err
	}
	return m.visible(e.key, e.value)
}

// Has reports whether a key exists. It returns a [*CodecError], [ErrStale] and [ErrClosed].
func (m *Map[K, V]) Has(key K) (bool, error) {
	b := m.buffer()
	k, err := m.encodeKey(b, key)
	if err != nil {
		return false, err
	}
	var e entry
	err = m.store.get(k, &e)
	m.free(b)
	if err == ErrNotFound {
		return false, nil
	}
	if err != nil || !m.loading {
		return err == nil, err
	}
	h, err := m.holding(e.key, e.value)
	return h.kind == holdsValue, err
}

// Set gives a key a value, as [Store.Set] does, with its options and errors, and a
// [*CodecError]. The deadline is only that of the options: MapOptions.TTL does not
// apply.
func (m *Map[K, V]) Set(key K, v V, opts ...SetOption) error {
	b := m.buffer()
	k, err := m.encodeKey(b, key)
	if err != nil {
		return err
	}
	value, err := m.encodeValue(b, k, v)
	if err != nil {
		return err
	}
	if m.loading {
		m.flights.voidKey(k)
		if len(opts) > 0 {
			return m.setOver(strings.Clone(k), value, slices.Clone(opts))
		}
	}
	err = m.store.Set(k, value, opts...)
	m.free(b)
	return err
}

// setOver is Set where there may be something that is no value, which the options must not
// take for one.
func (m *Map[K, V]) setOver(k string, value []byte, opts []SetOption) error {
	return m.store.Update(func(tx *Tx) error {
		if _, err := m.read(tx, k); err != nil {
			return err
		}
		return tx.Set(k, value, opts...)
	})
}

// Delete removes a key and reports whether it existed, as [Store.Delete] does. It returns a
// [*CodecError] for the key, and the store's errors.
func (m *Map[K, V]) Delete(key K) (bool, error) {
	k, err := m.key(key)
	if err != nil {
		return false, err
	}
	if !m.loading {
		return m.store.Delete(k)
	}
	existed := false
	err = m.store.Update(func(tx *Tx) (err error) {
		existed, err = m.In(tx).deleteKey(k)
		return err
	})
	return existed && err == nil, err
}

// Update gives a key the value that fn makes of its present one, atomically for all
// readers and writers, and returns it. The deadline stays. If fn returns an error, or
// panics, nothing has changed, and Update returns that error, or passes the panic on.
//
// No lock is held while fn runs. When others have changed the key meanwhile it is run
// again, up to [Options.MaxRetries] times, so it must have no other effects; then Update
// returns [ErrConflict]. It also returns a [*CodecError], the errors of [Store.Update], and
// an [*InvalidError] for a nil fn.
func (m *Map[K, V]) Update(key K, fn func(old V, exists bool) (V, error)) (v V, err error) {
	if fn == nil {
		return v, &InvalidError{Field: "fn", Value: nil, Want: "a function"}
	}
	k, err := m.key(key)
	if err != nil {
		return v, err
	}
	if m.loading {
		m.flights.voidKey(k)
	}
	var b mapBuffer
	var is V
	err = m.store.Update(func(tx *Tx) error {
		var old V
		raw, err := m.read(tx, k)
		exists := err == nil && raw != nil
		if exists {
			old, err = m.decodeValue(raw.key, raw.value)
		}
		if err != nil {
			return err
		}
		if is, err = fn(old, exists); err != nil {
			return err
		}
		value, err := m.encodeValue(&b, k, is)
		if err != nil {
			return err
		}
		return tx.Set(k, value, KeepTTL())
	})
	if err != nil {
		return v, err
	}
	return is, nil
}

// read returns what a transaction sees of a key: nil if it has no value. What says that
// there is none is removed, so that the store's options take it for what it means.
func (m *Map[K, V]) read(tx *Tx, k string) (*entry, error) {
	raw, err := tx.Get(k)
	if err != nil {
		return nil, ignore(err, ErrNotFound)
	}
	e := &entry{key: bytesOf(k), value: raw}
	if !m.loading {
		return e, nil
	}
	h, err := m.holding(e.key, raw)
	if err != nil {
		return nil, err
	}
	if h.kind != holdsValue {
		_, err = tx.Delete(k)
		return nil, err
	}
	e.value = h.value
	return e, nil
}

// Clear removes all of the map's keys and returns how many there were. Up to
// [Options.MaxTxKeys] are removed at once: see [Store.DeletePrefix], whose errors it
// returns. More are removed in order, that many at a time; some of the keys that come
// meanwhile may stay.
func (m *Map[K, V]) Clear() (int, error) {
	if m.loading {
		m.flights.voidAll()
		defer m.flights.voidAll() // as in Delete
	}
	n, err := m.store.DeletePrefix(m.prefix)
	if !errors.Is(err, ErrTooLarge) {
		return n, err
	}
	for r := prefixRange(m.prefix); ; {
		keys := m.first(r, m.store.maxTxKeys)
		if len(keys) == 0 {
			return n, nil
		}
		step, err := m.remove(keys)
		if n += step; err != nil {
			return n, err
		}
		r.from = keys[len(keys)-1] + "\x00"
	}
}

// first returns the first n keys of a range in the store.
func (m *Map[K, V]) first(r keyRange, n int) (keys []string) {
	for k := range m.store.iterate(r) {
		if keys = append(keys, k); len(keys) == n {
			break
		}
	}
	return keys
}

// remove removes keys at once and returns how many there were.
func (m *Map[K, V]) remove(keys []string) (n int, err error) {
	err = m.store.Update(func(tx *Tx) error {
		n = 0
		for _, k := range keys {
			existed, err := tx.Delete(k)
			if err != nil {
				return err
			}
			if existed {
				n++
			}
		}
		return nil
	})
	if err != nil {
		n = 0
	}
	return n, err
}

// ignore returns err unless it is what.
func ignore(err, what error) error {
	if err == what {
		return nil
	}
	return err
}
