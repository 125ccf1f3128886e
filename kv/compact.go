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

	// walkPerDeadByte is how many bytes of the victim are looked at for each
	// byte that has died, so that a slab is emptied long before as many bytes
	// have died elsewhere.
	walkPerDeadByte = 8

	// One step looks at no more entries and moves no more bytes than these, a
	// few microseconds under the shard's lock.
	compactEntries   = 16
	compactMoveBytes = 32 << 10
)

// compact does a share of the work of getting rid of dead bytes, after died
// bytes have been added to them. Writers do it, in small steps and for their own
// shard; there is no goroutine that could fall behind. An entry that is alive is
// copied to the end of the arena; then its slab, empty, leaves the set.
func (sh *shard) compact(died int) {
	a := &sh.mu.arena
	if a.victim != nil && sh.held(a.victim) {
		a.victim = nil // a view was frozen since it was chosen
	}
	if a.victim == nil {
		// Emptying a slab makes its living entries dead bytes too, until
		// the slab goes. The work begins so early that they fit under the
		// bound: five eighths of a slab is more than a victim's living part
		// and what dies meanwhile.
		if a.current == nil || deadShare*(a.dead+int64(len(a.current.data))*5/8) <= a.used {
			return
		}
		if a.victim = sh.chooseVictim(); a.victim == nil {
			return
		}
		a.cursor, a.owed = 0, 0
	}
	a.owed += walkPerDeadByte * died
	if a.owed >= maxSlabBytes/1024 {
		sh.compactStep()
	}
}

// chooseVictim returns the slab with the largest dead share, or nil when there
// is none worth the work.
func (sh *shard) chooseVictim() *slab {
	var best *slab
	for _, s := range sh.mu.arena.slabs {
		switch {
		case s == nil, s == sh.mu.arena.current, s.dead*victimShare < s.used:
		case sh.held(s):
		case best == nil || int64(s.dead)*int64(best.used) > int64(best.dead)*int64(s.used):
			best = s
		}
	}
	return best
}

// held reports whether a frozen view keeps the slab alive.
func (sh *shard) held(s *slab) bool {
	return sh.mu.freezes > 0 && s.epoch < sh.mu.epoch
}

// compactStep looks at the next entries of the victim and moves those that are
// alive: whose slot refers to exactly that place.
func (sh *shard) compactStep() {
	type candidate struct {
		hash  uint64
		ref   slot
		bytes []byte
	}
	var batch [compactEntries]candidate
	a := &sh.mu.arena
	v, n := a.victim, 0
	for moved := 0; n < len(batch) && a.owed > 0 && a.cursor < v.used && moved < compactMoveBytes; n++ {
		e := parseEntry(v.data[a.cursor:])
		h := hash.Bytes(sh.seed, e.key)
		batch[n] = candidate{h, makeSlot(v.id, a.cursor, h), v.data[a.cursor : a.cursor+e.size]}
		// Touch the group now: the cache misses of a batch overlap, where
		// those of one entry after the other would add up.
		first, i := sh.dir.Load().home(h)
		atomic.LoadUint64(&at(first, i)[0])
		a.cursor += aligned(e.size)
		a.owed -= aligned(e.size)
		moved += e.size
	}
	for _, c := range batch[:n] {
		if !sh.move(c.hash, c.ref, c.bytes) {
			a.victim = nil // no number for a slab to move to: let it be
			return
		}
	}
	// When the last living entry was moved, the slab has gone, and with it the
	// state above.
}

// move gives the entry at ref another place, if it is alive. It returns false
// when there is none to be had.
func (sh *shard) move(hash uint64, ref slot, bytes []byte) bool {
	group, n, ok := sh.locateRef(hash, ref)
	if !ok {
		return true
	}
	r, err := sh.reserve(len(bytes), nil)
	if err != nil {
		return false
	}
	copy(r.bytes, bytes)
	sh.own(hash).replace(group, n, r.slot(hash))
	sh.kill(ref, len(bytes))
	return true
}
