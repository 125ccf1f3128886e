package keytree

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"unsafe"
)

// An Item is a key as a tree holds it: three words, compared as numbers, without a
// pointer, so that the garbage collector does not look into the leaves.
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
type Item struct{ Hi, Lo, Tail uint64 }

const (
	inlineBytes = 23
	longKey     = 0xff // in the last byte of tail

	keyOffsetBits = 24
)

// Long reports whether the key is longer than the item.
func (x Item) Long() bool { return x.Tail&0xff == longKey }

// At returns the item of the same long key that refers to another place, a number of 56
// bits: one in the slabs of a tree, or whatever else the caller knows, as long as the
// item is in none.
func (x Item) At(place uint64) Item {
	x.Tail = place<<8 | longKey
	return x
}

// Place returns what At was given.
func (x Item) Place() uint64 { return x.Tail >> 8 }

// refers returns the item of the same key that refers to a place in slabs.
func (x Item) refers(slab uint32, offset int) Item {
	return x.At(uint64(slab)<<keyOffsetBits | uint64(offset))
}

func (x Item) slab() uint32 { return uint32(x.Place() >> keyOffsetBits) }

func (x Item) offset() int { return int(x.Place() & (1<<keyOffsetBits - 1)) }

// Key returns the key of an item: of a short one in the memory of buf, of a long one in
// that of slabs.
func (x Item) Key(slabs *Slabs, buf *[24]byte) []byte {
	if x.Long() {
		return slabs.keyAt(x.slab(), x.offset())
	}
	binary.BigEndian.PutUint64(buf[:], x.Hi)
	binary.BigEndian.PutUint64(buf[8:], x.Lo)
	binary.BigEndian.PutUint64(buf[16:], x.Tail)
	return buf[:buf[23]]
}

// A Bound is a key that is looked for, or from which on. It has a long key itself: that
// need not be in the tree, nor stay there.
type Bound struct {
	Item
	Rest string // the whole key, if it is long
}

// BoundAt returns the bound for a key; for the empty one, a bound before all keys.
func BoundAt(key string) Bound {
	var buf [24]byte
	n := copy(buf[:inlineBytes], key)
	buf[inlineBytes] = byte(n)
	b := Bound{Item: Item{
		Hi:   binary.BigEndian.Uint64(buf[:]),
		Lo:   binary.BigEndian.Uint64(buf[8:]),
		Tail: binary.BigEndian.Uint64(buf[16:]),
	}}
	if len(key) > inlineBytes {
		b.Tail, b.Rest = longKey, key
	}
	return b
}

// BoundOf returns the bound at the key of an item.
func BoundOf(x Item, slabs *Slabs) Bound {
	b := Bound{Item: x}
	if x.Long() {
		b.Rest = text(slabs.keyAt(x.slab(), x.offset()))
	}
	return b
}

// After reports whether b's key comes after x's.
func (b *Bound) After(x *Item, slabs *Slabs) bool {
	if b.Hi != x.Hi {
		return b.Hi > x.Hi
	}
	if b.Lo != x.Lo {
		return b.Lo > x.Lo
	}
	return b.compareTail(x, slabs) > 0
}

// Reached reports whether b's key is x's or comes after it.
func (b *Bound) Reached(x *Item, slabs *Slabs) bool {
	if b.Hi != x.Hi {
		return b.Hi > x.Hi
	}
	if b.Lo != x.Lo {
		return b.Lo > x.Lo
	}
	return b.compareTail(x, slabs) >= 0
}

// Equals reports whether b's key is x's.
func (b *Bound) Equals(x *Item, slabs *Slabs) bool {
	return b.Hi == x.Hi && b.Lo == x.Lo && b.compareTail(x, slabs) == 0
}

// compareTail compares b's key with x's when their first 16 bytes are alike.
func (b *Bound) compareTail(x *Item, slabs *Slabs) int {
	if !b.Long() && !x.Long() {
		return cmp.Compare(b.Tail, x.Tail)
	}
	var mine, its [24]byte
	key := raw(b.Rest)
	if !b.Long() {
		key = b.Key(nil, &mine)
	}
	return bytes.Compare(key, x.Key(slabs, &its)) // strings.Compare would move the arrays to the heap
}

// text returns b as a string without a copy, and raw the reverse, for what is only read.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

func raw(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }
