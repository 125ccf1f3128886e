package kv

import (
	"errors"
	"math/rand/v2"
	"testing"
	"unsafe"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/rdb"
)

func TestGroupsAreCacheLines(t *testing.T) {
	if unsafe.Sizeof(group{}) != 64 {
		t.Fatalf("a group has %d bytes", unsafe.Sizeof(group{}))
	}
	for n := 1; n <= maxGroups; n *= 2 {
		for range 100 {
			s := newSegment(n, 0, 0)
			if p := uintptr(unsafe.Pointer(&s.groups[0])); p%64 != 0 {
				t.Fatalf("%d groups begin at %#x", n, p)
			}
		}
	}
	var sh shard
	if off := unsafe.Offsetof(sh.mu); off < 64 {
		t.Errorf("the lock begins at byte %d, on the readers' cache line", off)
	}
}

func TestSlotKeepsItsParts(t *testing.T) {
	for _, slab := range []uint32{1, 77, maxSlabs - 1} {
		for _, offset := range []int{0, 8, maxSlabBytes - 8} {
			for _, hash := range []uint64{0, 1, 1<<hashBits - 1, 1<<64 - 1} {
				s := makeSlot(slab, offset, hash)
				if s.slab() != slab || s.offset() != offset || s.hash() != hash&(1<<hashBits-1) || s == 0 {
					t.Fatalf("%d, %d, %#x became %d, %d, %#x", slab, offset, hash, s.slab(), s.offset(), s.hash())
				}
			}
		}
	}
}

func TestMatchTags(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 100_000 {
		control := r.Uint64() & r.Uint64() // many zeros
		want := r.Uint64() & 0xff
		first := -1
		for n := groupSlots - 1; n >= 0; n-- {
			if control>>(8*n)&0xff == want {
				first = n
			}
		}
		match := matchTags(control, want)
		if first < 0 && match != 0 || first >= 0 && lowest(match) != first {
			t.Fatalf("tags %#x, looking for %#x: %#x, want slot %d", control, want, match, first)
		}
		for n := range groupSlots { // none may be missed
			if control>>(8*n)&0xff == want && match>>(8*n+7)&1 == 0 {
				t.Fatalf("tags %#x, looking for %#x: slot %d missed", control, want, n)
			}
		}
	}
}

// A segment of one or more groups, filled to the last slot and emptied in random
// order, again and again: what is in it is found, what is not is not, and nothing is
// left of what was.
func TestSegmentAgainstAModel(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	for _, groups := range []int{1, 2, 8, maxGroups} {
		s := newSegment(groups, 0, 0)
		d := newDirectory(s, 0)
		model := map[slot]uint64{} // to hash
		find := func(hash uint64, ref slot) bool {
			var p probe
			for p.begin(d, hash); ; {
				group, n, got, ok := p.next()
				if !ok || got == ref {
					if ok && slot(s.groups[group][1+n]) != ref {
						t.Fatal("the place is another's")
					}
					return ok
				}
			}
		}
		for i := range 12 * groups * groupSlots {
			hash := r.Uint64() & 0xff_ff0f_ffff // crowded homes
			ref := makeSlot(uint32(1+i), 8, hash)
			// Up and down between empty and full.
			up := i/(groups*groupSlots)%2 == 0
			switch {
			case len(model) < groups*groupSlots && (up || len(model) == 0):
				s.insert(tag(hash), ref)
				model[ref] = hash
			default:
				for ref, hash := range model {
					var p probe
					for p.begin(d, hash); ; {
						group, n, got, _ := p.next()
						if got == ref {
							s.remove(group, n)
							break
						}
					}
					delete(model, ref)
					if find(hash, ref) {
						t.Fatal("found after its removal")
					}
					break
				}
			}
			if i%groups == 0 {
				for ref, hash := range model {
					if !find(hash, ref) {
						t.Fatalf("%d groups: lost after %d steps", groups, i)
					}
				}
			}
			if s.keys != len(model) {
				t.Fatalf("%d keys, want %d", s.keys, len(model))
			}
		}
		seen := 0
		s.each(func(tg uint64, ref slot) {
			if hash, ok := model[ref]; !ok || tag(hash) != tg {
				t.Errorf("slot %#x with tag %#x", ref, tg)
			}
			seen++
		})
		if seen != len(model) {
			t.Errorf("each saw %d of %d", seen, len(model))
		}
	}
}

// The count of passed keys comes back to zero, and sticks where it cannot count on.
func TestPassedKeysAreCounted(t *testing.T) {
	s := newSegment(maxGroups, 0, 0)
	var refs []slot
	for i := range 100 {
		refs = append(refs, makeSlot(uint32(1+i), 0, 5))
		s.insert(7, refs[i])
	}
	if got := s.groups[5][0] >> passedShift; got != 93 {
		t.Errorf("93 keys have passed, %d are counted", got)
	}
	removeAll := func() {
		for i := range s.groups {
			for n := range groupSlots {
				if s.groups[i][1+n] != 0 {
					s.remove(uint64(i), n)
				}
			}
		}
	}
	removeAll()
	for i, g := range s.groups {
		if g != (group{}) {
			t.Errorf("group %d is left as %#x", i, g)
		}
	}
	for i := range 300 {
		s.insert(7, makeSlot(uint32(1+i), 0, 5))
	}
	removeAll()
	if got := s.groups[5][0] >> passedShift; got != passedMax {
		t.Errorf("the count has come back to %d, though it had lost count", got)
	}
}

// Keys that share all directory bits cannot be told apart by dividing segments. The
// shard takes as many as a segment has slots, then says that it is full, and is
// unharmed: other keys go on.
func TestDirectoryBitsRunOut(t *testing.T) {
	s := New(nil)
	defer s.Close()
	t0 := s.table.Load()
	sh := &t0.shards[0]
	add := func(hash uint64, i int) error {
		key := []byte{byte(i >> 16), byte(i >> 8), byte(i)}
		sh.mu.Lock()
		defer sh.mu.Unlock()
		var nowhere found
		r, err := sh.prepare(hash, &nowhere, rdb.EntrySize(3, 0, 0), nil)
		if err == nil {
			rdb.PutEntry(r.bytes, text(key), nil, 0)
			sh.publish(hash, &nowhere, r, 0, 0)
		}
		return err
	}
	n := 0
	r := rand.New(rand.NewPCG(4, 4))
	alike := func() uint64 { return 0xabcd<<homeBits | r.Uint64()&0xff | r.Uint64()&0xff<<32 }
	hashes := map[int]uint64{}
	for ; n < 10_000; n++ {
		hash := alike()
		if err := add(hash, n); err != nil {
			if !errors.Is(err, ErrFull) {
				t.Fatal(err)
			}
			break
		}
		hashes[n] = hash
	}
	if n != maxGroups*groupSlots {
		t.Errorf("%d keys were taken, want %d", n, maxGroups*groupSlots)
	}
	for i := range 5000 {
		hash := r.Uint64() & (1<<40 - 1)
		if hash>>homeBits&(1<<dirBits-1) == 0xabcd {
			continue
		}
		if err := add(hash, 20_000+i); err != nil {
			t.Fatal(err)
		}
		hashes[20_000+i] = hash
	}
	for i, hash := range hashes {
		key := string([]byte{byte(i >> 16), byte(i >> 8), byte(i)})
		var e entry
		if !sh.find(hash, key, &e) || string(e.key) != key {
			t.Fatalf("key %d is lost", i)
		}
	}
	if d := sh.dir.Load(); d.depth != dirBits {
		t.Errorf("the directory is %d deep, want %d", d.depth, dirBits)
	}
}

// A record that is logged and has no room in the table leaves a follower that says so,
// until it has taken a full copy.
func TestRecordThatFindsNoRoom(t *testing.T) {
	s := New(nil)
	defer s.Close()
	s.apply.failed = ErrFull // as Apply notes it
	err := s.Apply(s.Position(), clearRecord)
	if !errors.Is(err, ErrDamaged) || !errors.Is(err, ErrFull) {
		t.Errorf("Apply: %v", err)
	}
	// What the table holds is not what is at any position.
	if _, err := s.Snapshot(); !errors.Is(err, ErrDamaged) {
		t.Errorf("Snapshot: %v", err)
	}
	err = s.View(func(tx *Tx) error {
		for range tx.All() {
		}
		_, err := tx.Get("k")
		return err
	})
	if !errors.Is(err, ErrDamaged) {
		t.Errorf("View: %v", err)
	}
	for e, err := range s.Watch(t.Context(), "", backlog.Position{}) {
		if !errors.Is(err, ErrDamaged) {
			t.Errorf("Watch: %v, %v", e, err)
		}
		break
	}
	if err := s.exchange(newSeededTable(tableShards), func() error { s.log.Adopt(backlog.NewLog(nil)); return nil }); err != nil {
		t.Fatal(err)
	}
	if err := s.Apply(s.Position(), clearRecord); err != nil {
		t.Errorf("Apply after a full copy: %v", err)
	}
}

// Two keys with the same hash and deadline are two.
func TestDeadlinesWithTheSameHash(t *testing.T) {
	var d deadlines
	d.add(10, 1)
	d.add(10, 1)
	d.add(10, 2)
	d.add(20, 1)
	if got := d.passed(10); got != 3 {
		t.Errorf("%d have passed, want 3", got)
	}
	d.remove(10, 1)
	if got := d.passed(10); got != 2 {
		t.Errorf("%d have passed, want 2", got)
	}
	d.add(5, 9)
	if got := d.passed(10); got != 3 {
		t.Errorf("%d have passed, want 3", got)
	}
	if got := d.passed(4); got != 0 {
		t.Errorf("%d have passed, want 0", got)
	}
	if got := d.passed(30); got != 4 {
		t.Errorf("%d have passed, want 4", got)
	}
	d.remove(10, 1)
	d.remove(10, 2)
	d.remove(20, 1)
	d.remove(5, 9)
	if d.tree != nil || d.passed(40) != 0 {
		t.Error("something is left")
	}
}
