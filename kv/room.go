package kv

import "fmt"

const (
	// maxRoomTries bounds how often a write makes room and finds that others have
	// taken it.
	maxRoomTries = 64

	// squeezeShare is the least share of a slab, one part in so many, that has to be dead
	// for it to be emptied when there is no room.
	squeezeShare = 8

	// comeDown is how many times what a write takes is freed for it while the bound is
	// passed, at least.
	comeDown = 4
)

// isShort reports whether a write that ended with err needs room.
func isShort(err error) bool {
	if err == nil {
		return false
	}
	_, ok := err.(*shortage)
	return ok
}

// again reports whether a write that ended with *err should be tried again, since there
// was too little room, and is enough now, or since writes were held up, and go on. If not,
// *err is what the caller gets. The write goes by what keys have, if any are given: they are
// not evicted, or it would find them gone by its own doing. No lock may be held.
func (s *Store) again(err *error, try int, keys ...string) bool {
	if isShort(*err) {
		var spare *spared
		if len(keys) > 0 {
			spare = s.sparing(keys...)
		}
		if *err = s.makeRoom(*err, try, spare); *err == nil {
			return true
		}
	}
	return resumed(*err)
}

// makeRoom makes the room that is short. It returns ErrFull if there is none to be had,
// and the error of the log's gate.
func (s *Store) makeRoom(cause error, try int, spare *spared) error {
	short := cause.(*shortage)
	if err := s.closed(); err != nil {
		return err
	}
	t := s.table.Load()
	if t == nil {
		return ErrClosed
	}
	defer s.waiters.wake()
	m := t.mem
	over := m.room() < 0 // as a store that has followed may be
	var freed int64
	for k := 0; try < maxRoomTries && k <= m.rounds()*len(t.shards); k++ {
		if m.acquire(short.need) {
			m.used.Add(-short.need)
			return nil
		}
		n, err := s.freeIn(t, t.roomFrom(short.shard, k), short.need, k/len(t.shards), spare)
		if err != nil {
			return err
		}
		if freed += n; over && freed >= comeDown*short.need {
			m.credit.Add(short.need)
			return nil
		}
	}
	return fmt.Errorf("%w: no room for %d bytes more, with Options.MaxBytes %d", ErrFull, short.need, m.max)
}

// rounds returns how often all shards are asked for room. The first time those are left
// out that have less than the others.
func (m *memory) rounds() int {
	if m.policy == NoEviction {
		return 1
	}
	return 3
}

// roomFrom returns the shard that is to give something at the k-th attempt: the one
// that is written to, and then one after the other.
func (t *table) roomFrom(written, k int) *shard {
	if k == 0 && written < len(t.shards) {
		return &t.shards[written]
	}
	return &t.shards[int(t.mem.next.Add(1))%len(t.shards)]
}

// freeIn frees that many bytes in a shard, if it can, and returns how many it did.
func (s *Store) freeIn(t *table, sh *shard, need int64, round int, spare *spared) (freed int64, err error) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	f, a := &sh.mu.bytes, &sh.mu.arena
	if s.table.Load() != t || round == 0 && t.mem.policy.marks() && t.hasLittle(sh) {
		return 0, nil
	}
	if round > 1 {
		sh.seal()
	}
	// All that is used may have to be moved once before anything goes.
	until := a.eviction.seen + 2*a.used + need
	before := f.table + f.slabs + f.dated + f.retained
	for freed < need && a.eviction.seen <= until {
		if !sh.squeeze() {
			if t.mem.policy == NoEviction {
				break
			}
			_, ok, e := s.evictSome(sh, true, spare)
			if err = e; !ok || err != nil {
				break
			}
		}
		freed = before - f.table - f.slabs - f.dated - f.retained
	}
	t.mem.used.Add(f.late)
	f.late = 0
	return freed, err
}

// hasLittle reports whether a shard has clearly less than the others.
func (t *table) hasLittle(sh *shard) bool {
	return sh.mu.bytes.slabs*int64(len(t.shards)) < t.mem.used.Load()*3/4
}

// seal ends the filling of slabs, so that what they hold can be evicted.
func (sh *shard) seal() {
	a := &sh.mu.arena
	for range 2 {
		if id := a.current; id != 0 && !sh.held(id) {
			if a.current, a.data = 0, nil; a.slabs[id].dead == a.slabs[id].used {
				sh.dropSlab(id)
			}
		}
		a.turn()
	}
}

// squeeze empties the slab that is dead for the most part, at once, if an eviction does not
// come to it anyway. It returns false when there is none.
func (sh *shard) squeeze() bool {
	a := &sh.mu.arena
	if sh.mem.policy.marks() || a.dead*squeezeShare < a.used {
		return false
	}
	if a.victim == 0 || sh.held(a.victim) {
		if a.victim = sh.chooseVictim(); a.victim == 0 {
			return false
		}
		a.cursor, a.owed = 0, 0
	}
	for id := a.victim; a.victim == id && a.cursor < int(a.slabs[id].used); {
		a.owed = compactBytes
		sh.compactStep()
	}
	a.victim, a.owed = 0, 0
	return true
}
