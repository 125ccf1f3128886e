package kv

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/emberkv/ember/internal/keytree"
)

// placeBits is how many bits of a slot say where an entry is.
const placeBits = 64 - hashBits

// A loose item is one of a long key that is not in the index's slabs yet. In place of these
// it refers to the entry: the number of the shard, and a slot without the bits of the hash.
func loose(x keytree.Item, shard int, ref slot) keytree.Item {
	return x.At(uint64(shard)<<placeBits | uint64(ref)>>hashBits)
}

// looseKey returns the key of an item, of a short one in the memory of buf.
func (t *table) looseKey(x keytree.Item, buf *[24]byte) []byte {
	if !x.Long() {
		return x.Key(nil, buf)
	}
	shard, ref := x.Place()>>placeBits, slot(x.Place()&(1<<placeBits-1)<<hashBits)
	return t.shards[shard].slabs.Load().entryAt(ref).key
}

// restOf returns the key of a loose item, and "" for a short one.
func (t *table) restOf(x keytree.Item) string {
	if !x.Long() {
		return ""
	}
	return text(t.looseKey(x, nil))
}

// sortLoose sorts items, loose if they are of long keys: first by what they hold, and then
// those that are alike by the rest of their keys.
func (t *table) sortLoose(items []keytree.Item) {
	slices.SortFunc(items, func(a, b keytree.Item) int {
		if a.Hi != b.Hi {
			return cmp.Compare(a.Hi, b.Hi)
		}
		return cmp.Compare(a.Lo, b.Lo)
	})
	var room []deepItem
	for len(items) > 0 {
		n, long := 1, items[0].Long()
		for n < len(items) && items[n].Hi == items[0].Hi && items[n].Lo == items[0].Lo {
			long = long || items[n].Long()
			n++
		}
		switch {
		case n == 1:
		case !long:
			slices.SortFunc(items[:n], func(a, b keytree.Item) int { return cmp.Compare(a.Tail, b.Tail) })
		default:
			room = room[:0]
			for _, x := range items[:n] {
				room = append(room, deepItem{whole: x})
			}
			t.sortDeep(room, 16)
			for i := range room {
				items[i] = room[i].whole
			}
		}
		items = items[n:]
	}
}

// A deepItem has a part of its key at hand. To read the keys at every comparison would be
// ten times as slow: they lie anywhere in memory.
type deepItem struct {
	hi, lo uint64 // 16 bytes of the key, filled up with zeros
	end    int    // the key's length, or one more than what was compared if that is less
	whole  keytree.Item
}

const deepBytes = 16

// sortDeep sorts items whose keys have their first depth bytes, or all they have, alike.
func (t *table) sortDeep(items []deepItem, depth int) {
	for i := range items {
		x := &items[i]
		var short [24]byte
		key := t.looseKey(x.whole, &short)
		var part [deepBytes]byte
		rest := key[min(depth, len(key)):]
		copy(part[:], rest)
		x.hi, x.lo = binary.BigEndian.Uint64(part[:]), binary.BigEndian.Uint64(part[8:])
		// Zeros at a key's end look like those that fill up a shorter one, also one that
		// ends before depth: only the lengths tell these apart.
		x.end = min(len(key), depth+deepBytes+1)
	}
	compare := func(a, b deepItem) int {
		switch {
		case a.hi != b.hi:
			return cmp.Compare(a.hi, b.hi)
		case a.lo != b.lo:
			return cmp.Compare(a.lo, b.lo)
		}
		return a.end - b.end
	}
	slices.SortFunc(items, compare)
	for len(items) > 0 {
		n := 1
		for n < len(items) && compare(items[0], items[n]) == 0 {
			n++
		}
		if n > 1 {
			t.sortDeep(items[:n], depth+deepBytes)
		}
		items = items[n:]
	}
}
