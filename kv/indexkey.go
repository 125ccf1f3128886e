package kv

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"unsafe"
)

// An indexKey is a key as the index holds it, one of its items: three words, compared as
// numbers, without a pointer, so that the garbage collector does not look into the leaves.
//
//	         hi                  lo                 tail
//	+------------------+------------------+-----------------+-----+
//	|   key, bytes 0-7 |   bytes 8-15     |   bytes 16-22   | len |   up to 23 bytes
//	+------------------+------------------+-----------------+-----+
//	|   key, bytes 0-7 |   bytes 8-15     | slab 32, off 24 | 255 |   longer
//	+------------------+------------------+-----------------+-----+
//
// A short key is filled up with zeros. Two short ones so compare like their words: where
// the bytes are equal, one is the other with zeros behind it, and the length decides. A
// long key's first 16 bytes decide nearly always; if not, the whole of it is read from the
// key slabs.
type indexKey struct{ hi, lo, tail uint64 }

const (
	inlineBytes = 23
	longKey     = 0xff // in the last byte of tail

	keyOffsetBits = 24
	keySlabShift  = 8 + keyOffsetBits
)

func (x indexKey) long() bool { return x.tail&0xff == longKey }

// refers returns the item of the same key that refers to another place.
func (x indexKey) refers(slab uint32, offset int) indexKey {
	x.tail = uint64(slab)<<keySlabShift | uint64(offset)<<8 | longKey
	return x
}

func (x indexKey) slab() uint32 { return uint32(x.tail >> keySlabShift) }

func (x indexKey) offset() int { return int(x.tail >> 8 & (1<<keyOffsetBits - 1)) }

// key returns the key of an item: of a short one in the memory of buf, of a long one in
// that of slabs.
func (x indexKey) key(slabs *keySlabSet, buf *[24]byte) []byte {
	if x.long() {
		return slabs.keyAt(x.slab(), x.offset())
	}
	binary.BigEndian.PutUint64(buf[:], x.hi)
	binary.BigEndian.PutUint64(buf[8:], x.lo)
	binary.BigEndian.PutUint64(buf[16:], x.tail)
	return buf[:buf[23]]
}

// A bound is a key that is looked for, or from which on. It has a long key itself: that
// need not be in the index, nor stay there.
type bound struct {
	indexKey
	rest string // the whole key, if it is long
}

// boundAt returns the bound for a key; for the empty one, a bound before all keys.
func boundAt(key string) bound {
	var buf [24]byte
	n := copy(buf[:inlineBytes], key)
	buf[inlineBytes] = byte(n)
	b := bound{indexKey: indexKey{
		hi:   binary.BigEndian.Uint64(buf[:]),
		lo:   binary.BigEndian.Uint64(buf[8:]),
		tail: binary.BigEndian.Uint64(buf[16:]),
	}}
	if len(key) > inlineBytes {
		b.tail, b.rest = longKey, key
	}
	return b
}

// boundOf returns the bound at the key of an item.
func boundOf(x indexKey, slabs *keySlabSet) bound {
	b := bound{indexKey: x}
	if x.long() {
		b.rest = text(slabs.keyAt(x.slab(), x.offset()))
	}
	return b
}

// after reports whether b's key comes after x's.
func (b *bound) after(x *indexKey, slabs *keySlabSet) bool {
	if b.hi != x.hi {
		return b.hi > x.hi
	}
	if b.lo != x.lo {
		return b.lo > x.lo
	}
	return b.compareTail(x, slabs) > 0
}

// reached reports whether b's key is x's or comes after it.
func (b *bound) reached(x *indexKey, slabs *keySlabSet) bool {
	if b.hi != x.hi {
		return b.hi > x.hi
	}
	if b.lo != x.lo {
		return b.lo > x.lo
	}
	return b.compareTail(x, slabs) >= 0
}

// equals reports whether b's key is x's.
func (b *bound) equals(x *indexKey, slabs *keySlabSet) bool {
	return b.hi == x.hi && b.lo == x.lo && b.compareTail(x, slabs) == 0
}

// compareTail compares b's key with x's when their first 16 bytes are alike.
func (b *bound) compareTail(x *indexKey, slabs *keySlabSet) int {
	if !b.long() && !x.long() {
		return cmp.Compare(b.tail, x.tail)
	}
	var mine, its [24]byte
	key := unsafe.Slice(unsafe.StringData(b.rest), len(b.rest))
	if !b.long() {
		key = b.key(nil, &mine)
	}
	return bytes.Compare(key, x.key(slabs, &its)) // strings.Compare would move the arrays to the heap
}
