package kv

import (
	"slices"
	"sync/atomic"
	"unsafe"
)

// A directory leads to a shard's segments by the topmost of the slot's directory
// bits. While there is one segment it may have any size; several have maxGroups
// groups each. Neither its length nor its mask ever changes: growth makes
// another directory.
type directory struct {
	depth uint8  // 1<<depth elements
	mask  uint64 // groups of each segment, less one
	epoch uint64 // of the shard when the directory was made

	// first holds the first group of each segment, which is all that a reader
	// needs: one load less on its way than through segments, which are for the
	// holder of the shard's lock. A segment of less depth stands in several
	// consecutive elements.
	first    []atomic.Pointer[group]
	segments []*segment
}

// noKeys is the directory of every shard that has never held a key. It is full,
// so nobody writes to it.
var noKeys = newDirectory(&segment{}, 0)

// newDirectory returns a directory of a single segment.
func newDirectory(s *segment, epoch uint64) *directory {
	d := &directory{
		mask:     uint64(max(len(s.groups), 1) - 1),
		epoch:    epoch,
		first:    make([]atomic.Pointer[group], 1),
		segments: make([]*segment, 1),
	}
	d.set(0, 1, s)
	return d
}

// presized returns a directory of 1<<depth empty segments of full size.
func presized(depth uint8, epoch uint64, fresh func(groups int, depth uint8, epoch uint64) *segment) *directory {
	d := &directory{
		depth:    depth,
		mask:     maxGroups - 1,
		epoch:    epoch,
		first:    make([]atomic.Pointer[group], 1<<depth),
		segments: make([]*segment, 1<<depth),
	}
	for i := range d.segments {
		d.set(i, 1, fresh(maxGroups, depth, epoch))
	}
	return d
}

// index returns the element that a hash, or a slot, belongs to.
func (d *directory) index(hash uint64) int {
	return int(hash>>homeBits&(1<<dirBits-1)) >> (dirBits - d.depth)
}

// home returns the first group of the segment that a hash belongs to, and the
// number of the hash's home in it.
func (d *directory) home(hash uint64) (first *group, home uint64) {
	return d.first[d.index(hash)].Load(), hash & d.mask
}

// at returns the group with number i of the segment that begins with first.
func at(first *group, i uint64) *group {
	// A slice header would be the second load that directory.first is there to
	// avoid. The number is masked by the length of every segment in it.
	return (*group)(unsafe.Add(unsafe.Pointer(first), i*uint64(unsafe.Sizeof(*first))))
}

// span returns the elements [i, i+n) in which the segment of element i stands.
func (d *directory) span(i int) (start, n int) {
	n = 1 << (d.depth - d.segments[i].depth)
	return i &^ (n - 1), n
}

// set puts a segment into the elements [i, i+n).
func (d *directory) set(i, n int, s *segment) {
	first := &noGroup
	if len(s.groups) > 0 {
		first = &s.groups[0]
	}
	for ; n > 0; i, n = i+1, n-1 {
		d.segments[i] = s
		d.first[i].Store(first)
	}
}

// noGroup is what a reader finds in noKeys.
var noGroup group

// clone returns a copy, twice as long if deeper is 1, for the present epoch.
func (d *directory) clone(deeper uint8, epoch uint64) *directory {
	c := &directory{
		depth:    d.depth + deeper,
		mask:     d.mask,
		epoch:    epoch,
		first:    make([]atomic.Pointer[group], len(d.first)<<deeper),
		segments: make([]*segment, len(d.segments)<<deeper),
	}
	for i := range c.segments {
		c.set(i, 1, d.segments[i>>deeper])
	}
	return c
}

// distinct returns the segments, each once.
func (d *directory) distinct() []*segment { return slices.Compact(slices.Clone(d.segments)) }
