package backlog

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// DefaultMaxBytes is the window of a log whose Options do not say otherwise.
const DefaultMaxBytes = 64 << 20

// Options configure a [Log]. The zero value, and a nil pointer, are the
// defaults.
type Options struct {
	// MaxBytes bounds the records that the log holds, in bytes. 0 means
	// DefaultMaxBytes. Negative means that nothing is held: offsets advance,
	// but nobody can follow. The newest chunk is always held, so a window
	// smaller than a record is as large as that record.
	MaxBytes int64

	// MaxAge drops records older than this, a chunk at a time and when records
	// are appended, so an idle log keeps what it has. 0 or negative means no
	// bound by age.
	MaxAge time.Duration
}

// A Log is a bounded sequence of records, addressed by absolute byte offset.
// All methods may be called concurrently.
type Log struct {
	max int64         // bytes to hold, negative for none
	age time.Duration // 0 for no bound

	first      atomic.Int64            // offset of the oldest record held
	end        atomic.Int64            // offset after the newest record
	lineage    atomic.Pointer[Lineage] // immutable; stored under mu
	generation atomic.Uint64           // counts Adopt; stored under mu
	settler    atomic.Pointer[Settler]

	mu struct {
		sync.Mutex // guards appends and trims; held for one copy
		gate       Gate
		head       *chunk // oldest held, nil when nothing is held
		tail       *chunk // newest, takes the next record
	}

	sleepers atomic.Int64 // len of sleep.readers; nonzero makes an append wake them
	sleep    struct {
		mu      sync.Mutex
		readers []*Reader // parked, each to be woken once
	}
}

// NewLog returns an empty log at offset 0 of a new history.
func NewLog(opts *Options) *Log {
	if opts == nil {
		opts = &Options{}
	}
	l := &Log{max: opts.MaxBytes, age: max(opts.MaxAge, 0)}
	if l.max == 0 {
		l.max = DefaultMaxBytes
	}
	l.lineage.Store(&Lineage{Current: NewHistory()})
	return l
}

// NewLogAt returns an empty log that continues lineage at offset end, as a
// node does that holds the state of that point but not the way there.
func NewLogAt(lineage Lineage, end int64, opts *Options) *Log {
	l := NewLog(opts)
	l.lineage.Store(&lineage)
	l.first.Store(end)
	l.end.Store(end)
	return l
}

// Append adds records, one or more whole framed ones, behind the log's end if
// the gate lets them, and returns the offset after them. It copies records and
// keeps no reference. The error is the gate's.
//
// Append does not read the framing: a caller that passes anything but whole
// records breaks every reader.
func (l *Log) Append(records []byte) (end int64, err error) {
	big := l.bigChunk(records)
	l.mu.Lock()
	if l.mu.gate != nil {
		if err := l.mu.gate(); err != nil {
			l.mu.Unlock()
			return 0, err
		}
	}
	end = l.appendLocked(records, big)
	l.mu.Unlock()
	l.wake()
	return end, nil
}

// AppendAt adds records that another node has appended at position at, and asks
// no gate. It returns [ErrPosition], and adds nothing, unless at is the log's
// end in its current history.
func (l *Log) AppendAt(at Position, records []byte) error {
	big := l.bigChunk(records)
	l.mu.Lock()
	if here := l.Position(); here != at {
		l.mu.Unlock()
		return fmt.Errorf("%w: records at %s, log ends at %s", ErrPosition, at, here)
	}
	l.appendLocked(records, big)
	l.mu.Unlock()
	l.wake()
	return nil
}

// bigChunk returns a chunk that holds records, to be linked under the lock, or
// nil when they are small enough to be copied there.
func (l *Log) bigChunk(records []byte) *chunk {
	if len(records) < bigRecordBytes || l.max < 0 {
		return nil
	}
	c := newChunk(0, len(records))
	c.commit(records)
	return c
}

func (l *Log) appendLocked(records []byte, big *chunk) int64 {
	end := l.end.Load()
	after := end + int64(len(records))
	switch {
	case l.max < 0:
		l.first.Store(after)
	case big != nil:
		big.base = end
		l.linkLocked(big)
	default:
		if l.mu.tail == nil || l.mu.tail.room() < len(records) {
			l.linkLocked(newChunk(end, l.nextSizeLocked(len(records))))
		}
		l.mu.tail.commit(records)
	}
	l.end.Store(after)
	if l.max >= 0 {
		l.trimLocked()
	}
	return after
}

func (l *Log) nextSizeLocked(atLeast int) int {
	last := minChunkBytes / 2
	if l.mu.tail != nil {
		last = len(l.mu.tail.buf)
	}
	return max(chunkSize(last, l.max), atLeast)
}

func (l *Log) linkLocked(c *chunk) {
	if l.mu.tail == nil {
		l.mu.head = c
	} else {
		l.mu.tail.next.Store(c)
	}
	l.mu.tail = c
}

// trimLocked gives up the oldest chunks while more than the window is held.
func (l *Log) trimLocked() {
	for h := l.mu.head; h != l.mu.tail; h = l.mu.head {
		next := h.next.Load()
		tooMany := l.end.Load()-h.base > l.max
		tooOld := l.age > 0 && time.Since(next.begun) > l.age
		if !tooMany && !tooOld {
			return
		}
		l.mu.head = next
		l.first.Store(next.base)
		h.dropped.Store(true)
		h.next.Store(nil)
	}
}

// Position returns the log's end in its current history.
func (l *Log) Position() Position {
	for {
		lin := l.lineage.Load()
		p := Position{History: lin.Current, Offset: l.end.Load()}
		// An append behind a fork belongs to the new history; an end read
		// between the two must not be given the old name.
		if l.lineage.Load() == lin {
			return p
		}
	}
}

// End returns the offset after the newest record.
func (l *Log) End() int64 { return l.end.Load() }

// Lineage returns the log's current history and the earlier ones. The caller
// must not modify it.
func (l *Log) Lineage() Lineage { return *l.lineage.Load() }

// Window says what a log holds.
type Window struct {
	First int64         // offset of the oldest record held
	End   int64         // offset after the newest record
	Max   int64         // bytes that it may hold, negative for none
	Age   time.Duration // at least how far back it reaches; 0 when it holds nothing
}

// Window returns what the log holds now.
func (l *Log) Window() Window {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := Window{First: l.first.Load(), End: l.end.Load(), Max: l.max}
	if l.mu.head != nil {
		w.Age = time.Since(l.mu.head.begun)
	}
	return w
}

// Fork ends the current history at the log's end and begins next there. The
// records stay, readers go on, and what is appended from now on belongs to
// next. It returns the position of the fork in the new history.
func (l *Log) Fork(next History) Position {
	l.mu.Lock()
	defer l.mu.Unlock()
	end := l.end.Load()
	lin := l.lineage.Load().Fork(next, end)
	l.lineage.Store(&lin)
	return Position{History: next, Offset: end}
}

// Adopt replaces the contents, offsets and lineage of l by those of other, as a
// node does when a full copy is complete. Readers of l get [ErrReset]; l keeps
// its window, its gate and its settler. The log other must not be used again.
func (l *Log) Adopt(other *Log) {
	other.mu.Lock()
	defer other.mu.Unlock()
	l.mu.Lock()
	l.generation.Add(1)
	l.mu.head, l.mu.tail = other.mu.head, other.mu.tail
	l.lineage.Store(other.lineage.Load())
	l.first.Store(other.first.Load())
	l.end.Store(other.end.Load())
	switch {
	case l.max < 0:
		l.mu.head, l.mu.tail = nil, nil
		l.first.Store(l.end.Load())
	case l.mu.head != nil:
		l.trimLocked()
	}
	l.mu.Unlock()
	l.wake()
}
