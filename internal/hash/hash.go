// Package hash is the library's own 64-bit hash. It is small, portable, seeded
// and fixed for ever: a table's layout and a digest travel between nodes, so
// both ends must compute the same. The standard library's hash/maphash differs
// from process to process.
//
// The scheme is the folded multiplication of the wyhash family: two 64-bit
// words are mixed by the exclusive or of the halves of their 128-bit product.
// A product with zero forgets its other factor, so wyhash lets whoever chooses
// a word equal to one of its public constants make keys collide under every
// seed. Here each factor is first combined with the seed or with what came
// before, so that nobody can do so who does not know the seed. Against
// somebody who does know it this is no defence.
package hash

import (
	"encoding/binary"
	"math/bits"
	"unsafe"
)

// Odd constants with 32 bits set each and no structure: the first digits of
// the fractional parts of e, pi, the golden ratio and the square root of 2,
// adjusted to that weight.
const (
	k0 = 0xb7e151628aed2a6b
	k1 = 0x243f6a8885a308d3
	k2 = 0x9e3779b97f4a7c15
	k3 = 0x6a09e667f3bcc909
)

func fold(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

// Bytes returns the hash of b under seed.
func Bytes(seed uint64, b []byte) uint64 {
	n := uint64(len(b))
	s := seed ^ k0
	h := fold(s, n^k1)
	if len(b) > 32 {
		// Two chains, because one would wait for a product every 16 bytes.
		g := h ^ k2
		for len(b) > 32 {
			h = fold(word(b)^s, word(b[8:])^h)
			g = fold(word(b[16:])^s, word(b[24:])^g)
			b = b[32:]
		}
		// Not a plain exclusive or: chains fed alike would cancel out.
		h ^= bits.RotateLeft64(g, 23)
	}
	if len(b) > 16 {
		h = fold(word(b)^s, word(b[8:])^h)
		b = b[16:]
	}
	var x, y uint64
	switch {
	case len(b) >= 8:
		x, y = word(b), word(b[len(b)-8:])
	case len(b) >= 4:
		x = uint64(binary.LittleEndian.Uint32(b))
		y = uint64(binary.LittleEndian.Uint32(b[len(b)-4:]))
	case len(b) > 0:
		x = uint64(b[0]) | uint64(b[len(b)/2])<<8 | uint64(b[len(b)-1])<<16
	}
	return fold(fold(x^k1^h, y^s)^n, h^k3)
}

// String returns what Bytes returns for the bytes of s.
func String(seed uint64, s string) uint64 {
	return Bytes(seed, unsafe.Slice(unsafe.StringData(s), len(s)))
}

func word(b []byte) uint64 { return binary.LittleEndian.Uint64(b) }
