package kv

import (
	"math/bits"

	"github.com/emberkv/ember/internal/giveway"
)

// A frozen is a view of one shard as it was at one moment. It is read without a
// lock, at any pace, while the shard goes on. A shard that is dumped or iterated over is
// listed and released; a snapshot holds its views until it is closed.
//
// To freeze is to note two pointers and to raise the shard's epoch. While a view
// is in use, a writer that is about to change a segment or a directory of an older
// epoch replaces it by a copy first, 16 KiB, once a segment: what the view leads to
// is never written again. Without a view in use writers change in place.
//
// The view holds the slabs that were in use. Compaction lets those be as long as
// it lasts: to move entries out of a slab that is kept alive only costs memory.
type frozen struct {
	shard *shard
	dir   *directory
	slabs *slabSet
	keys  int64
	sum   uint64

	version uint64 // of the shard
}

// find is that of a shard.
func (f *frozen) find(hash uint64, key string, e *entry) bool {
	return view{f.dir, f.slabs}.find(hash, key, e)
}

// freeze returns a view of the shard as it is. The shard must be locked. The
// caller releases the view, once.
func (sh *shard) freeze() *frozen {
	m := &sh.mu
	m.epoch++
	m.freezes++
	return &frozen{shard: sh, dir: sh.dir.Load(), slabs: sh.slabs.Load(), keys: m.keys, sum: m.sum, version: sh.version.Load()}
}

// release says that the view will not be read any more.
func (f *frozen) release() {
	f.shard.mu.Lock()
	defer f.shard.mu.Unlock()
	if f.shard.mu.freezes--; f.shard.mu.freezes == 0 {
		f.shard.charge(&f.shard.mu.bytes.retained, -f.shard.mu.bytes.retained)
	}
}

// own returns the segment of a hash for the caller to change. Slots keep their
// places.
func (sh *shard) own(hash uint64) *segment {
	d := sh.dir.Load()
	i := d.index(hash)
	s := d.segments[i]
	if sh.mu.freezes == 0 || s.epoch == sh.mu.epoch {
		return s
	}
	d = sh.ownDirectory(d)
	start, n := d.span(i)
	s = s.clone(sh.mu.epoch)
	sh.chargeReplaced(s.bytes(), s.bytes())
	d.set(start, n, s)
	return s
}

// ownDirectory returns the shard's directory d for the caller to change.
func (sh *shard) ownDirectory(d *directory) *directory {
	if sh.mu.freezes == 0 || d.epoch == sh.mu.epoch {
		return d
	}
	d = d.clone(0, sh.mu.epoch)
	sh.chargeReplaced(d.bytes(), d.bytes())
	sh.dir.Store(d)
	return d
}

// listAtOnce is how many segments, some 100 microseconds' work, are listed before the processor
// is offered to others.
const listAtOnce = 16

// A listing says where the entries of a view lie. It is made from the view at once, in
// milliseconds for a large shard, and the view can be released then: what the
// slabs hold does not change.
type listing struct {
	slabs *slabSet
	keys  int64

	// marks has for each slab a bit for each place at which a living entry begins.
	// They sort the entries by their places for next to nothing.
	marks [][]uint64
}

// list makes the listing of a view. It gives way to others now and then if it is the work of w,
// which may be nil.
func (f *frozen) list(w *giveway.Worker) *listing {
	l := &listing{slabs: f.slabs, keys: f.keys, marks: make([][]uint64, len(f.slabs.data))}
	words := 0
	for _, data := range f.slabs.data {
		words += markWords(data)
	}
	all := make([]uint64, words)
	for id, data := range f.slabs.data {
		n := markWords(data)
		l.marks[id], all = all[:n:n], all[n:]
	}
	for i, s := range f.dir.distinct() {
		if w != nil && i%listAtOnce == listAtOnce-1 {
			w.GiveWay()
		}
		s.each(func(_ uint64, ref slot) {
			i := ref.offset() / entryAlign
			l.marks[ref.slab()][i/64] |= 1 << (i % 64)
		})
	}
	return l
}

// markWords returns how many words of 64 places a slab has. One that is larger
// than the regular ones holds a single entry, at its front.
func markWords(data []byte) int {
	return (min(len(data), maxSlabBytes)/entryAlign + 63) / 64
}

// records calls yield with each entry's record, encoded as it is, until yield
// returns false. They come in the order in which they lie in memory, so that memory is
// read from front to back.
func (l *listing) records(yield func(record []byte) bool) {
	l.places(func(slab uint32, offset int) bool { return yield(recordAt(l.slabs.data[slab][offset:])) })
}

// places is records, but it says where they begin.
func (l *listing) places(yield func(slab uint32, offset int) bool) {
	for id := range l.slabs.data {
		for i, word := range l.marks[id] {
			for ; word != 0; word &= word - 1 {
				if !yield(uint32(id), (i*64+bits.TrailingZeros64(word))*entryAlign) {
					return
				}
			}
		}
	}
}
