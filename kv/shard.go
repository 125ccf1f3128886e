package kv

import (
	"sync"
	"sync/atomic"

	"github.com/emberkv/ember/internal/ahead"
)

// A shard is one part of a table, with an arena and a lock of its own.
type shard struct {
	// Read without the lock, stored with it. A reader loads slabs before dir,
	// and again after the slot, and then batch: see find.
	slabs atomic.Pointer[slabSet]
	dir   atomic.Pointer[directory]
	batch atomic.Pointer[batch] // changes that are being shown; nil for most of the time
	seed  uint64                // of the table
	index *index                // of the table; nil when there is none

	mem   *memory      // of the table; nil when nothing bounds it
	ahead *ahead.Block // of the table

	_ [8]byte // keep what writers change off the readers' cache line

	// version is raised under the lock before anything in the shard changes that
	// shows. Whoever has found something in the shard while it was locked, and finds
	// the version unchanged later, knows that it was so all the time.
	version atomic.Uint64

	mu struct {
		sync.Mutex
		keys      int64
		sum       uint64 // of the entries' sums
		arena     arena
		deadlines deadlines
		bytes     footprint

		epoch   uint64 // how many views have been frozen; see freeze.go
		freezes int    // how many of them are in use

		beside bool // the table is being loaded beside the one in use: no large pages; see enlarge
	}
}

func (sh *shard) init(seed uint64, ahead *ahead.Block) {
	sh.seed, sh.ahead = seed, ahead
	sh.slabs.Store(noSlabs)
	sh.dir.Store(noKeys)
}

// A found is where a key stands in a locked shard. The zero found means nowhere.
type found struct {
	entry
	ref slot   // 0 when the key is not there
	i   uint64 // its group in the segment
	n   int    // its slot in the group
}

func (f *found) ok() bool { return f.ref != 0 }

// find says in e what a key has, and reports whether it is there. When not, e means
// nothing. It takes no lock.
func (sh *shard) find(hash uint64, key string, e *entry) bool { return sh.look(hash, key, nil, e) }

// look is find for a reader that knows that all of the batch passed was shown.
//
// The set of slabs is loaded first, and must be the same one after the slot was
// loaded. Then the slot's slab is in it: a slab leaves the set after the last
// slot that referred to it, so the slot, which was in use at some moment between
// the two loads, refers to a slab that was in the set at that moment. This holds in
// a segment that was replaced meanwhile, too. Without the check a slot could be
// read, its slab be emptied and its number be given to another.
//
// A miss is one: a key is never moved, only removed, or found in a newer segment
// by readers that come after it was put there.
//
// A batch that is being shown is asked last: if anything of it was seen, it was announced
// before that.
func (sh *shard) look(hash uint64, key string, passed *batch, e *entry) bool {
	want, tag := hash&(1<<hashBits-1), tag(hash)
retry:
	slabs := sh.slabs.Load()
	dir := sh.dir.Load()
	first, i := dir.home(hash)
	for left := dir.mask; ; left-- {
		g := at(first, i)
		control := atomic.LoadUint64(&g[0])
		for match := matchTags(control, tag); match != 0; match &= match - 1 {
			ref := slot(atomic.LoadUint64(&g[1+lowest(match)]))
			if ref.hash() != want || ref == 0 {
				continue
			}
			if sh.slabs.Load() != slabs {
				goto retry
			}
			if e.parse(slabs.at(ref)); string(e.key) == key {
				if b := sh.batch.Load(); b != passed && b != nil {
					return sh.during(b, hash, key, e, true)
				}
				return true
			}
		}
		if control>>passedShift == 0 || left == 0 {
			if b := sh.batch.Load(); b != passed && b != nil {
				return sh.during(b, hash, key, e, false)
			}
			return false
		}
		i = (i + 1) & dir.mask
	}
}

// locate says in at where a key stands. The shard must be locked, as for all that
// follow.
func (sh *shard) locate(hash uint64, key string, at *found) {
	slabs := sh.slabs.Load()
	var p probe
	for p.begin(sh.dir.Load(), hash); ; {
		i, n, ref, ok := p.next()
		if !ok {
			*at = found{}
			return
		}
		if at.parse(slabs.at(ref)); string(at.key) == key {
			at.ref, at.i, at.n = ref, i, n
			return
		}
	}
}

// locateRef returns where a slot stands that is exactly ref. It takes what ref keeps of
// the hash to find it, and the tags, which it lacks, are not needed.
func (sh *shard) locateRef(ref slot) (i uint64, n int, ok bool) {
	d := sh.dir.Load()
	first, i := d.home(ref.hash())
	for left := d.mask; ; left-- {
		g := at(first, i)
		for n := range groupSlots {
			if g[1+n] == uint64(ref) {
				return i, n, true
			}
		}
		if g[0]>>passedShift == 0 || left == 0 {
			return 0, 0, false
		}
		i = (i + 1) & d.mask
	}
}

// replace lets a slot refer to another entry of the same key. Of its hash it needs what
// slots keep.
func (sh *shard) replace(hash uint64, i uint64, n int, ref slot) {
	if sh.mu.freezes > 0 {
		sh.own(hash)
	}
	first, _ := sh.dir.Load().home(hash)
	atomic.StoreUint64(&at(first, i)[1+n], uint64(ref))
}

// fetchBytes bounds what fetch reads of an entry's place: the processor's own prefetching
// has caught up by then.
const fetchBytes = 512

// fetch reads what a put of about size bytes is going to write besides the key's group:
// the segment's count, and the place of the entry, which no processor has seen since it
// was cleared. It is for before locate: these misses overlap with the group's, on which
// they do not depend. Without it each is waited for in turn, even those of plain stores,
// because the log's lock waits for all stores before it.
func (sh *shard) fetch(hash uint64, size int) {
	a, d := &sh.mu.arena, sh.dir.Load()
	a.touched = byte(d.segments[d.index(hash)].keys)
	if a.current != 0 {
		from := int(a.slabs[a.current].used)
		// A line more, in which the entry ends, and the next one begins.
		to := from + min(size, fetchBytes) + 64
		a.touched += touch(a.data[from:min(to, len(a.data))])
	}
}

// prepare makes sure that an entry of size bytes can be published, and returns
// the room for it. It returns ErrFull, and has changed nothing that shows.
func (sh *shard) prepare(hash uint64, at *found, size int, big []byte) (reservation, error) {
	if !at.ok() {
		if err := sh.makeRoom(hash); err != nil {
			return reservation{}, err
		}
	}
	return sh.reserveIn(sh.keeps(hash, at), size, big)
}

// publish shows an entry, encoded in r, to readers: in place of the one at
// at, or as a new one. It cannot fail: the log has the entry already.
func (sh *shard) publish(hash uint64, at *found, r reservation, deadline int64, sum uint64) {
	sh.put(hash, at, r, deadline, sum)
	if at.ok() {
		sh.compact(at.size)
	}
}

// put is publish without the compaction, which has to follow when nothing that is
// reserved is still to be shown.
func (sh *shard) put(hash uint64, at *found, r reservation, deadline int64, sum uint64) {
	m := &sh.mu
	sh.version.Add(1)
	ref := r.slot(hash)
	m.sum += sum
	if !at.ok() {
		if sh.index != nil {
			sh.index.insert(parseEntry(r.bytes).key) // before readers find it
		}
		sh.own(hash).insert(tag(hash), ref)
		m.keys++
		if deadline != 0 {
			m.deadlines.add(deadline, hash)
			sh.chargeDeadlines()
		}
		return
	}
	m.sum -= at.sum()
	sh.replace(hash, at.i, at.n, ref)
	sh.use(hash, at.i, at.n)
	if at.deadline != deadline {
		m.deadlines.remove(at.deadline, hash)
		m.deadlines.add(deadline, hash)
		sh.chargeDeadlines()
	}
	sh.kill(at.ref, at.size)
}

// remove takes away the entry at at.
func (sh *shard) remove(hash uint64, at *found) {
	sh.take(hash, at)
	if sh.index != nil {
		sh.index.remove(at.key)
	}
	sh.compact(at.size)
}

// take is remove without the index, where the key must stay until no reader finds it, and
// without the compaction, as put is publish.
func (sh *shard) take(hash uint64, at *found) {
	m := &sh.mu
	sh.version.Add(1)
	m.sum -= at.sum()
	m.keys--
	sh.own(hash).remove(at.i, at.n)
	if at.deadline != 0 {
		m.deadlines.remove(at.deadline, hash)
		sh.chargeDeadlines()
	}
	if m.keys == 0 && len(m.arena.data) != firstSlabBytes {
		// Nothing is left to compact, but the slab that is being filled and
		// the segments would stay as large as the shard once was. The smallest
		// ones do, or a key that comes and goes would make new ones each time.
		sh.clear()
		return
	}
	sh.kill(at.ref, at.size)
}

// clear takes away all entries at once, but not from the index; see table.clear.
func (sh *shard) clear() {
	m := &sh.mu
	if m.keys == 0 && m.arena.used == 0 {
		return // one of many clears in a row
	}
	sh.version.Add(1)
	sh.chargeCleared()
	// A set that readers have not seen: find tells sets apart by their address.
	sh.dir.Store(noKeys)
	sh.slabs.Store(newSlabSet())
	m.keys, m.sum = 0, 0
	m.arena, m.deadlines = arena{}, deadlines{dueAt: m.deadlines.dueAt}
}
