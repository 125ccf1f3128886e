package backlog

import (
	"context"
	"slices"
)

// A Reader reads a log from an offset on, at its own pace. It takes no lock
// that a writer or another reader takes, except to find its first chunk. A
// Reader is for one goroutine. Close it when it has waited and is not needed any
// more.
//
// A reader that falls behind keeps at most the one chunk alive that it is in.
type Reader struct {
	log        *Log
	generation uint64
	at         int64  // offset of the next byte; always between two records
	c          *chunk // holds at, or ends there; nil before the first record

	ready  chan struct{} // capacity 1: a token for each time it was woken
	parked bool          // in log.sleep.readers; guarded by log.sleep.mu
}

// NewReader returns a reader whose first record is the one at offset. It
// returns [ErrTrimmed], [ErrAhead] or [ErrBoundary] for an offset at which no
// reader can begin.
func (l *Log) NewReader(offset int64) (*Reader, error) {
	r := &Reader{log: l, at: offset, ready: make(chan struct{}, 1)}
	l.mu.Lock()
	r.generation = l.generation.Load()
	end := l.end.Load()
	c, err := l.seekLocked(offset)
	l.mu.Unlock()
	if err != nil {
		return nil, err
	}
	// The walk to a record border stays within one chunk and is done without
	// the lock: what is committed does not change.
	if c != nil && offset != end && !onBoundary(c.buf[:c.n.Load()], int(offset-c.base)) {
		return nil, ErrBoundary
	}
	r.c = c
	return r, nil
}

// seekLocked returns the chunk that holds offset, or the tail if offset is the
// end; nil when nothing is held.
func (l *Log) seekLocked(offset int64) (*chunk, error) {
	switch {
	case offset > l.end.Load():
		return nil, ErrAhead
	case offset < l.first.Load():
		return nil, ErrTrimmed
	}
	c := l.mu.head
	for c != nil && c != l.mu.tail && offset >= c.end() {
		c = c.next.Load()
	}
	return c, nil
}

// Offset returns where the next record that Next returns begins.
func (r *Reader) Offset() int64 { return r.at }

// Next returns records from the reader's offset on and moves behind them. It
// returns as many as lie together in memory and end at or before limit, which
// must be an offset between two records; nil means that there are none now. It
// never blocks.
//
// The slice shares memory with the log and must not be modified; it stays
// valid for as long as it is held. Next returns [ErrTrimmed] when the reader
// was outrun and [ErrReset] when the log was replaced; the reader is of no use
// then.
func (r *Reader) Next(limit int64) ([]byte, error) {
	l := r.log
	for {
		if l.generation.Load() != r.generation {
			return nil, ErrReset
		}
		if r.at >= limit {
			return nil, nil
		}
		if r.c == nil || r.c.dropped.Load() {
			if err := r.seek(); r.c == nil || err != nil {
				return nil, err
			}
		}
		c := r.c
		// The order matters: once next is seen, n is final.
		next := c.next.Load()
		if end := c.end(); r.at < end {
			// Checked last: what was trimmed meanwhile is refused although
			// it could still be read, so that "held" means one thing.
			b := c.buf[r.at-c.base : min(end, limit)-c.base]
			if r.at < l.first.Load() {
				return nil, ErrTrimmed
			}
			r.at += int64(len(b))
			return b[:len(b):len(b)], nil
		}
		if next == nil {
			if c.dropped.Load() {
				continue
			}
			return nil, nil
		}
		r.c = next
	}
}

// seek finds the chunk of the reader's offset anew.
func (r *Reader) seek() error {
	r.log.mu.Lock()
	defer r.log.mu.Unlock()
	if r.log.generation.Load() != r.generation {
		return ErrReset
	}
	c, err := r.log.seekLocked(r.at)
	r.c = c
	return err
}

// Ready returns a channel that delivers one value when the log holds something
// behind the reader's offset, or was replaced; at once if it already does. Call
// it again before each wait. A caller that has selected something else in the
// meantime may find a value that is out of date: Next then returns nil.
func (r *Reader) Ready() <-chan struct{} {
	l := r.log
	l.sleep.mu.Lock()
	if !r.parked {
		r.parked = true
		l.sleep.readers = append(l.sleep.readers, r)
		l.sleepers.Store(int64(len(l.sleep.readers)))
	}
	l.sleep.mu.Unlock()
	// An append that came before the store above did not see us; its records
	// are seen here. One that comes after it wakes us.
	if l.end.Load() > r.at || l.generation.Load() != r.generation {
		select {
		case r.ready <- struct{}{}:
		default:
		}
	}
	return r.ready
}

// Wait blocks until the log holds something behind the reader's offset, or was
// replaced, or ctx ends; then it returns ctx.Err.
func (r *Reader) Wait(ctx context.Context) error {
	for r.log.end.Load() <= r.at && r.log.generation.Load() == r.generation {
		select {
		case <-r.Ready():
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// Close takes the reader off the log's list of those to be woken. It may be
// called twice.
func (r *Reader) Close() {
	l := r.log
	l.sleep.mu.Lock()
	defer l.sleep.mu.Unlock()
	if i := slices.Index(l.sleep.readers, r); i >= 0 {
		l.sleep.readers = slices.Delete(l.sleep.readers, i, i+1)
		l.sleepers.Store(int64(len(l.sleep.readers)))
	}
	r.parked = false
}

// wake wakes every parked reader. A log that nobody waits for pays one load.
func (l *Log) wake() {
	if l.sleepers.Load() == 0 {
		return
	}
	l.sleep.mu.Lock()
	for _, r := range l.sleep.readers {
		r.parked = false
		select {
		case r.ready <- struct{}{}:
		default:
		}
	}
	clear(l.sleep.readers)
	l.sleep.readers = l.sleep.readers[:0]
	l.sleepers.Store(0)
	l.sleep.mu.Unlock()
}
