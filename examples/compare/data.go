package main

import (
	"math/bits"
	"math/rand/v2"
)

const (
	keyBytes   = 16
	valueBytes = 100

	// prefixBytes of a key are shared by scanKeys keys.
	prefixBytes = keyBytes - 2
	scanKeys    = 100
)

// valueStart and valueEnd enclose a token of 40 characters, six bits of entropy each.
const (
	valueStart = `{"id":"00000000000","tok":"`
	valueEnd   = `","state":"act","v":000000,"k":1}`
	idEnd      = len(`{"id":"00000000000`)
	tokenBytes = 40
	alphabet   = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
)

// digits holds 00 to 99, which halves the time that a key takes.
var digits = func() (d [200]byte) {
	for i := range 100 {
		d[2*i], d[2*i+1] = byte('0'+i/10), byte('0'+i%10)
	}
	return d
}()

// splitmix is the step of a splitmix64 generator.
func splitmix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb
	return x ^ (x >> 31)
}

// An entry is memory for one key, key:%012d, and one value, written over again and
// again.
type entry struct {
	key   []byte
	value []byte
}

func newEntry() entry {
	e := entry{key: []byte("key:000000000000"), value: make([]byte, valueBytes)}
	n := copy(e.value, valueStart) + tokenBytes
	copy(e.value[n:], valueEnd)
	return e
}

func newEntries(n int) (entries []entry) {
	for range n {
		entries = append(entries, newEntry())
	}
	return entries
}

// setKey makes the key the one with number i.
func (e *entry) setKey(i int) {
	k := e.key[:keyBytes]
	for p := keyBytes - 2; p >= 4; p -= 2 {
		q := i / 100
		r := i - q*100
		i = q
		k[p], k[p+1] = digits[r*2], digits[r*2+1]
	}
}

// setValue makes the value the one of key i.
func (e *entry) setValue(i int) {
	for p, n := idEnd-1, i; p >= idEnd-11; p, n = p-1, n/10 {
		e.value[p] = byte('0' + n%10)
	}
	state := uint64(i)
	var token uint64
	for p := range tokenBytes {
		if p%10 == 0 {
			state = splitmix(state)
			token = state
		}
		e.value[len(valueStart)+p] = alphabet[token&63]
		token >>= 6
	}
}

// An order is a permutation of the numbers below n: the order in which keys are
// written first, or deleted.
type order struct {
	n    uint64
	bits int    // of the largest number; 0 for ascending order
	seed uint64 // odd
}

func ascendingOrder(n int) order { return order{n: uint64(n)} }

func randomOrder(n int, seed uint64) order {
	return order{n: uint64(n), bits: max(bits.Len(uint(n-1)), 2), seed: splitmix(seed) | 1}
}

// at returns number i of the order. It takes a few nanoseconds and no memory, which
// would be part of what is measured.
func (o order) at(i int) int {
	if o.bits == 0 {
		return i
	}
	// Each step is a bijection of the numbers of so many bits. What is too large goes
	// round again, which keeps it one of the numbers below n.
	mask, half := uint64(1)<<o.bits-1, o.bits/2
	x := uint64(i)
	for {
		x = x * o.seed & mask
		x ^= x >> half
		x = x * 0x9e3779b97f4a7c15 & mask
		x ^= x >> half
		x = x * o.seed & mask
		x ^= x >> half
		if x < o.n {
			return int(x)
		}
	}
}

// zipfKeys is the length of the sequence of keys that a worker of the mix repeats.
const zipfKeys = 1 << 20

// newZipf returns keys below n by Zipf's law with exponent 1.01, the frequent ones
// scattered among all.
func newZipf(id, n int) []uint32 {
	z := rand.NewZipf(rand.New(rand.NewPCG(uint64(id), 7)), 1.01, 1, uint64(n-1))
	keys := make([]uint32, zipfKeys)
	for i := range keys {
		keys[i] = uint32(splitmix(z.Uint64()) % uint64(n))
	}
	return keys
}
