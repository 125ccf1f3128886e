package kv

import (
	"fmt"

	"github.com/emberkv/ember/internal/hash"
	"github.com/emberkv/ember/internal/keytree"
)

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

// A shortage says that a write has to make room and be tried again. No caller sees it.
type shortage struct {
	need  int64
	shard int
}

func (e *shortage) Error() string { return fmt.Sprintf("kv: %d bytes short", e.need) }

// admit acquires the memory that an entry of size bytes may take beyond what is there. at is
// where its key stands. The shard must be locked, and admitted called when the entry is
// shown, or will not be. It returns a shortage, ErrTooLarge or an InvalidError.
func (s *Store) admit(sh *shard, h uint64, at *found, size int) error {
	m := sh.mem
	if m == nil || s.following.Load() {
		return nil
	}
	if m.err != nil {
		return m.err
	}
	inserts := 1
	if at.ok() {
		inserts = 0
	}
	n := aligned(size)
	need := sh.need(h, n, n, inserts) + m.beyondWindow(size)
	if sh.ownSlab(n) {
		need = sh.need(h, 0, 0, inserts) + slabBytes(n) + m.beyondWindow(size)
	}
	if need > 0 && !m.acquire(need) {
		if err := m.fits(need); err != nil {
			return err
		}
		return &shortage{need, s.table.Load().number(h)}
	}
	sh.mu.bytes.acquired = need
	return nil
}

// admitted gives back what admit has acquired: the shard has been charged for it.
func (sh *shard) admitted() {
	if f := &sh.mu.bytes; f.acquired != 0 {
		sh.mem.used.Add(-f.acquired)
		f.acquired = 0
	}
}

// beyondWindow returns what the log will hold more than was reserved for it, because of a
// record that is larger than its window.
func (m *memory) beyondWindow(size int) int64 {
	if m.log == 0 {
		return 0
	}
	return max(0, int64(size)-m.log)
}

// need returns what the shard has to take for some entries without slabs of their own,
// together, of which the largest has n bytes, and so many new keys. It is hardly ever too
// little.
func (sh *shard) need(hash uint64, total, n, inserts int) (need int64) {
	a := &sh.mu.arena
	switch {
	case total == 0:
	case a.left() < total || sh.mem.policy == EvictLFU && a.otherLeft() < total:
		slab := sh.nextSlabBytes(n)
		need = slabBytes(slab) * int64(1+total/slab)
	}
	if sh.mu.deadlines.tree != nil && sh.mem.tight() {
		need += int64(max(inserts, 1)) * deadlineBytes
	}
	if inserts == 0 {
		return need
	}
	d := sh.dir.Load()
	if seg := d.segments[d.index(hash)]; inserts > 1 && len(a.slabs) < 2 || seg.keys+inserts > seg.limit() {
		need += 2*max(seg.bytes(), 256) + d.bytes()
	}
	if sh.index != nil && sh.mem.tight() {
		need += int64(inserts) * (keytree.LeafBytes + int64(n))
	}
	return need
}

// left returns how many bytes the slab has that is being filled.
func (a *arena) left() int {
	if a.current == 0 {
		return 0
	}
	return len(a.data) - int(a.slabs[a.current].used)
}

// otherLeft is left for the other chain.
func (a *arena) otherLeft() int {
	if a.eviction.other.id == 0 {
		return 0
	}
	return len(a.eviction.other.data) - int(a.slabs[a.eviction.other.id].used)
}

// admitBatch is admit for a batch whose shards are locked. It returns what was acquired.
func (s *Store) admitBatch(b *batch) (acquired int64, err error) {
	m := b.table.mem
	if m == nil || s.following.Load() {
		return 0, nil
	}
	size := 0
	for i := 0; i < len(b.steps); {
		number, total, largest, inserts := b.table.number(b.steps[i].op.hash), 0, 0, 0
		first, sh := b.steps[i].op.hash, &b.table.shards[number]
		for ; i < len(b.steps) && b.table.number(b.steps[i].op.hash) == number; i++ {
			op := &b.steps[i].op
			size += len(op.record)
			n := 0
			switch op.kind {
			case kindDeadline:
				at := sh.locate(op.hash, text(op.key))
				n = aligned(at.size + 16)
			case kindDelete:
			default:
				n = aligned(len(op.record))
				inserts++
			}
			if sh.ownSlab(n) {
				acquired += slabBytes(n)
			} else {
				total, largest = total+n, max(largest, n)
			}
		}
		acquired += sh.need(first, total, largest, inserts)
	}
	if acquired == 0 {
		return 0, nil
	}
	if m.err != nil {
		return 0, m.err
	}
	acquired += m.beyondWindow(size)
	if !m.acquire(acquired) {
		if err := m.fits(acquired); err != nil {
			return 0, err
		}
		return 0, &shortage{acquired, b.table.number(b.steps[0].op.hash)}
	}
	return acquired, nil
}

// A spared is a set of keys that are not to be evicted: those of the transaction that needs
// the room.
type spared struct {
	hashes map[uint64]struct{}
	shards *shardSet // of which no key is, because too many were read
	table  *table
}

// has reports whether a key is spared. A nil set has none.
func (p *spared) has(sh *shard, hash uint64) bool {
	if p == nil {
		return false
	}
	_, ok := p.hashes[hash]
	return ok || p.shards != nil && p.shards.has(p.table.number(hash))
}

// sparing returns the set of some keys.
func (s *Store) sparing(keys ...string) *spared {
	t := s.table.Load()
	if t == nil || t.mem == nil {
		return nil
	}
	p := &spared{hashes: make(map[uint64]struct{}), table: t}
	for _, key := range keys {
		p.hashes[hash.String(t.seed, key)] = struct{}{}
	}
	return p
}

// sparing returns the set of what a transaction has read or written.
func (tx *Tx) sparing() *spared {
	if tx.table.mem == nil {
		return nil
	}
	p := &spared{hashes: make(map[uint64]struct{}), table: tx.table}
	for i := range tx.writes {
		p.hashes[hash.String(tx.table.seed, tx.writes[i].key)] = struct{}{}
	}
	for i := range tx.seen.keys {
		p.hashes[tx.seen.keys[i].hash] = struct{}{}
	}
	if tx.seen.whole {
		p.shards = new(shardSet)
		for i := range tx.seen.shards {
			p.shards.add(tx.seen.shards[i].number)
		}
	}
	return p
}

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
// *err is what the caller gets. No lock may be held.
func (s *Store) again(err *error, try int) bool {
	if isShort(*err) {
		if *err = s.makeRoom(*err, try, nil); *err == nil {
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
	return fmt.Errorf("%w: %d bytes are not to be had, Options.MaxBytes is %d", ErrFull, short.need, m.max)
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

// freeIn frees so many bytes in a shard, if it can, and returns how many it did.
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
