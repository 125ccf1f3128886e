package kv

import (
	"sync/atomic"
	"unsafe"
)

// Marks say which keys were used lately. They exist only under a policy that asks for
// them: a segment then has more room behind its groups, a byte for each slot, eight to a
// group, so that a reader finds a key's mark with what it knows already.
//
// A reader raises a mark, up to a limit that is soon reached: what is read all the time
// is only looked at, and its cache line stays with all processors. Two that raise one word
// at once may lose one of the two.

// markLimit is the highest mark, by policy.
func (e Eviction) markLimit() uint64 {
	if e == EvictLFU {
		return 3
	}
	return 1
}

// markGroups returns how many groups' room the marks of a segment take.
func markGroups(groups int) int { return (groups + groupSlots) / (1 + groupSlots) }

// markWord returns the marks of group i of a segment, 8 bits for each slot.
func markWord(first *group, mask, i uint64) *uint64 {
	const size = uint64(unsafe.Sizeof(group{}))
	return (*uint64)(unsafe.Add(unsafe.Pointer(first), (mask+1)*size+i*8))
}

// mark returns a slot's mark.
func mark(first *group, mask, i uint64, n int) uint64 {
	return atomic.LoadUint64(markWord(first, mask, i)) >> (8 * n) & 0xff
}

func setMark(first *group, mask, i uint64, n int, to uint64) {
	word := markWord(first, mask, i)
	for {
		old := atomic.LoadUint64(word)
		marks := old&^(0xff<<(8*n)) | to<<(8*n)
		if marks == old || atomic.CompareAndSwapUint64(word, old, marks) {
			return
		}
	}
}

// copyMarks copies the marks of s to a segment of the same size.
func (s *segment) copyMarks(to *segment) {
	mask := uint64(len(s.groups) - 1)
	for i := 0; i < len(s.groups) && cap(s.groups) > len(s.groups); i++ {
		*markWord(&to.groups[0], mask, uint64(i)) = atomic.LoadUint64(markWord(&s.groups[0], mask, uint64(i)))
	}
}

// carryMarks gives the marks of s to the segments that come in its place.
func (s *segment) carryMarks(to ...*segment) {
	if cap(s.groups) == len(s.groups) {
		return
	}
	mask := uint64(len(s.groups) - 1)
	for i := range s.groups {
		marks := atomic.LoadUint64(markWord(&s.groups[0], mask, uint64(i)))
		for n := 0; marks != 0; n, marks = n+1, marks>>8 {
			if level := marks & 0xff; level != 0 {
				for _, t := range to {
					t.markSlot(slot(s.groups[i][1+n]), level)
				}
			}
		}
	}
}

// markSlot sets the mark of a slot, if the segment has it.
func (s *segment) markSlot(ref slot, level uint64) {
	mask := uint64(len(s.groups) - 1)
	for i, left := uint64(ref)&mask, len(s.groups); left > 0; i, left = (i+1)&mask, left-1 {
		g := &s.groups[i]
		for n := range groupSlots {
			if slot(g[1+n]) == ref {
				setMark(&s.groups[0], mask, i, n, level)
				return
			}
		}
		if g[0]>>passedShift == 0 {
			return
		}
	}
}

// segments returns what makes the shard's segments.
func (sh *shard) segments() func(groups int, depth uint8, epoch uint64) *segment {
	switch {
	case sh.mem != nil && sh.mem.policy.marks():
		return newMarkedSegment
	case sh.mu.beside:
		return newSegment
	}
	return newLargeSegment
}

// use raises the mark of a slot.
func (sh *shard) use(hash, i uint64, n int) {
	if sh.mem == nil || !sh.mem.policy.marks() {
		return
	}
	d := sh.dir.Load()
	first, _ := d.home(hash)
	raise(markWord(first, d.mask, i), n, sh.mem.policy.markLimit())
}

func raise(word *uint64, n int, limit uint64) {
	old := atomic.LoadUint64(word)
	if old>>(8*n)&0xff < limit {
		atomic.CompareAndSwapUint64(word, old, old+1<<(8*n))
	}
}

// lookedUp takes notice of a lookup. The key's group was just looked at, so to look for its
// slot once more costs little; the hash is enough, since a mark in error does no harm.
func (s *Store) lookedUp(sh *shard, hash uint64, found bool) {
	if s.counts.lookups.stripes == nil {
		return
	}
	s.counts.lookups.count(found)
	if !found || !sh.mem.policy.marks() {
		return
	}
	d := sh.dir.Load()
	want, tag := hash&(1<<hashBits-1), tag(hash)
	first, i := d.home(hash)
	for left := d.mask; ; left-- {
		g := at(first, i)
		control := atomic.LoadUint64(&g[0])
		for match := matchTags(control, tag); match != 0; match &= match - 1 {
			n := lowest(match)
			if ref := slot(atomic.LoadUint64(&g[1+n])); ref != 0 && ref.hash() == want {
				raise(markWord(first, d.mask, i), n, sh.mem.policy.markLimit())
				return
			}
		}
		if control>>passedShift == 0 || left == 0 {
			return
		}
		i = (i + 1) & d.mask
	}
}
