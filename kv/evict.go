package kv

import "math"

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
	var room [evictEntries]candidate
	gone := room[:0]
	// The first ones may all be spared: then those behind them.
	for n, more := evictEntries, true; more && len(gone) == 0; n *= 2 {
		due := sh.due(math.MaxInt64-1, n)
		more = len(due) >= n
		for _, d := range due {
			if len(gone) == evictEntries || spare.has(sh, d.hash) {
				continue
			}
			var at found
			sh.locate(d.hash, text(d.key), &at)
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
// locked, and whatever was found in it is out of date afterwards. What was written is spared:
// in a small store it may be what the policy comes to next.
func (s *Store) evictFor(sh *shard, size int, written *spared) {
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
	if freed, ok, err := s.evictSome(sh, false, written); ok && err == nil {
		x.due -= freed
	} else {
		x.due = 0
	}
}
