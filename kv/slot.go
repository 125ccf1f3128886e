package kv

// The layout of a slot, and of the hash bits that it keeps:
//
//	63               40 39          24 23          8 7        0
//	+------------------+--------------+-------------+----------+
//	|     slab  24     |  offset 16   | directory 16|  home 8  |
//	+------------------+--------------+-------------+----------+
//
// Slab is the number of a slab in the shard's arena, never 0, so that no slot
// in use is 0, which is the empty one. Offset is the entry's place in it, in
// units of eight bytes. The rest are the low bits of the key's hash: a group is
// found, a segment grown or divided by them alone, without a look at the keys.
const (
	homeBits   = 8
	dirBits    = 16
	hashBits   = homeBits + dirBits
	offsetBits = 16
	placeShift = hashBits + offsetBits

	// maxSlabs bounds a shard's arena: 8 TiB of small entries, or 16 million
	// large ones.
	maxSlabs = 1 << (64 - placeShift)

	// entryAlign is the unit of a slot's offset.
	entryAlign = 8
)

// A slot refers to an entry.
type slot uint64

func makeSlot(slab uint32, offset int, hash uint64) slot {
	return slot(uint64(slab)<<placeShift | uint64(offset/entryAlign)<<hashBits | hash&(1<<hashBits-1))
}

func (s slot) slab() uint32 { return uint32(s >> placeShift) }

func (s slot) offset() int { return int(s>>hashBits&(1<<offsetBits-1)) * entryAlign }

func (s slot) hash() uint64 { return uint64(s) & (1<<hashBits - 1) }

// tag returns the byte of a key's hash that its group's control word holds. It
// shares no bit with the slot and with the number of the shard, and is never 0,
// which marks an empty slot.
func tag(hash uint64) uint64 {
	return max(hash>>32&0xff, 1)
}

// aligned returns the bytes that an entry of size n takes in a slab.
func aligned(n int) int { return (n + entryAlign - 1) &^ (entryAlign - 1) }
