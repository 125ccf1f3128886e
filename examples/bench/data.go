package main

import "encoding/binary"

// splitmix is the step of a splitmix64 generator: a bijection, so it never
// repeats within 2^64 steps of a counter.
func splitmix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb
	return x ^ (x >> 31)
}

// An entry makes keys and values without allocating: each call overwrites what
// the one before returned. It is for one goroutine.
type entry struct {
	key   [16]byte
	value []byte
}

const (
	valueStart = `{"id":"00000000000","tok":"`
	valueEnd   = `","state":"act","v":000000,"k":1}`
	idEnd      = len(`{"id":"00000000000`)
	tokenBytes = 40
	alphabet   = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
)

// pairs holds two characters of the alphabet for each twelve bits, because values are made
// in the time that is measured.
var pairs = func() (p [1 << 12]uint16) {
	for i := range p {
		p[i] = uint16(alphabet[i&63]) | uint16(alphabet[i>>6])<<8
	}
	return p
}()

// newEntry returns an entry whose values are valueBytes long: at 100 bytes the
// object whole, at fewer its front, at more its front and a run of dots.
func newEntry(valueBytes int) *entry {
	e := &entry{value: make([]byte, valueBytes)}
	copy(e.key[:], "key:000000000000")
	for i := range e.value {
		e.value[i] = '.'
	}
	n := copy(e.value, valueStart)
	if n += tokenBytes; n < valueBytes {
		copy(e.value[n:], valueEnd)
	}
	return e
}

// keyOf returns the key with number i.
func (e *entry) keyOf(i uint64) string {
	putDecimal(e.key[4:], i)
	return string(e.key[:])
}

// valueOf returns the value that belongs to seed i: its number, and a token of 40
// characters, of which each has six bits of entropy.
func (e *entry) valueOf(i uint64) []byte {
	if len(e.value) >= idEnd {
		putDecimal(e.value[idEnd-11:idEnd], i)
	}
	var token [tokenBytes]byte
	for p := 0; p < tokenBytes; p += 10 {
		i = splitmix(i)
		for at, bits := p, i; at < p+10; at, bits = at+2, bits>>12 {
			binary.LittleEndian.PutUint16(token[at:], pairs[bits&(1<<12-1)])
		}
	}
	copy(e.value[min(len(valueStart), len(e.value)):], token[:])
	return e.value
}

// putDecimal fills b with the last digits of i.
func putDecimal(b []byte, i uint64) {
	for p := len(b) - 1; p >= 0; p-- {
		b[p] = byte('0' + i%10)
		i /= 10
	}
}
