package backlog

import (
	"context"
	"slices"
)

// A Reader reads a log from an offset on, at its own pace. It takes no lock,
// except to go to sleep and while it is woken. A Reader is for one goroutine,
// except for Outdated. Close it when it is no longer needed, if it has waited
// or is bound.
//
// A reader that falls behind keeps alive at most the chunk that it is in.
type Reader struct {
	log  *Log
	held *contents // the log's when the reader began
	at   int64     // offset of the next byte; always between two records
	c    *chunk    // holds at, or ends there; nil before that was looked for

	// lineage is the log's as of the last Next or Ready, so that the latter
	// notices a fork, which brings no records.
	lineage *Lineage

	bound bool // goes no further than the log shares

	older *pastReader // of what the log does not hold any more; nil but while it is there

	ready  chan struct{} // capacity 1: a token for each time it was woken
	parked bool          // in log.sleep.readers; guarded by log.sleep.mu
	waits  int64         // the offset that it waits at; likewise
}

// NewReader returns a reader whose first record is the one at offset, or
// [ErrTrimmed], [ErrAhead] or [ErrBoundary] if no reader can begin there.
func (l *Log) NewReader(offset int64) (*Reader, error) {
	return l.readerOf(l.held.Load(), offset)
}

func (l *Log) readerOf(h *contents, offset int64) (*Reader, error) {
	c, err := h.seek(offset)
	if err != nil {
		return nil, err
	}
	// What is committed does not change, so the walk to a record border, which
	// stays within one chunk, needs no lock either. Where a commit ended is one.
	if c != nil && offset < c.end() && !onBoundary(c.buf[:c.n.Load()], int(offset-c.base)) {
		return nil, ErrBoundary
	}
	return &Reader{log: l, held: h, at: offset, c: c, lineage: h.lineage.Load(), ready: make(chan struct{}, 1)}, nil
}

// EndReader returns a reader whose first record is the next one.
func (l *Log) EndReader() *Reader {
	h := l.held.Load()
	// Looked for when it is needed: the walk to the newest chunk is not short.
	return &Reader{log: l, held: h, at: h.end.Load(), lineage: h.lineage.Load(), ready: make(chan struct{}, 1)}
}

// Bind makes the reader go no further than the log shares (see [Reader.Share]), as a
// reader whose records leave the process must. It must be called before Ready.
func (r *Reader) Bind() { r.bound = true }

// end returns up to where the reader may go.
func (r *Reader) end() int64 {
	end := r.held.end.Load()
	if r.bound {
		end = min(end, r.log.sharedOf(r.held))
	}
	return end
}

// Offset returns where the next record to be returned by Next begins.
func (r *Reader) Offset() int64 { return r.at }

// Next returns records from the reader's offset on and moves past them. It returns as
// many as lie together in memory and end at or before limit, which must be an offset
// between two records; nil means that there are none now. It never blocks, except to
// read the log's [Archive] if the reader is bound, or comes from [Log.Continue], and
// was outrun.
//
// The slice shares memory with the log and must not be modified; it stays
// valid for as long as it is held. Next returns [ErrTrimmed] when the reader
// was outrun and [ErrReset] when the log was replaced; then the reader is of no
// more use.
func (r *Reader) Next(limit int64) ([]byte, error) {
	r.lineage = r.held.lineage.Load()
	b, err := r.next(limit)
	// Checked last, so that no caller of Adopt sees a record of what it
	// replaced come out after it has returned.
	if r.Outdated() {
		return nil, ErrReset
	}
	return b, err
}

func (r *Reader) next(limit int64) (b []byte, err error) {
	// The chunk knows of a record a moment before the log does. A reader goes
	// by the log: nobody holds what Position does not cover.
	limit = min(limit, r.end())
	if r.older != nil {
		return r.nextPast(limit)
	}
	for r.at < limit {
		if r.c == nil || r.c.dropped.Load() {
			r.c, err = r.held.seek(r.at)
			if err == ErrTrimmed && r.bound {
				if err = r.openPast(); err == nil {
					return r.nextPast(limit)
				}
			}
			if r.c == nil {
				return nil, err
			}
		}
		c := r.c
		end := c.end()
		if r.at >= end {
			// There is more, since limit is at most the log's end, and c's
			// share of it was seen: it is in the next chunk.
			r.c = c.next.Load() // nil if c was dropped meanwhile: seek again
			continue
		}
		b = c.buf[r.at-c.base : min(end, limit)-c.base]
		r.at += int64(len(b))
		r.held.keepUp(r.at)
		return b[:len(b):len(b)], nil
	}
	return nil, nil
}

// Outdated reports whether the log has been given other contents since the reader
// began, so that Next returns [ErrReset]. Any goroutine may call it.
func (r *Reader) Outdated() bool { return r.log.held.Load() != r.held }

// Ready returns a channel that delivers one value when the log holds something
// after the reader's offset, was replaced, or has got another lineage since the
// last Next; at once if it already has. Call it again before each wait. A caller
// that has meanwhile selected something else may find a stale value: Next then
// returns nil, as it does when there was only a fork.
func (r *Reader) Ready() <-chan struct{} {
	l := r.log
	l.sleep.mu.Lock()
	r.waits = r.at
	if !r.parked {
		r.parked = true
		l.sleep.readers = append(l.sleep.readers, r)
		l.sleepers.Store(int64(len(l.sleep.readers)))
	}
	l.sleep.mu.Unlock()
	// An append or a fork that came before the store above did not see us; what
	// it did is seen here. One that comes after it wakes us.
	lineage := r.held.lineage.Load()
	forked := lineage != r.lineage
	r.lineage = lineage // one value for each change
	if forked || r.end() > r.at || r.Outdated() {
		select {
		case r.ready <- struct{}{}:
		default:
		}
	}
	return r.ready
}

// Wait blocks until the log holds something after the reader's offset or was
// replaced, or until ctx ends; then it returns ctx.Err.
func (r *Reader) Wait(ctx context.Context) error {
	for r.end() <= r.at && !r.Outdated() {
		select {
		case <-r.Ready():
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// Close takes the reader off the log's list of those to be woken, and releases its
// [Archive]. It may be called twice.
func (r *Reader) Close() {
	r.closePast()
	l := r.log
	l.sleep.mu.Lock()
	defer l.sleep.mu.Unlock()
	if i := slices.Index(l.sleep.readers, r); i >= 0 {
		l.sleep.readers = slices.Delete(l.sleep.readers, i, i+1)
		l.sleepers.Store(int64(len(l.sleep.readers)))
	}
	r.parked = false
}

// wake wakes the parked readers for which there is something. A log that nobody waits
// for pays one load.
func (l *Log) wake() {
	if l.sleepers.Load() != 0 {
		l.wakeIf(func(r *Reader) bool { return !r.bound || l.sharedOf(r.held) > r.waits })
	}
}

// wakeAll wakes every parked reader.
func (l *Log) wakeAll() { l.wakeIf(func(*Reader) bool { return true }) }

func (l *Log) wakeIf(concerned func(*Reader) bool) {
	l.sleep.mu.Lock()
	defer l.sleep.mu.Unlock()
	l.sleep.readers = slices.DeleteFunc(l.sleep.readers, func(r *Reader) bool {
		if !concerned(r) {
			return false
		}
		r.parked = false
		select {
		case r.ready <- struct{}{}:
		default:
		}
		return true
	})
	l.sleepers.Store(int64(len(l.sleep.readers)))
}
