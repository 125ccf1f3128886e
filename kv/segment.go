package kv

import (
	"math/bits"
	"sync/atomic"

	"github.com/emberkv/ember/internal/hugepage"
)

const (
	groupSlots = 7
	maxGroups  = 1 << homeBits // in a segment: 16 KiB, 1,792 slots

	lowBits  = 0x00_01_01_01_01_01_01_01 // of each tag
	highBits = 0x00_80_80_80_80_80_80_80

	passedShift = 56
	passedMax   = 0xff
)

// A group is one cache line: word 0 is the control word, the others are slots.
//
//	63      56 55      48        15       8 7        0
//	+---------+----------+-- --+----------+----------+
//	| passed  |  tag 6   | ... |  tag 1   |  tag 0   |
//	+---------+----------+-- --+----------+----------+
//
// Passed counts the keys that have their home here or further back and found
// this group full; it sticks at 255. A search goes on to the next group if and
// only if it is not 0. A count instead of a mark costs nothing and heals: a group
// that was full once does not lengthen every later search for a missing key.
//
// Readers load the words atomically and without a lock. Only the holder of the
// shard's lock stores, so its own loads may be plain; what readers may see it
// stores atomically. A slot is stored before its tag, and a tag is cleared
// before its slot, so a tag that is seen leads to its slot, to an empty one or
// to another key's, and the key itself decides.
type group [1 + groupSlots]uint64

// matchTags returns a word with the high bit of each byte set that equals tag.
// A byte above a true match may be set in error. The lowest one that is set
// is exact.
func matchTags(control, tag uint64) uint64 {
	x := control ^ tag*lowBits
	return (x - lowBits) &^ x & highBits
}

// lowest returns the number of the lowest tag in what matchTags returned.
func lowest(match uint64) int { return bits.TrailingZeros64(match) / 8 }

// A segment is an open hash table of 1 to maxGroups groups, a power of two. It
// never changes its size and nothing in it is ever moved: growth builds
// new segments, so a reader that is still in this one sees it as it was last.
type segment struct {
	groups []group
	keys   int
	depth  uint8  // how many directory bits all of its keys share
	epoch  uint64 // of the shard when the segment was made
}

func newSegment(groups int, depth uint8, epoch uint64) *segment {
	// A slice of groups whose number is a power of two lies at a multiple of
	// its cache line: the allocator's classes of these sizes are so aligned.
	return &segment{groups: make([]group, groups), depth: depth, epoch: epoch}
}

// newLargeSegment returns a segment that lies on a large page if it has its full size.
func newLargeSegment(groups int, depth uint8, epoch uint64) *segment {
	s := newSegment(groups, depth, epoch)
	if groups == maxGroups {
		hugepage.Advise(s.groups)
	}
	return s
}

// newMarkedSegment returns a segment with room for marks behind its groups.
func newMarkedSegment(groups int, depth uint8, epoch uint64) *segment {
	return &segment{groups: make([]group, groups+markGroups(groups))[:groups], depth: depth, epoch: epoch}
}

// limit returns how many keys the segment takes before it has to grow: seven
// eighths of its slots. When the directory bits are used up, all of them.
func (s *segment) limit() int {
	slots := len(s.groups) * groupSlots
	if s.depth == dirBits {
		return slots
	}
	return slots - slots/8
}

// clone returns a copy for the shard's present epoch.
func (s *segment) clone(epoch uint64) *segment {
	c := &segment{groups: make([]group, cap(s.groups))[:len(s.groups)], depth: s.depth, epoch: epoch}
	copy(c.groups, s.groups)
	s.copyMarks(c)
	c.keys = s.keys
	return c
}

// build inserts into a segment that no reader knows yet.
func (s *segment) build(tag uint64, ref slot) {
	mask := len(s.groups) - 1
	for i := int(ref) & mask; ; i = (i + 1) & mask {
		g := &s.groups[i]
		if empty := matchTags(g[0], 0); empty != 0 {
			n := lowest(empty)
			g[1+n] = uint64(ref)
			g[0] |= tag << (8 * n)
			s.keys++
			return
		}
		if g[0]>>passedShift != passedMax {
			g[0] += 1 << passedShift
		}
	}
}

// insert adds a slot to a segment that readers may be in. There must be room.
func (s *segment) insert(tag uint64, ref slot) {
	mask := len(s.groups) - 1
	for i := int(ref) & mask; ; i = (i + 1) & mask {
		g := &s.groups[i]
		if empty := matchTags(g[0], 0); empty != 0 {
			n := lowest(empty)
			atomic.StoreUint64(&g[1+n], uint64(ref))
			atomic.StoreUint64(&g[0], g[0]|tag<<(8*n))
			s.keys++
			return
		}
		// Before the slot is there: whoever finds the key elsewhere in
		// the table finds the way to it.
		if g[0]>>passedShift != passedMax {
			atomic.StoreUint64(&g[0], g[0]+1<<passedShift)
		}
	}
}

// remove empties slot n of group i.
func (s *segment) remove(i uint64, n int) {
	g, mask := &s.groups[i], uint64(len(s.groups)-1)
	home := g[1+n] & mask
	atomic.StoreUint64(&g[0], g[0]&^(0xff<<(8*n)))
	atomic.StoreUint64(&g[1+n], 0)
	s.keys--
	if cap(s.groups) > len(s.groups) {
		setMark(&s.groups[0], mask, i, n, 0)
	}
	for ; home != i; home = (home + 1) & mask {
		p := &s.groups[home]
		if p[0]>>passedShift != passedMax {
			atomic.StoreUint64(&p[0], p[0]-1<<passedShift)
		}
	}
}

// each calls f for every slot in use with its tag. The segment must not change
// meanwhile.
func (s *segment) each(f func(tag uint64, ref slot)) {
	for i := range s.groups {
		g := &s.groups[i]
		for n, control := 1, g[0]; n <= groupSlots; n, control = n+1, control>>8 {
			if t := control & 0xff; t != 0 {
				f(t, slot(g[n]))
			}
		}
	}
}

// A probe walks the slots that may be those of a key, for the holder of the shard's
// lock. Like a reader it needs the groups only, not what else a segment is.
type probe struct {
	first *group
	mask  uint64
	hash  uint64 // the slot's bits of it
	tag   uint64
	i     uint64 // the group it is in
	left  uint64 // how many it may still go on to
	match uint64 // in this group, not yet tried
}

func (p *probe) begin(d *directory, hash uint64) {
	p.first, p.i = d.home(hash)
	p.mask, p.left = d.mask, d.mask
	p.hash, p.tag = hash&(1<<hashBits-1), tag(hash)
	p.match = matchTags(at(p.first, p.i)[0], p.tag)
}

// next returns the group and the number of the next slot whose tag and hash
// bits are those of the key.
func (p *probe) next() (i uint64, n int, ref slot, ok bool) {
	for {
		g := at(p.first, p.i)
		for p.match != 0 {
			n := lowest(p.match)
			p.match &= p.match - 1
			if ref := slot(g[1+n]); ref != 0 && ref.hash() == p.hash {
				return p.i, n, ref, true
			}
		}
		if g[0]>>passedShift == 0 || p.left == 0 {
			return 0, 0, 0, false
		}
		p.left--
		p.i = (p.i + 1) & p.mask
		p.match = matchTags(at(p.first, p.i)[0], p.tag)
	}
}
