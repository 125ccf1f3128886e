package kv

import (
	"iter"
	"strings"
)

// A MapEntry is a key of a [Map] and its value.
type MapEntry[K, V any] struct {
	Key   K
	Value V
}

// All returns an iterator over the map's keys and values, in the order of the encoded keys.
// The iteration is weak, like that of [Store.Range], and costs the same; all that is said
// there of loops holds.
//
// With the entry comes an error: a [*CodecError] for an entry that cannot be decoded,
// with its key if that can be, after which the loop may go on with the next; and last of
// all [ErrClosed] when the store is closed, or [ErrStale].
func (m *Map[K, V]) All() iter.Seq2[MapEntry[K, V], error] {
	return m.iterate(prefixRange(m.prefix), nil)
}

// AllBackward is like [Map.All], from the last key to the first.
func (m *Map[K, V]) AllBackward() iter.Seq2[MapEntry[K, V], error] {
	r := prefixRange(m.prefix)
	r.backward = true
	return m.iterate(r, nil)
}

// Range is like [Map.All] for the keys k with from <= k < to. A bound that is encoded as
// no bytes, as the empty string is, leaves its end open. If a bound cannot be encoded,
// Range yields only a [*CodecError].
func (m *Map[K, V]) Range(from, to K) iter.Seq2[MapEntry[K, V], error] {
	return m.iterate(m.between(&from, &to))
}

// From is like [Map.Range] without an end.
func (m *Map[K, V]) From(from K) iter.Seq2[MapEntry[K, V], error] {
	return m.iterate(m.between(&from, nil))
}

// Backward is like [Map.Range], with the same bounds, from the last key to the first.
func (m *Map[K, V]) Backward(from, to K) iter.Seq2[MapEntry[K, V], error] {
	r, err := m.between(&from, &to)
	r.backward = true
	return m.iterate(r, err)
}

// between returns the range from a key to another; nil leaves its end open.
func (m *Map[K, V]) between(from, to *K) (keyRange, error) {
	r := prefixRange(m.prefix)
	for _, end := range []struct {
		key   *K
		bound *string
	}{{from, &r.from}, {to, &r.to}} {
		if end.key == nil {
			continue
		}
		k, err := m.key(*end.key)
		if err != nil {
			return r, err
		}
		if len(k) > len(m.prefix) {
			*end.bound = k
		}
	}
	return r, nil
}

func (m *Map[K, V]) iterate(r keyRange, err error) iter.Seq2[MapEntry[K, V], error] {
	return func(yield func(MapEntry[K, V], error) bool) {
		if err != nil {
			yield(MapEntry[K, V]{}, err)
			return
		}
		for e, err := range m.Decode(m.store.iterate(r)) {
			if !yield(e, err) {
				return
			}
		}
		if _, err := m.store.readable(); err != nil {
			yield(MapEntry[K, V]{}, err)
		}
	}
}

// Decode returns an iterator over the map's entries among keys and values of the store, in
// their order: those of a [Snapshot], say, or a transaction. It leaves out keys that do not
// begin with the map's prefix, and yields a [*CodecError] for what cannot be decoded.
func (m *Map[K, V]) Decode(seq iter.Seq2[string, []byte]) iter.Seq2[MapEntry[K, V], error] {
	return func(yield func(MapEntry[K, V], error) bool) {
		for k, raw := range seq {
			if !strings.HasPrefix(k, m.prefix) {
				continue
			}
			var e MapEntry[K, V]
			var err error
			if e.Key, err = m.decodeKey(k); err == nil {
				e.Value, err = m.visible(bytesOf(k), raw)
			}
			if err != ErrNotFound && !yield(e, err) {
				return
			}
		}
	}
}
