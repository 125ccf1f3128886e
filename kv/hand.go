package kv

import (
	"sync/atomic"

	"github.com/emberkv/ember/internal/hash"
)

// A candidate is an entry that the hand comes to.
type candidate struct {
	hash  uint64
	ref   slot
	entry entry
	bytes []byte
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
