package kv

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/rdb"
)

// An archive knows which of the journal's segments have what, of one generation, so that
// followers can be given what the log's window does not hold any more. It is the log's
// [backlog.Archive]. Its segments follow one another without a gap: what it says to have,
// from its first segment's base to where the journal is on disk, it has, unless the disk
// has lost it, which is found when it is read.
type archive struct {
	folder *folder
	onDisk atomic.Int64 // up to which offset the journal is

	mu struct {
		sync.Mutex
		shelves []shelf
		pasts   map[*past]struct{} // that are open
		failed  error              // why a part was given up last, or somebody not served
	}
}

// A shelf is a segment. It has the log from its base on, up to the next one's.
type shelf struct {
	rdb.Segment
	base int64
}

func newArchive(f *folder) *archive {
	a := &archive{folder: f}
	a.mu.pasts = make(map[*past]struct{})
	return a
}

// add adds a segment that begins at offset base, up to which those before it are on disk. What
// they have behind that is not known to be there.
func (a *archive) add(s rdb.Segment, base int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := len(a.mu.shelves)
	for n > 0 && a.mu.shelves[n-1].base >= base {
		n--
	}
	a.mu.shelves = append(a.mu.shelves[:n:n], shelf{s, base})
}

// First implements [backlog.Archive].
func (a *archive) First() (int64, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.mu.shelves) == 0 {
		return 0, false
	}
	return a.mu.shelves[0].base, true
}

// find returns the segment that has offset, and where it ends: the next one's base, or -1.
func (a *archive) find(offset int64) (s shelf, end int64, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	end = -1
	for i := len(a.mu.shelves) - 1; i >= 0; i-- {
		if s = a.mu.shelves[i]; s.base <= offset {
			return s, end, true
		}
		end = s.base
	}
	return shelf{}, 0, false
}

// giveUp drops a segment that could not be read, and all before it, and returns the error for
// whoever reads it. Of one that was dropped before, because it was about to be removed, there is
// nothing to report.
func (a *archive) giveUp(s shelf, err error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !slices.Contains(a.mu.shelves, s) {
		return backlog.ErrTrimmed
	}
	a.mu.failed = err
	a.dropLocked(s.Sequence + 1)
	return err
}

// note records why somebody could not be served, and returns that.
func (a *archive) note(err error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.mu.failed = err
	return err
}

// close drops all segments: the generation is over.
func (a *archive) close() { a.drop(math.MaxUint64) }

// drop drops the segments whose sequence is lower than seq, before they are removed.
func (a *archive) drop(seq uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.dropLocked(seq)
}

func (a *archive) dropLocked(seq uint64) {
	n := 0
	for n < len(a.mu.shelves) && a.mu.shelves[n].Sequence < seq {
		n++
	}
	a.mu.shelves = a.mu.shelves[n:]
}

// pinned returns the lowest sequence of a segment that is being read; false when none is.
func (a *archive) pinned() (lowest uint64, any bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for p := range a.mu.pasts {
		if seq := p.sequence.Load(); !any || seq < lowest {
			lowest, any = seq, true
		}
	}
	return lowest, any
}

// reading returns how many read the archive, and the last error of one.
func (a *archive) reading() (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.mu.pasts), a.mu.failed
}

// openFor bounds how long it may take to come to a follower's place in a segment. It is well
// within the time that a handshake has: on a disk that is slower each would fail in the same
// way, and the follower would not even get a full copy.
const openFor = 2 * time.Second

// Open implements [backlog.Archive]. It reads the segment up to offset.
func (a *archive) Open(offset int64) (backlog.Past, error) {
	began := time.Now()
	s, _, ok := a.find(offset)
	if !ok || offset > a.onDisk.Load() {
		return nil, backlog.ErrTrimmed
	}
	p := &past{archive: a, at: offset}
	if err := p.open(s); err != nil {
		return nil, err
	}
	a.mu.Lock()
	a.mu.pasts[p] = struct{}{}
	a.mu.Unlock()
	if err := p.skip(offset, began); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}
