package backlog

import (
	"sync/atomic"
	"time"
)

// contents is what a log holds, apart from the log itself, because [Log.Adopt]
// exchanges it as a whole: a reader keeps the contents that it began with, so
// it can never mix two sets of offsets, and finds out by comparing pointers
// that they are no longer the log's.
//
// What readers load is atomic. All of it is stored under the mutex of the log
// that the contents belong to.
type contents struct {
	first   atomic.Int64            // offset of the oldest record held
	end     atomic.Int64            // offset after the newest record
	lineage atomic.Pointer[Lineage] // immutable
	head    atomic.Pointer[chunk]   // oldest held, nil when nothing is held

	// received is the end of what came from another node, which knows it whatever becomes
	// of this one.
	received atomic.Int64

	archive atomic.Pointer[Archive] // nil for none

	own bool // the current history was begun here; see Log.Origin

	tail  *chunk // newest, takes the next record
	spare []byte // what a chunk before tail left unwritten
	size  int    // of the last chunk made for several records

	sums sums
}

// newContents returns empty contents at offset end of lineage.
func newContents(lineage *Lineage, end int64) *contents {
	h := &contents{}
	h.lineage.Store(lineage)
	h.first.Store(end)
	h.end.Store(end)
	h.sums.setLocked(mark{end, Sum{From: end}})
	return h
}

// position returns the end in the current history.
func (h *contents) position() (*Lineage, Position) {
	for {
		lin := h.lineage.Load()
		p := Position{History: lin.Current, Offset: h.end.Load()}
		// An append behind a fork belongs to the new history; an end read
		// between the two must not be given the old name.
		if h.lineage.Load() == lin {
			return lin, p
		}
	}
}

// seek returns the chunk that holds offset, or the one that ends there if
// offset is the end; nil when nothing is held. It needs no lock.
func (h *contents) seek(offset int64) (*chunk, error) {
	for {
		switch {
		case offset > h.end.Load():
			return nil, ErrAhead
		case offset < h.first.Load():
			return nil, ErrTrimmed
		}
		c := h.head.Load()
		for c != nil {
			// Next first: once it is seen, the chunk's end is final.
			next := c.next.Load()
			if offset < c.end() || next == nil {
				break
			}
			c = next
		}
		if c == nil || !c.dropped.Load() && c.base <= offset {
			return c, nil
		}
		// The window moved, past the walk or before it began. First is
		// stored before the rest, so it says so the next time round, or
		// head has come closer to offset: this ends.
	}
}

// append adds records behind the end, copying them or, if big is given,
// linking the chunk that holds them already.
func (h *contents) append(records []byte, big *chunk, l *Log) int64 {
	end := h.end.Load()
	if len(records) == 0 {
		return end
	}
	after := end + int64(len(records))
	if l.max < 0 {
		h.first.Store(after)
		h.end.Store(after)
		return after
	}
	var now time.Time
	if l.age > 0 {
		now = time.Now()
	}
	if big != nil {
		h.link(big, end)
	} else {
		h.makeRoom(len(records), l, now)
		h.tail.commit(records)
		h.lookAhead(len(records), l)
	}
	h.tail.newest = now
	h.end.Store(after)
	h.trim(l.max, l.age, now, l.mu.hold)
	return after
}

// makeRoom sees to it that tail has room for n bytes.
func (h *contents) makeRoom(n int, l *Log, now time.Time) {
	end, rest := h.end.Load(), h.spare
	if t := h.tail; t != nil && len(t.rest()) > 0 {
		rest = t.rest()
		// A chunk that is filled slowly is left early, for its records are
		// given up together.
		old := l.age > 0 && now.Sub(t.begun) > l.age/chunksPerWindow
		if len(rest) >= n && !old {
			return
		}
	}
	if len(rest) >= n {
		h.link(&chunk{buf: rest}, end)
		h.spare = nil
		return
	}
	h.size = chunkSize(h.size, l.max)
	if n > h.size/ownChunkShare {
		h.link(&chunk{buf: make([]byte, n)}, end)
		return
	}
	buf := l.ahead.Take(h.size)
	if buf == nil {
		buf = make([]byte, h.size)
	}
	h.link(&chunk{buf: buf}, end)
	h.spare = nil
}

// lookAhead has the next chunk's memory made when the last n bytes went over the middle of tail.
func (h *contents) lookAhead(n int, l *Log) {
	rest := len(h.tail.rest())
	if rest > h.size/2 || rest+n <= h.size/2 {
		return
	}
	if size := chunkSize(h.size, l.max); size >= bigRecordBytes {
		l.ahead.Make(size)
	}
}

// link makes c, which begins at offset base, the tail.
func (h *contents) link(c *chunk, base int64) {
	c.base, c.begun = base, time.Now()
	if h.tail == nil {
		h.head.Store(c)
	} else {
		if rest := h.tail.rest(); len(rest) > 0 {
			h.spare = rest
		}
		h.tail.next.Store(c)
	}
	h.tail = c
}

// trim gives up the oldest chunks while more than maxBytes are held, or while
// all their records are older than age; the tail always stays, and what ends behind hold.
func (h *contents) trim(maxBytes int64, age time.Duration, now time.Time, hold int64) {
	for c := h.head.Load(); c != h.tail; c = h.head.Load() {
		next := c.next.Load()
		if next.base > hold {
			return
		}
		if h.end.Load()-c.base <= maxBytes && (age == 0 || now.Sub(c.lastAppend(next)) <= age) {
			return
		}
		h.first.Store(next.base)
		h.head.Store(next)
		c.drop()
	}
}

// lastAppend returns when the newest record of c went in, or a time soon after
// if c was filled in a log that did not need to know.
func (c *chunk) lastAppend(next *chunk) time.Time {
	if c.newest.IsZero() {
		return next.begun
	}
	return c.newest
}

// empty drops every chunk, each from the next, so that a reader which stands
// in one of them does not hold the rest.
func (h *contents) empty() {
	c := h.head.Load()
	h.head.Store(nil)
	h.tail, h.spare = nil, nil
	for c != nil {
		c = c.drop()
	}
}
