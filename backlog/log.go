package backlog

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emberkv/ember/internal/ahead"
	"github.com/emberkv/ember/internal/spin"
)

// DefaultMaxBytes is the window of a log unless its Options say otherwise.
const DefaultMaxBytes = 64 << 20

// Options configure a [Log]. The zero value, and a nil pointer, are the
// defaults.
type Options struct {
	// MaxBytes bounds the records that the log holds, in bytes. 0 means
	// DefaultMaxBytes. Negative means that nothing is held: offsets advance,
	// but nobody can follow. Otherwise the newest chunk is always held, so a
	// window smaller than a record is as large as that record.
	MaxBytes int64

	// MaxAge drops records older than this, in steps of a sixteenth of it and
	// when records are appended, so an idle log keeps what it has. 0 or
	// negative means no bound by age.
	MaxAge time.Duration
}

// A Log is a bounded sequence of records, addressed by absolute byte offset.
// All methods may be called concurrently.
type Log struct {
	max int64         // bytes to hold, negative for none
	age time.Duration // 0 for no bound

	held     atomic.Pointer[contents] // stored under mu, by Adopt
	settler  atomic.Pointer[Settler]
	occupant atomic.Pointer[byte] // nil for nobody; see Occupy

	mu struct {
		sync.Mutex // guards the stores to held and to what it points to; held for one copy
		gate       Gate
		storeGate  Gate
		forkFirst  bool  // the next Append begins a new history
		hold       int64 // what begins here is not trimmed; noHold for nothing
	}

	ahead ahead.Block // the next chunk's memory

	shared atomic.Int64 // up to where readers that are bound by it go; stored under mu

	sleepers atomic.Int64 // len of sleep.readers; nonzero makes an append wake them
	sleep    struct {
		mu      sync.Mutex
		readers []*Reader // parked, each to be woken once
	}
}

// NewLog returns an empty log at offset 0 of a new history.
func NewLog(opts *Options) *Log {
	l := NewLogAt(Lineage{Current: NewHistory()}, 0, opts)
	l.Claim()
	return l
}

// NewLogAt returns an empty log that continues lineage at offset end, for a
// node that holds the state at that point but not the way there. A lineage from
// outside must have passed [Lineage.Validate].
func NewLogAt(lineage Lineage, end int64, opts *Options) *Log {
	if opts == nil {
		opts = &Options{}
	}
	l := &Log{max: opts.MaxBytes, age: max(opts.MaxAge, 0)}
	if l.max == 0 {
		l.max = DefaultMaxBytes
	}
	lineage.Earlier = slices.Clone(lineage.Earlier)
	h := newContents(&lineage, end)
	h.received.Store(end)
	l.held.Store(h)
	l.mu.hold = noHold
	l.shared.Store(unbounded)
	return l
}

// Append adds records, one or more whole framed ones, at the log's end if the
// gate lets them in, and returns the offset after them. It copies records and
// keeps no reference. The error is the gate's.
//
// Append does not read the framing: a caller that passes anything but whole
// records breaks every reader.
func (l *Log) Append(records []byte) (end int64, err error) {
	big := l.bigChunk(records)
	if end, err = l.appendGated(records, big); err == nil {
		l.wake()
	}
	return end, err
}

func (l *Log) appendGated(records []byte, big *chunk) (int64, error) {
	spin.Lock(&l.mu.Mutex)
	defer l.mu.Unlock() // also when the gate panics
	if err := l.refusingLocked(); err != nil {
		return 0, err
	}
	if l.mu.forkFirst {
		l.forkLocked(NewHistory(), nil)
	}
	return l.held.Load().append(records, big, l), nil
}

// AppendAt adds records that another node has appended at position at, and asks
// no gate. It returns [ErrPosition], and adds nothing, unless at is the log's
// end in its current history.
func (l *Log) AppendAt(at Position, records []byte) error {
	big := l.bigChunk(records)
	l.mu.Lock()
	h := l.held.Load()
	if _, here := h.position(); here != at {
		l.mu.Unlock()
		return fmt.Errorf("%w: records at %s, log ends at %s", ErrPosition, at, here)
	}
	if end := h.append(records, big, l); len(records) > 0 {
		h.received.Store(end)
	}
	l.mu.Unlock()
	l.wake()
	h.keepUp(h.end.Load()) // it may have no readers
	return nil
}

// bigChunk returns a chunk that holds records, to be linked under the lock, or
// nil when they are small enough to be copied there.
func (l *Log) bigChunk(records []byte) *chunk {
	if len(records) < bigRecordBytes || l.max < 0 {
		return nil
	}
	c := &chunk{buf: newBuffer(len(records))}
	c.commit(records)
	return c
}

// Position returns the log's end in its current history.
func (l *Log) Position() Position {
	_, p := l.held.Load().position()
	return p
}

// End returns the offset after the newest record.
func (l *Log) End() int64 { return l.held.Load().end.Load() }

// Lineage returns the log's current history and the earlier ones. The caller
// must not modify it.
func (l *Log) Lineage() Lineage { return *l.held.Load().lineage.Load() }

// Window says what a log holds.
type Window struct {
	First int64         `json:"first"`  // offset of the oldest record held
	End   int64         `json:"end"`    // offset after the newest record
	Max   int64         `json:"max"`    // bytes that it may hold; negative: none
	Age   time.Duration `json:"age_ns"` // at least how far back it reaches; 0 when it holds nothing

	Archived int64 `json:"archived"` // offset of the oldest record that a follower can be given: First, or an earlier one in the log's Archive
}

// Window returns what the log holds now.
func (l *Log) Window() Window {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.held.Load()
	w := Window{First: h.first.Load(), End: h.end.Load(), Max: l.max, Archived: h.archived()}
	if c := h.head.Load(); c != nil {
		w.Age = time.Since(c.begun)
	}
	return w
}

// HeldBytes returns the memory of the records that the log holds, including what is
// not filled yet, and the next chunk if that is made.
func (l *Log) HeldBytes() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.held.Load()
	n := h.end.Load() - h.first.Load() + int64(len(h.spare))
	if h.tail != nil {
		n += int64(len(h.tail.rest()))
	}
	return n + l.ahead.Held()
}

// Close drops the next chunk's memory, and waits until no goroutine makes it any more, which takes
// milliseconds at most. It is for the owner of a log that is no longer needed, and may be called
// again. The records stay, and the log can still be used, even to adopt another, but from then on
// makes memory only when it is needed.
func (l *Log) Close() { l.ahead.Close() }

// Fork ends the current history at the log's end and begins next, which must
// be new, there. The records stay, readers go on, and what is appended from now
// on belongs to next, in the same epoch. It returns the position of the fork in the new history.
// Readers that wait are woken: their followers should hear of it.
func (l *Log) Fork(next History) Position { return l.begin(next, nil) }

// Begin is [Log.Fork] with an epoch of its own for next, for a node that takes over
// the writing. It panics unless epoch is above that of the current history.
func (l *Log) Begin(next History, epoch Epoch) Position { return l.begin(next, &epoch) }

// Raise says that the current history goes on in epoch, if that is above its own: for a
// log that began without one. Readers that wait are woken: a journal has to keep the
// epoch.
func (l *Log) Raise(epoch Epoch) {
	if l.raise(epoch) {
		l.wakeAll()
	}
}

func (l *Log) raise(epoch Epoch) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.held.Load()
	lin := *h.lineage.Load()
	if lin.Epoch.Compare(epoch) >= 0 {
		return false
	}
	lin.Epoch = epoch
	h.lineage.Store(&lin)
	return true
}

func (l *Log) begin(next History, epoch *Epoch) Position {
	end := l.beginLocking(next, epoch)
	l.wakeAll()
	return Position{History: next, Offset: end}
}

func (l *Log) beginLocking(next History, epoch *Epoch) (end int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.forkLocked(next, epoch)
}

// forkLocked begins next, in the current epoch if epoch is nil.
func (l *Log) forkLocked(next History, epoch *Epoch) (end int64) {
	h := l.held.Load()
	end = h.end.Load()
	lin := h.lineage.Load().Fork(next, end)
	if epoch != nil {
		if lin.Epoch.Compare(*epoch) >= 0 {
			panic(fmt.Sprintf("backlog: epoch %s begins after %s", *epoch, lin.Epoch))
		}
		lin.Epoch = *epoch
	}
	h.lineage.Store(&lin)
	h.own, l.mu.forkFirst = true, false
	return end
}

// Adopt replaces the contents, offsets and lineage of l by those of other, as a node does when a full copy is
// complete. Readers of either get [ErrReset]; l keeps its window, its gates and its settler. The other log is
// left empty at its end, and is closed. Until the next calls of these, a log with a [Reader.Hold] holds from
// the new end on, and one with a [Reader.Share] shares nothing.
func (l *Log) Adopt(other *Log) {
	taken := other.release()
	other.Close()
	l.mu.Lock()
	l.adoptLocked(taken)
	l.mu.Unlock()
	l.wakeAll()
}

// Restart begins a new history without any records, one byte after the end, for a store
// whose contents are replaced. That byte is left out so that no follower that stood at
// the end is told to go on from there. If it returns the gates' error it has done
// nothing: nothing comes between their decision and the new history. Readers get
// [ErrReset], as from [Log.Adopt].
func (l *Log) Restart() error {
	next := NewHistory()
	l.mu.Lock()
	if err := l.refusingLocked(); err != nil {
		l.mu.Unlock()
		return err
	}
	h := l.held.Load()
	end := h.end.Load()
	lineage := h.lineage.Load().Fork(next, end)
	taken := newContents(&lineage, end+1)
	taken.own, l.mu.forkFirst = true, false
	l.adoptLocked(taken)
	l.mu.Unlock()
	l.wakeAll()
	return nil
}

func (l *Log) adoptLocked(taken *contents) {
	old := l.held.Load()
	if l.max < 0 {
		taken.empty()
		taken.first.Store(taken.end.Load())
	} else {
		taken.trim(l.max, l.age, time.Now(), noHold)
	}
	if l.mu.hold != noHold { // of the old contents: the new ones are held from their end on
		l.mu.hold = taken.end.Load()
	}
	if l.shared.Load() != unbounded {
		l.shared.Store(0)
	}
	l.held.Store(taken)
	// Only now: a reader that finds its chunks gone has to see why.
	old.empty()
}

// release takes the contents out of l.
func (l *Log) release() *contents {
	l.mu.Lock()
	h := l.held.Load()
	l.held.Store(newContents(h.lineage.Load(), h.end.Load()))
	l.mu.Unlock()
	l.wakeAll()
	return h
}
