package kv

import "slices"

const (
	minSlabBytes = 1 << 10
	maxSlabBytes = entryAlign << offsetBits // 512 KiB

	// bigEntryBytes is the size above which an entry has a slab to itself, of
	// its exact size.
	bigEntryBytes = maxSlabBytes / 4

	// slabShare is the share of a shard's arena that a new slab may have, so
	// that small stores have small slabs, and that emptying one (compact.go)
	// never concerns more than a small part of a shard.
	slabShare = 8
)

// A slab is a block of memory without pointers that is filled with entries from
// front to back. What is written is never changed, so readers, frozen views and
// callers may hold slices of it for as long as they like.
type slab struct {
	data  []byte
	id    uint32
	used  int    // bytes given out
	dead  int    // of those, bytes of entries to which no slot refers
	epoch uint64 // of the shard when the slab was made
}

// A slabSet is the directory of a shard's slabs, by their number. It is
// immutable: another one takes its place when a slab comes or goes. Element 0 is
// always empty.
type slabSet struct {
	data  [][]byte // for readers
	slabs []*slab  // for the holder of the shard's lock
}

// noSlabs is the set of every shard that has never held a key.
var noSlabs = newSlabSet()

func newSlabSet() *slabSet {
	return &slabSet{data: make([][]byte, 1), slabs: make([]*slab, 1)}
}

// with returns a copy of the set that has s at number id; s may be nil.
func (set *slabSet) with(id uint32, s *slab) *slabSet {
	n := max(len(set.slabs), int(id)+1)
	c := &slabSet{data: make([][]byte, n), slabs: make([]*slab, n)}
	copy(c.data, set.data)
	copy(c.slabs, set.slabs)
	c.slabs[id], c.data[id] = s, nil
	if s != nil {
		c.data[id] = s.data
	}
	return c
}

// An arena is what a shard knows of its slabs beside their set. The shard's lock
// guards it.
type arena struct {
	used    int64 // sum over the slabs
	dead    int64
	current *slab    // takes the next entries; nil at first
	free    []uint32 // numbers that are not in use below len(set.slabs)

	victim *slab // being emptied, or nil; see compact.go
	cursor int   // up to where
	owed   int   // bytes of the victim that are due to be looked at
}

// A reservation is room for one entry that nothing refers to yet.
type reservation struct {
	slab   *slab
	offset int
	bytes  []byte // of the size that was asked for
}

func (r reservation) slot(hash uint64) slot { return makeSlot(r.slab.id, r.offset, hash) }

// reserve returns room for an entry of size bytes. It returns ErrFull when the
// shard has no number left for another slab. big may be a slab for this entry
// alone, made before the lock was taken.
func (sh *shard) reserve(size int, big *slab) (reservation, error) {
	a := &sh.mu.arena
	n := aligned(size)
	s := a.current
	switch {
	case size > bigEntryBytes:
		if s = big; s == nil {
			s = newBigSlab(size)
		}
		if err := sh.addSlab(s); err != nil {
			return reservation{}, err
		}
	case s == nil || len(s.data)-s.used < n:
		s = &slab{data: make([]byte, a.nextSlabBytes(n))}
		if err := sh.addSlab(s); err != nil {
			return reservation{}, err
		}
		old := a.current
		a.current = s
		if old != nil && old.dead == old.used {
			sh.dropSlab(old)
		}
	}
	r := reservation{slab: s, offset: s.used, bytes: s.data[s.used : s.used+size : s.used+size]}
	s.used += n
	a.used += int64(n)
	return r, nil
}

// giveBack undoes the latest reserve.
func (sh *shard) giveBack(r reservation) {
	r.slab.used = r.offset
	sh.mu.arena.used -= int64(aligned(len(r.bytes)))
	if r.slab != sh.mu.arena.current {
		sh.dropSlab(r.slab)
	}
}

func newBigSlab(size int) *slab { return &slab{data: make([]byte, aligned(size))} }

// nextSlabBytes returns the size of a slab that is to begin with an entry of n
// bytes: a share of the arena, but room for four such entries, so that what is
// left over at its end is never a large part of it.
func (a *arena) nextSlabBytes(n int) int {
	size := minSlabBytes
	for size < maxSlabBytes && (int64(size)*2*slabShare <= a.used || size < 4*n) {
		size *= 2
	}
	return size
}

func (sh *shard) addSlab(s *slab) error {
	set, a := sh.slabs.Load(), &sh.mu.arena
	s.id = uint32(len(set.slabs))
	if n := len(a.free); n > 0 {
		s.id = a.free[n-1]
		a.free = a.free[:n-1]
	} else if s.id == maxSlabs {
		return ErrFull
	}
	s.epoch = sh.mu.epoch
	sh.slabs.Store(set.with(s.id, s))
	return nil
}

// dropSlab takes a slab, to which no slot refers, from the set. Whoever still
// holds a slice of it keeps it alive.
func (sh *shard) dropSlab(s *slab) {
	a := &sh.mu.arena
	sh.slabs.Store(sh.slabs.Load().with(s.id, nil))
	a.free = append(a.free, s.id)
	a.used -= int64(s.used)
	a.dead -= int64(s.dead)
	if a.victim == s {
		a.victim, a.cursor, a.owed = nil, 0, 0
	}
}

// kill counts an entry to which no slot refers any more. A slab without any other
// goes at once.
func (sh *shard) kill(ref slot, size int) {
	n := aligned(size)
	s := sh.slabs.Load().slabs[ref.slab()]
	s.dead += n
	sh.mu.arena.dead += int64(n)
	if s.dead == s.used && s != sh.mu.arena.current {
		sh.dropSlab(s)
	}
}

// entryAt returns the entry that a slot refers to.
func (set *slabSet) entryAt(ref slot) entry {
	return parseEntry(set.data[ref.slab()][ref.offset():])
}

// live returns the slabs that are in use.
func (set *slabSet) live() []*slab {
	return slices.DeleteFunc(slices.Clone(set.slabs), func(s *slab) bool { return s == nil })
}
