package kv

import (
	"fmt"

	"github.com/emberkv/ember/internal/keytree"
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
				var at found
				sh.locate(op.hash, text(op.key), &at)
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
