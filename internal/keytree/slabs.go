package keytree

import "encoding/binary"

const (
	minKeySlabBytes = 1 << 10
	maxKeySlabBytes = 256 << 10 // four of the longest keys

	// keySlabShare is the share of all long keys, one part in so many, that a new slab
	// may have.
	keySlabShare = 8

	// keyWalk is how many bytes of the victim are looked at for each byte that has died.
	// At least a third of the victim is dead: it is empty before as much has died
	// elsewhere.
	keyWalk = 4
)

// Slabs lead to the slabs that hold a tree's long keys, each behind its length as a
// uvarint. What is written never changes, and they are replaced by others when a slab comes or
// goes: whoever holds some may read from them all items that were in the tree when they were
// the current ones.
type Slabs struct {
	data [][]byte
}

// keyAt returns the key that an item refers to.
func (set *Slabs) keyAt(slab uint32, offset int) []byte {
	b := set.data[slab][offset:]
	length, n := uint64(b[0]), 1
	if length >= 0x80 {
		length, n = binary.Uvarint(b)
	}
	end := n + int(length)
	return b[n:end:end]
}

// Those of a tree are the memory of its long keys. Each copy has one owner, an item of a
// leaf or of an inner node.
type slabs struct {
	set     *Slabs
	slabs   []slab   // by number
	used    int64    // sum over the slabs
	dead    int64    // sum over the slabs
	held    int64    // bytes of all slabs
	dropped int64    // bytes of those that have gone since a view was frozen
	current uint32   // takes the next keys, if there is any slab
	free    []uint32 // numbers of slabs that have gone

	victim int // being emptied, or -1
	cursor int // up to where
	owed   int // bytes of the victim that are due to be looked at
}

type slab struct {
	used, dead int
}

var noSlabs = &Slabs{}

func newSlabs() slabs { return slabs{set: noSlabs, victim: -1} }

// keySize returns the bytes that a key takes in a slab.
func keySize(key []byte) int {
	var head [binary.MaxVarintLen32]byte
	return binary.PutUvarint(head[:], uint64(len(key))) + len(key)
}

// store copies a key that is too long for x into a slab, and returns x with the
// reference.
func (k *slabs) store(x Item, key string) Item {
	var head [binary.MaxVarintLen32]byte
	n := binary.PutUvarint(head[:], uint64(len(key)))
	size := n + len(key)
	if len(k.slabs) == 0 || k.slabs[k.current].used+size > len(k.set.data[k.current]) {
		k.add(size)
	}
	s := &k.slabs[k.current]
	offset := s.used
	place := k.set.data[k.current][offset : offset+size]
	copy(place[copy(place, head[:n]):], key)
	s.used += size
	k.used += int64(size)
	return x.refers(k.current, offset)
}

// add begins another slab, with room for size bytes.
func (k *slabs) add(size int) {
	bytes := minKeySlabBytes
	for bytes < maxKeySlabBytes && (int64(bytes)*2*keySlabShare <= k.used || bytes < size) {
		bytes *= 2
	}
	old := k.current
	if n := len(k.free); n > 0 {
		k.current = k.free[n-1]
		k.free = k.free[:n-1]
	} else {
		k.current = uint32(len(k.slabs))
		k.slabs = append(k.slabs, slab{})
	}
	k.replace(k.current, make([]byte, bytes))
	k.held += int64(bytes)
	if s := k.slabs[old]; old != k.current && s.used > 0 && s.dead == s.used {
		k.drop(old)
	}
}

// replace puts a slab, or nil, into a copy of the set.
func (k *slabs) replace(id uint32, data []byte) {
	set := &Slabs{data: make([][]byte, len(k.slabs))}
	copy(set.data, k.set.data)
	set.data[id] = data
	k.set = set
}

// drop takes away a slab in which no item has its key any more.
func (k *slabs) drop(id uint32) {
	k.used -= int64(k.slabs[id].used)
	k.dead -= int64(k.slabs[id].dead)
	k.slabs[id] = slab{}
	bytes := int64(len(k.set.data[id]))
	k.held, k.dropped = k.held-bytes, k.dropped+bytes
	k.replace(id, nil)
	k.free = append(k.free, id)
	if k.victim == int(id) {
		k.victim = -1
	}
}

// kill counts the key of an item that has gone, if it is a long one, and returns how many
// bytes of a slab that freed.
func (k *slabs) kill(x Item) int {
	if !x.Long() {
		return 0
	}
	size := keySize(k.set.keyAt(x.slab(), x.offset()))
	s := &k.slabs[x.slab()]
	s.dead += size
	k.dead += int64(size)
	if s.dead == s.used && x.slab() != k.current {
		k.drop(x.slab())
	}
	return size
}

// choose makes the slab with the largest dead share the victim, when more than half of all
// is dead. The current one, which it cannot be, is so small a part that among the others
// is one of more than a third.
func (k *slabs) choose() {
	if k.dead*2 <= k.used {
		return
	}
	best := -1
	for i, s := range k.slabs {
		if s.dead*3 <= s.used || i == int(k.current) {
			continue
		}
		if best < 0 || s.dead*k.slabs[best].used > k.slabs[best].dead*s.used {
			best = i
		}
	}
	k.victim, k.cursor, k.owed = best, 0, 0
}
