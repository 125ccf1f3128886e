package kv

// makeRoom lets the segment of a hash take one key more. It works on one segment
// of at most 1,792 slots, some ten microseconds; the rest of the shard is not
// touched. It returns ErrFull when the hash bits that slots keep are used up.
func (sh *shard) makeRoom(hash uint64) error { return sh.makeRoomOf(hash, 1) }

// makeRoomOf lets the segment of a hash take n keys more.
func (sh *shard) makeRoomOf(hash uint64, n int) error {
	for {
		d := sh.dir.Load()
		seg := d.segments[d.index(hash)]
		switch {
		case seg.keys+n <= seg.limit():
			return nil
		case len(seg.groups) < maxGroups:
			sh.double(seg)
		case seg.depth < dirBits:
			// A half may be full again, if the bit was the same in all keys.
			sh.split(d, d.index(hash))
		default:
			return ErrFull
		}
	}
}

// fewInserts is up to how many keys may come to a shard at once and each segment be made
// to take all of them. It is less than a segment of the smallest size takes.
const fewInserts = groupSlots - 1

// makeRoomFor makes room in the shard for the keys of steps that do not exist; n is their number.
func (sh *shard) makeRoomFor(steps []step, inserts int) error {
	if inserts == 0 {
		return nil
	}
	for need := map[*group]int(nil); ; {
		grown := false
		for i := range steps {
			if steps[i].at.ok() {
				continue
			}
			n, first := inserts, (*group)(nil)
			if inserts > fewInserts {
				if need == nil {
					need = make(map[*group]int)
				}
				first, _ = sh.dir.Load().home(steps[i].op.hash)
				need[first]++
				n = need[first]
			}
			if err := sh.makeRoomOf(steps[i].op.hash, n); err != nil {
				return err
			}
			now, _ := sh.dir.Load().home(steps[i].op.hash)
			grown = grown || first != nil && now != first
		}
		if !grown {
			return nil
		}
		// A segment was replaced, and its keys must be counted anew.
		clear(need)
	}
}

// double replaces a shard's only segment by one of twice the size.
func (sh *shard) double(old *segment) {
	s := sh.segments()(max(1, 2*len(old.groups)), 0, sh.mu.epoch)
	old.each(s.build)
	old.carryMarks(s)
	d := newDirectory(s, sh.mu.epoch)
	sh.chargeReplaced(s.bytes()+d.bytes(), old.bytes()+sh.dir.Load().bytes())
	sh.dir.Store(d)
}

// split replaces the segment of element i by two, which share one bit of the
// hash more. The old one stays as it is for those who are still reading it.
func (sh *shard) split(d *directory, i int) {
	old := d.segments[i]
	depth := old.depth + 1
	fresh := sh.segments()
	low := fresh(maxGroups, depth, sh.mu.epoch)
	high := fresh(maxGroups, depth, sh.mu.epoch)
	bit := slot(1) << (hashBits - depth)
	old.each(func(tag uint64, ref slot) {
		if ref&bit == 0 {
			low.build(tag, ref)
		} else {
			high.build(tag, ref)
		}
	})
	old.carryMarks(low, high)
	sh.chargeReplaced(low.bytes()+high.bytes(), old.bytes())
	deeper := old.depth == d.depth
	if deeper {
		before := d.bytes()
		d = d.clone(1, sh.mu.epoch)
		sh.chargeReplaced(d.bytes(), before)
		i *= 2
	} else {
		d = sh.ownDirectory(d)
	}
	start, n := d.span(i)
	d.set(start, n/2, low)
	d.set(start+n/2, n/2, high)
	if deeper {
		sh.dir.Store(d)
	}
}

// presize gives an empty shard segments for keys to come, but no more than bytes
// of them.
func (sh *shard) presize(keys, bytes int) {
	const segmentBytes = maxGroups * 8 * (1 + groupSlots)
	full := (&segment{groups: make([]group, maxGroups)}).limit()
	var depth uint8
	for keys>>depth > full*7/8 && depth < dirBits && 2*segmentBytes<<depth <= bytes {
		depth++
	}
	if depth > 0 {
		d := presized(depth, sh.mu.epoch, sh.segments())
		sh.chargeReplaced(d.bytes()+int64(len(d.segments))*d.segments[0].bytes(), 0)
		sh.dir.Store(d)
	}
}

// expect lets the slabs of an empty shard have the size from the first one on that they
// would have at the end, if the entries to come are like some that have come; larger ones than
// that, if those have a few that are unlike the rest. On their word
// alone one slab is made, of presizeShare times the bytes of those or the least size. In a
// store that is bounded slabs are small, and stay so.
func (sh *shard) expect(keys, some, bytes int) {
	if some > 0 && sh.mem == nil {
		estimate := float64(bytes+some*entryAlign/2) / float64(some) * float64(keys)
		sh.mu.arena.expected = int64(min(estimate, float64(slabShare*presizeShare*bytes)))
	}
}
