package kv

import (
	"encoding/json"
	"fmt"
)

// A Codec turns the values of one type into bytes, and back. [JSON], [Strings], [Bytes] and
// [Integers] are Codecs. Its methods may be called concurrently.
//
// What they return as an error, the [Map]'s methods return inside a [*CodecError].
type Codec[T any] interface {
	// Append appends v to dst and returns the extended slice. It must neither change
	// what is in dst nor keep it.
	Append(dst []byte, v T) ([]byte, error)

	// Decode returns the value that Append has encoded as src. It must not modify src,
	// which others read at the same time. It may keep it, and return parts of it: src
	// is the store's memory, which does not change (see [Store]).
	Decode(src []byte) (T, error)
}

// A KeyCodec is a [Codec] whose bytes a [Map] can use as keys: equal keys have equal bytes,
// different ones different bytes. Keys come in the order of their bytes, so [Map.Range] is
// useful with an encoding that keeps their own order, as those of [Strings], [Bytes] and
// [Integers] do.
type KeyCodec[K any] interface {
	Codec[K]
}

// JSON is the [Codec] of package encoding/json, and of any type that it takes.
type JSON[V any] struct{}

// Append implements [Codec].
func (JSON[V]) Append(dst []byte, v V) ([]byte, error) {
	b, err := json.Marshal(v)
	return append(dst, b...), err
}

// Decode implements [Codec]. The value shares no memory with src.
func (JSON[V]) Decode(src []byte) (v V, err error) {
	err = json.Unmarshal(src, &v)
	return v, err
}

// Strings is the [Codec] of strings as they are, for values and for keys in their own order.
type Strings[T ~string] struct{}

// Append implements [Codec].
func (Strings[T]) Append(dst []byte, v T) ([]byte, error) { return append(dst, v...), nil }

// Decode implements [Codec]. The string is part of the store's memory, which it
// keeps alive: use strings.Clone for what is kept for long.
func (Strings[T]) Decode(src []byte) (T, error) { return T(text(src)), nil }

// Bytes is the [Codec] of bytes as they are, for values and for keys in their own order.
type Bytes struct{}

// Append implements [Codec].
func (Bytes) Append(dst, v []byte) ([]byte, error) { return append(dst, v...), nil }

// Decode implements [Codec]. It returns src: a slice of the store's memory, which must not
// be modified.
func (Bytes) Decode(src []byte) ([]byte, error) { return src, nil }

// defaultKeys returns the codec of a map's keys that names none, or nil.
func defaultKeys[K any]() KeyCodec[K] {
	var c any
	switch any(*new(K)).(type) {
	case string:
		c = Strings[string]{}
	case []byte:
		c = Bytes{}
	case int:
		c = Integers[int]{}
	case int8:
		c = Integers[int8]{}
	case int16:
		c = Integers[int16]{}
	case int32:
		c = Integers[int32]{}
	case int64:
		c = Integers[int64]{}
	case uint:
		c = Integers[uint]{}
	case uint8:
		c = Integers[uint8]{}
	case uint16:
		c = Integers[uint16]{}
	case uint32:
		c = Integers[uint32]{}
	case uint64:
		c = Integers[uint64]{}
	}
	codec, _ := c.(KeyCodec[K])
	return codec
}

// defaultValues returns the codec of a map's values that names none.
func defaultValues[V any]() Codec[V] {
	var c any = JSON[V]{}
	switch any(*new(V)).(type) {
	case string:
		c = Strings[string]{}
	case []byte:
		c = Bytes{}
	}
	return c.(Codec[V])
}

// A CodecError is returned when a [Codec] fails, or is to decode what no map with these
// options has written. Nothing has changed.
type CodecError struct {
	Key string // in the store, with the map's prefix; empty when the key was not encoded
	Op  string // "encode key", "decode key", "encode value" or "decode value"
	Err error
}

func (e *CodecError) Error() string {
	if e.Key == "" {
		return fmt.Sprintf("kv: %s: %v", e.Op, e.Err)
	}
	return fmt.Sprintf("kv: %s of %.100q: %v", e.Op, e.Key, e.Err)
}

// Unwrap returns e.Err.
func (e *CodecError) Unwrap() error { return e.Err }
