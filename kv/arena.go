package kv

import "github.com/emberkv/ember/internal/hugepage"

const (
	// A shard's first slab is small, because most stores are, and the next ones are
	// not quite as small: each costs a few allocations.
	firstSlabBytes = 1 << 10
	minSlabBytes   = 4 << 10
	minBoundedSlab = 2 << 10                  // of a store whose memory is bounded
	maxSlabBytes   = entryAlign << offsetBits // 512 KiB

	// bigEntryBytes is the size above which an entry has a slab to itself, of
	// its exact size.
	bigEntryBytes = maxSlabBytes / 4

	// slabShare is the share of a shard's arena that a new slab may have, so
	// that small stores have small slabs, and that emptying one (compact.go)
	// never concerns more than a small part of a shard. At half as many slabs random
	// overwrites move a quarter more entries; at twice as many the copies of the set
	// cost what is saved.
	slabShare = 16

	// boundedSlabShare is the same for a store whose memory is bounded, so that what is not
	// filled yet is a small part. There an entry of more than a quarter of a slab has one
	// to itself.
	boundedSlabShare = 32

	// hugeBytes is the size from which on memory is worth large pages: that of the slabs of a
	// store of some 16 MiB.
	hugeBytes = 32 << 10
)

// A slabSet leads to the slabs of a shard by their number: blocks of memory without
// pointers that are filled with entries from front to back. What is written is never
// changed, so readers, frozen views and callers may hold slices of it for as long as
// they like.
//
// The set itself is immutable: another one takes its place when a slab comes or goes.
// Element 0 is always empty.
type slabSet struct {
	data [][]byte
}

// noSlabs is the set of every shard that has never held a key.
var noSlabs = newSlabSet()

func newSlabSet() *slabSet { return &slabSet{data: make([][]byte, 1)} }

// with returns a copy of the set that has data at number id.
func (set *slabSet) with(id uint32, data []byte) *slabSet {
	c := &slabSet{data: make([][]byte, max(len(set.data), int(id)+1))}
	copy(c.data, set.data)
	c.data[id] = data
	return c
}

// entryAt returns the entry that a slot refers to.
func (set *slabSet) entryAt(ref slot) entry {
	return parseEntry(set.at(ref))
}

// at returns the memory from the entry on that a slot refers to.
func (set *slabSet) at(ref slot) []byte { return set.data[ref.slab()][ref.offset():] }

// A slab is what the writers of a shard know of one. It is small, and they lie
// together, because every overwrite counts in the slab of the old entry, which is as
// good as random.
type slab struct {
	used  uint32 // bytes given out; 0 where there is no slab
	dead  uint32 // of those, bytes of entries to which no slot refers
	epoch uint64 // of the shard when the slab was made
	born  uint32 // the slabs' order
	kept  bool   // it belongs to the chain of those that have proved themselves; see evict.go
}

// An arena is what the writers of a shard know of its slabs. The shard's lock guards
// it.
type arena struct {
	slabs   []slab   // by number
	used    int64    // sum over the slabs
	dead    int64    // sum over the slabs
	current uint32   // takes the next entries; 0 for none
	data    []byte   // of the current slab
	free    []uint32 // numbers below len(slabs) that are not in use, except for 0

	eviction eviction

	victim uint32 // being emptied, or 0; see compact.go
	cursor int    // up to where
	owed   int    // bytes of the victim that are due to be looked at

	expected int64 // while the shard is being loaded, about what used is going to be

	hopeless int64 // dead bytes below which there is no victim to be found

	touched byte // keeps the compiler from leaving out touch and fetch
}

// A reservation is room for one entry that nothing refers to yet. It is four words, as many as
// the compiler keeps in registers: a larger one would be stored and copied by each function
// that returns it, and each copy wait for the stores before it.
type reservation struct {
	slab   uint32
	offset uint32
	bytes  []byte // of the size that was asked for
}

func (r reservation) slot(hash uint64) slot { return makeSlot(r.slab, int(r.offset), hash) }

// reserve returns room for an entry of size bytes. It returns ErrFull when the
// shard has no number left for another slab. big may be memory for this entry alone,
// made before the lock was taken.
func (sh *shard) reserve(size int, big []byte) (reservation, error) {
	a := &sh.mu.arena
	n := aligned(size)
	var r reservation
	if sh.ownSlab(n) {
		if big == nil {
			big = newBigSlab(size)
		}
		id, err := sh.addSlab(big)
		if err != nil {
			return r, err
		}
		r = reservation{slab: id, bytes: big[:size:size]}
	} else {
		if a.current == 0 || len(a.data)-int(a.slabs[a.current].used) < n {
			if err := sh.nextSlab(n); err != nil {
				return r, err
			}
		}
		offset := int(a.slabs[a.current].used)
		r = reservation{slab: a.current, offset: uint32(offset), bytes: a.data[offset : offset+size : offset+size]}
	}
	a.slabs[r.slab].used += uint32(n)
	a.used += int64(n)
	return r, nil
}

// nextSlab begins another slab, with room for an entry of n bytes.
func (sh *shard) nextSlab(n int) error {
	a := &sh.mu.arena
	data := sh.newSlab(sh.nextSlabBytes(n))
	id, err := sh.addSlab(data)
	if err != nil {
		return err
	}
	old := a.current
	a.current, a.data = id, data
	if s := a.slabs[old]; old != 0 && s.dead == s.used {
		sh.dropSlab(old)
	}
	return nil
}

// newSlab returns memory for a slab of n bytes.
func (sh *shard) newSlab(n int) []byte {
	switch {
	case n < hugeBytes:
		sh.ahead.Drop() // the store was larger
		return make([]byte, n)
	case sh.mu.beside:
		return make([]byte, n)
	case sh.mu.arena.expected > 0:
		return newLargeSlab(n) // a load fills it at once
	}
	slab := sh.ahead.Take(n)
	sh.ahead.Make(n)
	if slab == nil {
		return newLargeSlab(n) // writers fill slabs faster than they are made
	}
	return slab
}

func newLargeSlab(n int) []byte {
	slab := make([]byte, n)
	hugepage.Advise(slab)
	return slab
}

// giveBack undoes the latest reserve.
func (sh *shard) giveBack(r reservation) {
	a := &sh.mu.arena
	n := aligned(len(r.bytes))
	a.slabs[r.slab].used -= uint32(n)
	a.used -= int64(n)
	if !a.filling(r.slab) {
		sh.dropSlab(r.slab)
	}
}

// abandon gives back any reservation whose entry is written and not shown. What lies
// before others becomes dead bytes.
func (sh *shard) abandon(r reservation) {
	a, n := &sh.mu.arena, len(r.bytes)
	if r.slab == a.current && int(r.offset)+aligned(n) == int(a.slabs[r.slab].used) {
		sh.giveBack(r)
		return
	}
	sh.kill(r.slot(0), n)
	sh.compact(n)
}

// ownSlab reports whether an entry that takes n bytes has a slab to itself.
func (sh *shard) ownSlab(n int) bool {
	return n > bigEntryBytes || sh.mem != nil && n > minBoundedSlab/4 && n > sh.nextSlabBytes(0)/4
}

// filling reports whether the slab takes entries.
func (a *arena) filling(id uint32) bool { return id == a.current || id == a.eviction.other.id }

func newBigSlab(size int) []byte { return make([]byte, aligned(size)) }

// nextSlabBytes returns the size of a slab that is to begin with an entry of n
// bytes: a share of the arena, but room for four such entries, so that what is
// left over at its end is never a large part of it.
func (sh *shard) nextSlabBytes(n int) int {
	a, least, share := &sh.mu.arena, minSlabBytes, int64(slabShare)
	if sh.mem != nil {
		least, share = minBoundedSlab, boundedSlabShare
	}
	size, used := least, max(a.used, a.expected)
	if used <= firstSlabBytes && a.used == 0 {
		size = firstSlabBytes
	}
	for size < maxSlabBytes && (int64(size)*2*share <= used || size < 4*n) {
		size *= 2
	}
	// The last one that is expected is no larger than what is to come.
	for size > least && size >= 8*n && a.expected > a.used && int64(size/2) >= a.expected-a.used {
		size /= 2
	}
	return size
}

// addSlab gives a slab a number and shows it to readers.
func (sh *shard) addSlab(data []byte) (id uint32, err error) {
	a := &sh.mu.arena
	if len(a.slabs) == 0 {
		a.slabs = append(a.slabs, slab{}) // number 0 is never given out
	}
	if n := len(a.free); n > 0 {
		id = a.free[n-1]
		a.free = a.free[:n-1]
	} else if id = uint32(len(a.slabs)); id == maxSlabs {
		return 0, ErrFull
	} else {
		a.slabs = append(a.slabs, slab{})
	}
	a.eviction.born++
	a.slabs[id] = slab{epoch: sh.mu.epoch, born: a.eviction.born, kept: a.eviction.keeping}
	if !a.eviction.keeping {
		a.eviction.probation += slabBytes(len(data))
	}
	sh.charge(&sh.mu.bytes.slabs, slabBytes(len(data)))
	sh.slabs.Store(sh.slabs.Load().with(id, data))
	return id, nil
}

// dropSlab takes a slab, to which no slot refers, from the arena. Whoever still holds a
// slice of it keeps it alive.
func (sh *shard) dropSlab(id uint32) {
	a, set := &sh.mu.arena, sh.slabs.Load()
	bytes := slabBytes(len(set.data[id]))
	sh.charge(&sh.mu.bytes.slabs, -bytes)
	if sh.held(id) {
		sh.charge(&sh.mu.bytes.retained, bytes)
	}
	sh.slabs.Store(set.with(id, nil))
	if !a.slabs[id].kept {
		a.eviction.probation -= bytes
	}
	a.used -= int64(a.slabs[id].used)
	a.dead -= int64(a.slabs[id].dead)
	a.slabs[id] = slab{}
	a.free = append(a.free, id)
	if a.victim == id {
		a.victim = 0
	}
	if a.eviction.hand == id {
		a.eviction.hand = 0
	}
}

// kill counts an entry to which no slot refers any more. A slab without any other
// goes at once.
func (sh *shard) kill(ref slot, size int) {
	a, n := &sh.mu.arena, aligned(size)
	s := &a.slabs[ref.slab()]
	s.dead += uint32(n)
	a.dead += int64(n)
	if s.dead == s.used && !a.filling(ref.slab()) {
		sh.dropSlab(ref.slab())
	}
}
