package kv

import (
	"math"
	"sync/atomic"

	"github.com/emberkv/ember/internal/hash"
)

const (
	// evictEntries is at how many entries a step of eviction looks.
	evictEntries = 32

	// evictBytes is how many bytes have to be due for a step to be made, so that the
	// misses of many entries overlap and most writes do nothing.
	evictBytes = 4 << 10

	// probationShare is the share of a shard's slabs, one part in so many, that keys on
	// probation have under EvictLFU.
	probationShare = 10
)

// An eviction is what a shard knows of its eviction.
//
// Slabs in the order in which they were made are a queue of the entries. A hand goes
// over the oldest one, entry by entry: what is dead is passed by, what is marked as used is
// moved to the newest slab with a lower mark, and the rest is evicted; then the slab is
// empty and leaves. Under EvictLRU that is the CLOCK algorithm.
//
// Under EvictLFU there are two such queues, as in S3-FIFO (Yang et al., SOSP 2023):
// a short one of the keys on probation, and that of those that were used there, or came
// back soon after they were evicted from it. So a scan goes no further than through the
// short one.
type eviction struct {
	born      uint32 // slabs made
	probation int64  // bytes of slabs that are not kept

	// The slab that is being filled of the chain that is not in use, and whether the
	// one in use is that of the keys that are kept.
	other   tail
	keeping bool

	hand  uint32 // the slab that is being gone over, or 0
	at    int    // up to where
	moved int    // bytes of it that were moved
	due   int    // bytes that should be evicted
	seen  int64  // bytes that the hand has gone over

	ghosts ghosts
}

// A tail is a slab that is being filled.
type tail struct {
	id   uint32
	data []byte
}

// turn exchanges the chain that reserve fills.
func (a *arena) turn() {
	x := &a.eviction
	x.keeping = !x.keeping
	x.other, a.current, a.data = tail{a.current, a.data}, x.other.id, x.other.data
}

// reserveIn is reserve in one of the two chains.
func (sh *shard) reserveIn(kept bool, size int, big []byte) (reservation, error) {
	if !kept {
		return sh.reserve(size, big)
	}
	sh.mu.arena.turn()
	r, err := sh.reserve(size, big)
	sh.mu.arena.turn()
	return r, err
}

// keeps reports whether an entry that is written belongs to those that are kept.
func (sh *shard) keeps(hash uint64, at *found) bool {
	if sh.mem == nil || sh.mem.policy != EvictLFU {
		return false
	}
	if at.ok() {
		return sh.mu.arena.slabs[at.ref.slab()].kept
	}
	return sh.mu.arena.eviction.ghosts.has(hash)
}

// A candidate is an entry that the hand comes to.
type candidate struct {
	hash  uint64
	ref   slot
	entry entry
	bytes []byte
}

// evictSome makes a step of eviction in a shard, which must be locked, and returns how many
// bytes of entries are dead then that were not before, or were passed by as such, and
// false when there is nothing to be evicted. With force it does not move more than half
// of a slab. It returns the error of the log's gate.
func (s *Store) evictSome(sh *shard, force bool, spare *spared) (freed int, ok bool, err error) {
	x := &sh.mu.arena.eviction
	if sh.mem.policy == EvictTTL {
		return s.evictSoonest(sh, spare)
	}
	if x.hand != 0 && sh.held(x.hand) {
		x.hand = 0 // a view was frozen since it was chosen
	}
	if x.hand == 0 {
		if x.hand = sh.chooseHand(); x.hand == 0 {
			return 0, false, nil
		}
		x.at, x.moved = 0, 0
	}
	var (
		room [evictEntries]candidate
		gone = room[:0]
	)
	n := sh.gather(&room)
	size := int(sh.mu.arena.slabs[x.hand].used)
	hand := x.hand
	for i := range room[:n] {
		c := &room[i]
		switch alive, kept := sh.spareOrMove(c, force && 2*x.moved >= size, spare); {
		case !alive:
			freed += aligned(c.entry.size)
		case !kept:
			gone = append(gone, *c)
		}
	}
	if x.hand == hand && x.at >= size {
		x.hand = 0 // the last of it goes now, or cannot
	}
	if err := s.evict(sh, gone); err != nil {
		x.hand = 0
		return freed, true, err
	}
	for i := range gone {
		freed += aligned(gone[i].entry.size)
	}
	return freed, true, nil
}

// gather reads the entries that come next, and asks for the lines of their slots.
func (sh *shard) gather(room *[evictEntries]candidate) (n int) {
	a := &sh.mu.arena
	x := &a.eviction
	data := sh.slabs.Load().data[x.hand][:a.slabs[x.hand].used]
	a.touched = touch(data[x.at:min(x.at+evictBytes, len(data))])
	from := x.at
	for n < len(room) && x.at < len(data) {
		e := parseEntry(data[x.at:])
		h := hash.Bytes(sh.seed, e.key)
		room[n] = candidate{h, makeSlot(x.hand, x.at, h), e, data[x.at : x.at+e.size]}
		n++
		x.at += aligned(e.size)
	}
	x.seen += int64(x.at - from)
	dir := sh.dir.Load()
	for i := range room[:n] {
		first, home := dir.home(room[i].hash)
		atomic.LoadUint64(&at(first, home)[0])
	}
	return n
}

// spareOrMove moves an entry that is to stay. It reports whether it was alive, and whether
// it stays.
func (sh *shard) spareOrMove(c *candidate, full bool, spare *spared) (alive, kept bool) {
	i, n, ok := sh.locateRef(c.ref)
	if !ok {
		return false, false
	}
	d, lfu := sh.dir.Load(), sh.mem.policy == EvictLFU
	first, _ := d.home(c.hash)
	level := mark(first, d.mask, i, n)
	if spare.has(sh, c.hash) {
		full, level = false, max(level, 1)
	} else if full || level == 0 {
		return true, false
	}
	slab := &sh.mu.arena.slabs[c.ref.slab()]
	if lfu && slab.kept {
		level--
	} else {
		level = 0
	}
	if !sh.requeue(c, lfu) {
		return true, false
	}
	first, _ = sh.dir.Load().home(c.hash)
	setMark(first, d.mask, i, n, level)
	return true, true
}

// requeue moves an entry to the end of a chain.
func (sh *shard) requeue(c *candidate, keep bool) bool {
	a := &sh.mu.arena
	x, id := &a.eviction, c.ref.slab()
	if s := &a.slabs[id]; int(s.used) == aligned(len(c.bytes)) {
		// It has the slab to itself: that takes another place.
		x.born++
		s.born = x.born
		if keep && !s.kept {
			s.kept = true
			x.probation -= slabBytes(len(sh.slabs.Load().data[id]))
		}
		x.hand = 0
		return true
	}
	i, n, _ := sh.locateRef(c.ref)
	r, err := sh.reserveIn(keep, len(c.bytes), nil)
	if err != nil {
		return false
	}
	copy(r.bytes, c.bytes)
	x.moved += len(c.bytes)
	sh.replace(c.hash, i, n, r.slot(c.hash))
	sh.kill(c.ref, len(c.bytes))
	return true
}

// chooseHand returns the oldest slab of the chain from which keys are to be evicted, or of
// the other one, or 0.
func (sh *shard) chooseHand() uint32 {
	a := &sh.mu.arena
	var oldest [2]uint32 // on probation, kept
	for i, s := range a.slabs {
		id, chain := uint32(i), 0
		if s.used == 0 || a.filling(id) || sh.held(id) {
			continue
		}
		if s.kept {
			chain = 1
		}
		if o := oldest[chain]; o == 0 || int32(s.born-a.slabs[o].born) < 0 {
			oldest[chain] = id
		}
	}
	if oldest[0] == 0 || oldest[1] != 0 && a.eviction.probation*probationShare < sh.mu.bytes.slabs {
		oldest[0], oldest[1] = oldest[1], oldest[0]
	}
	if oldest[0] == 0 {
		return oldest[1]
	}
	return oldest[0]
}

// evict logs that entries go, and removes them.
func (s *Store) evict(sh *shard, gone []candidate) error {
	if len(gone) == 0 {
		return nil
	}
	var few [evictEntries * 32]byte
	records, expired := few[:0], 0
	for i := range gone {
		kind := byte(kindEvicted)
		if s.clock.reached(gone[i].entry.deadline) {
			kind = kindExpired // it was gone already, for all who could read
			expired++
		}
		records = appendKeyRecord(records, kind, text(gone[i].entry.key))
	}
	if _, err := s.log.Append(records); err != nil {
		return err
	}
	s.counts.evictions.Add(int64(len(gone) - expired))
	s.counts.expiries.Add(int64(expired))
	for i := range gone {
		sh.evict(&gone[i])
	}
	return nil
}

// evict removes an entry, and remembers it if it was on probation.
func (sh *shard) evict(c *candidate) {
	i, n, ok := sh.locateRef(c.ref)
	if !ok {
		return
	}
	if x := &sh.mu.arena.eviction; sh.mem.policy == EvictLFU && !sh.mu.arena.slabs[c.ref.slab()].kept {
		sh.charge(&sh.mu.bytes.table, x.ghosts.grow(sh.mu.keys))
		x.ghosts.add(c.hash)
	}
	at := found{entry: c.entry, ref: c.ref, i: i, n: n}
	sh.take(c.hash, &at)
	if sh.index != nil {
		sh.index.remove(c.entry.key)
	}
}

// evictSoonest is evictSome for EvictTTL: it evicts the keys of the shard whose deadlines
// come first. What they leave is dead bytes.
func (s *Store) evictSoonest(sh *shard, spare *spared) (freed int, ok bool, err error) {
	if sh.mu.freezes > 0 {
		return 0, false, nil // what is evicted would be kept by a view
	}
	gone := make([]candidate, 0, evictEntries)
	for _, d := range sh.due(math.MaxInt64-1, evictEntries) {
		if at := sh.locate(d.hash, text(d.key)); !spare.has(sh, d.hash) {
			gone = append(gone, candidate{hash: d.hash, ref: at.ref, entry: at.entry})
			freed += aligned(at.size)
		}
	}
	if err := s.evict(sh, gone); err != nil {
		return 0, true, err
	}
	sh.compact(freed)
	return freed, len(gone) > 0, nil
}

// evictFor evicts what has to go for a write of size bytes, a little and only now and
// then, so that there is a slab's room when the next one is needed. The shard must be
// locked, and whatever was found in it is out of date afterwards.
func (s *Store) evictFor(sh *shard, size int) {
	m := sh.mem
	if m == nil || m.policy == NoEviction || m.err != nil || !m.tight() || s.following.Load() {
		return
	}
	x := &sh.mu.arena.eviction
	if x.due += aligned(size); m.room() < 0 {
		x.due += aligned(size)
	}
	if x.due < evictBytes {
		return
	}
	x.due = min(x.due, 16*evictBytes)
	if freed, ok, err := s.evictSome(sh, false, nil); ok && err == nil {
		x.due -= freed
	} else {
		x.due = 0
	}
}
