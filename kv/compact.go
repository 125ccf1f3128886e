package kv

import (
	"sync/atomic"

	"github.com/emberkv/ember/internal/hash"
)

const (
	// deadShare is the share of an arena, one in so many, that may be dead:
	// a third. Random overwrites then cost 0.7 moved entries each; a quarter
	// would cost 1.2.
	deadShare = 3

	// victimShare is the least share of a slab, one in so many, that has to be
	// dead for it to be emptied. It bounds what a freed byte costs.
	victimShare = 4

	// searchShare is the share of an arena, one in so many, that has to die before a
	// victim is looked for again where there was none.
	searchShare = 64

	// walkPerDeadByte is how many bytes of the victim are looked at for each
	// byte that has died, so that a slab is emptied long before as many bytes
	// have died elsewhere.
	walkPerDeadByte = 8

	// wholeBytes is up to which size a slab is emptied at once, by the write that finds
	// it due. In a small shard, where a slab is a large part of everything, its living
	// entries, dead bytes too while it is emptied bit by bit, would leave next to no
	// room under the bound: emptying had to begin so early that each overwrite
	// moved more than two entries. Some seventy small entries take about ten
	// microseconds.
	wholeBytes = 8 << 10

	// A step is made when so many bytes are due to be looked at, which is a few
	// microseconds' work under the shard's lock: the first of a run of entries has
	// to be fetched from memory, and the others come with it. It looks at no more
	// than so many entries. Large ones take longer, as the write did that made them
	// due.
	compactBytes   = 4 << 10
	compactEntries = 32
)

// compact does a share of the work of getting rid of dead bytes, after died
// bytes have been added to them. Writers do it, in small steps and for their own
// shard; there is no goroutine that could fall behind. An entry that is alive is
// copied to the end of the arena; then its slab, empty, leaves the set.
func (sh *shard) compact(died int) {
	a := &sh.mu.arena
	if sh.mem != nil && sh.mem.room() < 0 && a.left() < compactBytes {
		return // no slab to move to: a write that needs memory empties one at once
	}
	if a.victim != 0 && sh.held(a.victim) {
		a.victim = 0 // a view was frozen since it was chosen
	}
	if a.victim == 0 {
		if deadShare*(a.dead+a.slack()) <= a.used || a.dead < a.hopeless {
			return
		}
		if a.victim = sh.chooseVictim(); a.victim == 0 {
			// A view may hold all slabs, and there may be thousands: not every
			// write is to look through them.
			a.hopeless = a.dead + a.used/searchShare
			return
		}
		a.hopeless = 0
		a.cursor, a.owed = 0, 0
	}
	if used := int(a.slabs[a.victim].used); used <= wholeBytes {
		for id := a.victim; a.victim == id && a.cursor < used; {
			a.owed = used
			sh.compactStep()
		}
	} else if a.owed += walkPerDeadByte * died; a.owed >= compactBytes {
		sh.compactStep()
	}
}

// slack returns how many dead bytes below the bound emptying a slab has to begin. Its
// living entries become dead bytes too, until it goes: five eighths of a slab is more
// than a victim's living part and what dies meanwhile. One that is emptied at once needs
// none; where slabs are being made, there may be others of twice the size.
func (a *arena) slack() int64 {
	if len(a.data) <= wholeBytes/2 {
		return 0
	}
	return int64(len(a.data)) * 5 / 8
}

// chooseVictim returns the slab with the largest dead share, or 0 when there is none
// worth the work.
func (sh *shard) chooseVictim() (best uint32) {
	a := &sh.mu.arena
	var most slab
	for i, s := range a.slabs {
		id := uint32(i)
		switch {
		case s.used == 0, a.filling(id), s.dead*victimShare < s.used, sh.held(id):
		case best == 0 || uint64(s.dead)*uint64(most.used) > uint64(most.dead)*uint64(s.used):
			best, most = id, s
		}
	}
	return best
}

// held reports whether a frozen view keeps the slab alive.
func (sh *shard) held(id uint32) bool {
	return sh.mu.freezes > 0 && sh.mu.arena.slabs[id].epoch < sh.mu.epoch
}

// compactStep looks at the next entries of the victim and moves those that are
// alive: whose slot refers to exactly that place.
func (sh *shard) compactStep() {
	type candidate struct {
		ref  slot
		size int
	}
	var batch [compactEntries]candidate
	a := &sh.mu.arena
	id, n := a.victim, 0
	data := sh.slabs.Load().data[id][:a.slabs[id].used]
	a.touched = touch(data[a.cursor:min(a.cursor+compactBytes, len(data))])
	var e entry
	for n < len(batch) && a.owed > 0 && a.cursor < len(data) {
		e.parse(data[a.cursor:])
		batch[n] = candidate{makeSlot(id, a.cursor, hash.Bytes(sh.seed, e.key)), e.size}
		n++
		a.cursor += aligned(e.size)
		a.owed -= aligned(e.size)
	}
	// Now for the groups, in a loop of its own, for the same reason as in touch: a
	// processor looks a few hundred instructions ahead, not more.
	dir := sh.dir.Load()
	for i := range batch[:n] {
		first, home := dir.home(batch[i].ref.hash())
		atomic.LoadUint64(&at(first, home)[0])
	}
	for _, c := range batch[:n] {
		from := c.ref.offset()
		if !sh.move(c.ref, data[from:from+c.size]) {
			a.victim = 0 // no number for a slab to move to: let it be
			return
		}
	}
	// When the last living entry was moved, the slab has gone.
}

// touch reads a byte of each cache line of b. The loads do not depend on each other, so
// the misses overlap; those of entries that are read one after the other, each found by
// the length of the one before, would add up.
func touch(b []byte) (sum byte) {
	for i := 0; i < len(b); i += 64 {
		sum += b[i]
	}
	return sum
}

// move gives the entry at ref another place, if it is alive. It returns false
// when there is none to be had.
func (sh *shard) move(ref slot, bytes []byte) bool {
	i, n, ok := sh.locateRef(ref)
	if !ok {
		return true
	}
	r, err := sh.reserveIn(sh.mu.arena.slabs[ref.slab()].kept, len(bytes), nil)
	if err != nil {
		return false
	}
	copy(r.bytes, bytes)
	sh.replace(ref.hash(), i, n, r.slot(ref.hash()))
	sh.kill(ref, len(bytes))
	return true
}
