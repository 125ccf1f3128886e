package kv

import "strings"

// maxSpareBytes bounds the room for a value that is kept for the next one.
const maxSpareBytes = 64 << 10

// buffer returns room to encode in.
func (m *Map[K, V]) buffer() *mapBuffer { return m.buffers.Get().(*mapBuffer) }

// free gives room back that nothing refers to any more.
func (m *Map[K, V]) free(b *mapBuffer) {
	if cap(b.value) > maxSpareBytes {
		b.value = nil
	}
	m.buffers.Put(b)
}

// encodeKey returns the key in the store, which lies in b: good until b is used again.
func (m *Map[K, V]) encodeKey(b *mapBuffer, key K) (string, error) {
	k, err := m.opts.Keys.Append(append(b.key[:0], m.prefix...), key)
	switch {
	case err != nil:
		return "", &CodecError{Op: "encode key", Err: err}
	case !strings.HasPrefix(text(k), m.prefix): // it would be another map's
		return "", &CodecError{Op: "encode key", Err: errPrefix}
	}
	b.key = k
	return text(k), nil
}

// key returns the key in the store.
func (m *Map[K, V]) key(key K) (string, error) {
	b := m.buffer()
	k, err := m.encodeKey(b, key)
	k = strings.Clone(k)
	m.free(b)
	return k, err
}

// encodeValue returns what the store gets, which lies in b.
func (m *Map[K, V]) encodeValue(b *mapBuffer, k string, v V) ([]byte, error) {
	value := b.value[:0]
	if m.loading {
		value = appendHeader(value, refreshAt(m.store.clock.now(), m.opts.RefreshAfter))
	}
	header := len(value)
	value, err := m.opts.Values.Append(value, v)
	switch {
	case err != nil:
		return nil, &CodecError{Key: strings.Clone(k), Op: "encode value", Err: err}
	case len(value) < header:
		return nil, &CodecError{Key: strings.Clone(k), Op: "encode value", Err: errPrefix}
	}
	b.value = value
	return value, nil
}

// decodeKey returns the key that a key in the store is, of which k is a slice.
func (m *Map[K, V]) decodeKey(k string) (K, error) {
	key, err := m.opts.Keys.Decode(bytesOf(k[len(m.prefix):]))
	if err != nil {
		err = &CodecError{Key: strings.Clone(k), Op: "decode key", Err: err}
	}
	return key, err
}

// decodeValue returns the value that its codec has made value of.
func (m *Map[K, V]) decodeValue(k, value []byte) (V, error) {
	v, err := m.opts.Values.Decode(value)
	if err != nil {
		var none V
		return none, &CodecError{Key: string(k), Op: "decode value", Err: err}
	}
	return v, nil
}

// holding returns what a value in the store says, of a map with a loader.
func (m *Map[K, V]) holding(k, raw []byte) (holding, error) {
	h, err := parseHolding(raw)
	if err != nil {
		err = &CodecError{Key: string(k), Op: "decode value", Err: err}
	}
	return h, err
}

// visible returns the value that a key has in the store, or ErrNotFound if what it has is no
// value.
func (m *Map[K, V]) visible(k, raw []byte) (v V, err error) {
	if m.loading {
		h, err := m.holding(k, raw)
		if err != nil {
			return v, err
		}
		if h.kind != holdsValue {
			return v, ErrNotFound
		}
		raw = h.value
	}
	return m.decodeValue(k, raw)
}
