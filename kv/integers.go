package kv

import (
	"encoding/binary"
	"errors"
)

// An Integer is a type that [Integers] encodes.
type Integer interface {
	~int | ~int8 | ~int16 | ~int32 | ~int64 | ~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64
}

// Integers is the [Codec] of integers, for values and for keys in numeric order: 8 bytes
// whatever the type, so that a map's type may grow, big endian, with the sign bit of
// signed ones flipped. [Store.Add] counts in decimal digits: a map whose values it is to
// change needs the codec [JSON].
type Integers[T Integer] struct{}

var (
	errIntegerBytes = errors.New("an integer is 8 bytes")
	errIntegerRange = errors.New("integer does not fit the type")
)

// signBit is what is flipped, so that negative numbers come first.
const signBit = 1 << 63

// Append implements [Codec].
func (Integers[T]) Append(dst []byte, v T) ([]byte, error) {
	u := uint64(v)
	if ^T(0) < 0 {
		u ^= signBit
	}
	return binary.BigEndian.AppendUint64(dst, u), nil
}

// Decode implements [Codec].
func (Integers[T]) Decode(src []byte) (T, error) {
	if len(src) != 8 {
		return 0, errIntegerBytes
	}
	u := binary.BigEndian.Uint64(src)
	if ^T(0) < 0 {
		u ^= signBit
	}
	v := T(u)
	if uint64(v) != u {
		return 0, errIntegerRange
	}
	return v, nil
}
