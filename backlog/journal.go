package backlog

import "math"

const (
	noHold    = math.MaxInt64 // nothing is held beyond the window
	unbounded = math.MaxInt64 // everything is shared
)

// Hold keeps what the log holds from offset on, however large that is, until the next
// call moves the offset on, or Release. It lets a journal that a disk holds up keep its
// place: the caller bounds what is appended meanwhile. Only what lies below the offset is
// dropped, when the window is exceeded. It does nothing for a reader that is Outdated.
func (r *Reader) Hold(offset int64) {
	l := r.log
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held.Load() == r.held {
		l.mu.hold = offset
	}
}

// Release ends a Hold.
func (l *Log) Release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.hold = noHold
}

// Share bounds the readers of the log that are bound ([Reader.Bind]) by offset, which must
// lie between two records, until the next call moves it on. A journal calls it, so that
// nobody is given records that no node would still know if this one were killed now. A log
// for which it was never called shares all, and every log shares what was appended by
// [Log.AppendAt]: another node has that. It does nothing for a reader that is Outdated.
func (r *Reader) Share(offset int64) {
	l := r.log
	l.mu.Lock()
	if l.held.Load() == r.held {
		l.shared.Store(offset)
	}
	l.mu.Unlock()
	l.wake()
}

// Shared returns the offset up to which the log shares its records.
func (l *Log) Shared() int64 {
	h := l.held.Load()
	return min(h.end.Load(), l.sharedOf(h))
}

// sharedOf returns up to where bound readers of h may go, and perhaps beyond its end.
func (l *Log) sharedOf(h *contents) int64 { return max(l.shared.Load(), h.received.Load()) }

// Origin returns the log's lineage, and whether this log began its current history, with
// [NewLog], [Log.Fork] or [Log.Claim], rather than taking it over from another node. Only a
// log that began its history may have records that nobody else knows.
func (l *Log) Origin() (lineage Lineage, own bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.held.Load()
	return *h.lineage.Load(), h.own
}

// Claim says that the current history of a log that [NewLogAt] made was begun here.
func (l *Log) Claim() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held.Load().own = true
}

// ForkFirst makes the next [Log.Append] begin a new history. It is for a log that continues
// one that another node may be writing: as long as this one only follows, nothing changes.
func (l *Log) ForkFirst() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.forkFirst = true
}
