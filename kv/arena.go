package kv

const (
	// A shard's first slab is small, because most stores are, and the next ones are
	// not quite as small: each costs a few allocations.
	firstSlabBytes = 1 << 10
	minSlabBytes   = 4 << 10
	maxSlabBytes   = entryAlign << offsetBits // 512 KiB

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

// A slabSet leads to the data of a shard's slabs by their number. It is immutable:
// another one takes its place when a slab comes or goes. Element 0 is always empty.
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

// An arena is what the writers of a shard know of its slabs. The shard's lock guards
// it.
type arena struct {
	slabs   []*slab // by number, nil where there is none
	used    int64   // sum over the slabs
	dead    int64
	current *slab    // takes the next entries; nil at first
	free    []uint32 // numbers that are not in use below len(slabs)

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
	if a.used == 0 {
		size = firstSlabBytes
	}
	for size < maxSlabBytes && (int64(size)*2*slabShare <= a.used || size < 4*n) {
		size *= 2
	}
	return size
}

func (sh *shard) addSlab(s *slab) error {
	a := &sh.mu.arena
	switch n := len(a.free); {
	case n > 0:
		s.id = a.free[n-1]
		a.free = a.free[:n-1]
	case len(a.slabs) == maxSlabs:
		return ErrFull
	case len(a.slabs) == 0:
		a.slabs = append(a.slabs, nil) // number 0 is never given out
		fallthrough
	default:
		s.id = uint32(len(a.slabs))
		a.slabs = append(a.slabs, nil)
	}
	s.epoch = sh.mu.epoch
	a.slabs[s.id] = s
	sh.slabs.Store(sh.slabs.Load().with(s.id, s.data))
	return nil
}

// dropSlab takes a slab, to which no slot refers, from the arena. Whoever still holds a
// slice of it keeps it alive.
func (sh *shard) dropSlab(s *slab) {
	a := &sh.mu.arena
	sh.slabs.Store(sh.slabs.Load().with(s.id, nil))
	a.slabs[s.id] = nil
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
	s := sh.mu.arena.slabs[ref.slab()]
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
