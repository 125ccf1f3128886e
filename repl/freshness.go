package repl

import (
	"sync"
	"time"
)

const (
	// maxMarks bounds the heartbeats that wait for the log before them to be applied.
	// More of them would only say more often how old the data are.
	maxMarks = 16

	// delayWindow is for how long the quickest heartbeat is the measure of others: the
	// clocks of two machines run apart by seconds a day.
	delayWindow = time.Minute
)

// longAgo has passed by any clock.
var longAgo = time.Unix(0, 0)

// A freshness knows how old a replica's data are, and tells the machine when they will be
// too old to be read (see Reading). When, not that they are: a program that has been
// stopped and goes on reads at once, before any timer could have its say.
//
// What it knows comes with heartbeats: each is a mark in the log, and says how old the
// upstream's data were there. When the log is applied up to a mark, the data here were
// complete at a moment that is known; from there on they age by our own monotonic clock,
// whatever becomes of the link or of other nodes' clocks.
type freshness struct {
	node *Node

	mu struct {
		sync.Mutex
		streaming bool
		above     bool // the upstream has said that it is linked
		marks     []mark
		delay     delay
		asOf      time.Time // when the data were complete; zero for not known
		told      time.Time // what the machine was told last
		writer    int64     // what the writer's clock showed at writerAt, by the quickest heartbeat
		writerAt  time.Time // zero for not known
		over      bool      // the tenure is, or the node is closed: nothing is told any more
	}
}

// A mark says when what stands before an offset of the log was all that there was.
type mark struct {
	end  int64
	asOf time.Time
}

// begin tells the machine for the first time. A replica that has heard of nothing is not
// linked, and its data are of no known age.
func (f *freshness) begin() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.told = f.staleAfterLocked()
	f.node.setStaleAfter(f.mu.told)
}

// completeAt notes when the data were complete, like a master's; the zero time if that is not known.
func (f *freshness) completeAt(t time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.asOf = t
}

// beat takes in a heartbeat. The log is applied up to at.
func (f *freshness) beat(h *heartbeat, at int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	late := f.mu.delay.beyondLeast(now, h.clock)
	f.mu.writer, f.mu.writerAt = h.clock+late.Milliseconds(), now
	f.mu.above = h.linked
	if h.age < int64(maxAge/time.Millisecond) {
		m := mark{h.end, now.Add(-late - time.Duration(h.age)*time.Millisecond)}
		if n := len(f.mu.marks); n > 0 && !f.mu.streaming {
			f.mu.marks[n-1] = m // one is enough to begin with
		} else if n < maxMarks {
			f.mu.marks = append(f.mu.marks, m)
		}
	}
	f.reachLocked(at)
	f.tellLocked()
}

// maxAge is more than any age that is worth to be told from one that is not known.
const maxAge = 100 * 365 * 24 * time.Hour

// stream notes that the link streams, from at on, and whether the data are others than
// before: how old those were says nothing then.
func (f *freshness) stream(at int64, replaced bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.streaming = true
	if replaced {
		f.mu.asOf = time.Time{}
	}
	f.reachLocked(at)
	f.tellLocked()
}

// applied notes up to where the log is applied.
func (f *freshness) applied(at int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.mu.marks) > 0 && f.mu.marks[0].end <= at {
		f.reachLocked(at)
		f.tellLocked()
	}
}

// down notes that there is no link.
func (f *freshness) down() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.streaming, f.mu.above, f.mu.marks, f.mu.delay = false, false, nil, delay{}
	f.tellLocked()
}

func (f *freshness) reachLocked(at int64) {
	if !f.mu.streaming {
		return // offsets may be another history's
	}
	n := 0
	for ; n < len(f.mu.marks) && f.mu.marks[n].end <= at; n++ {
		if m := f.mu.marks[n]; m.asOf.After(f.mu.asOf) {
			f.mu.asOf = m.asOf
		}
	}
	f.mu.marks = f.mu.marks[:copy(f.mu.marks, f.mu.marks[n:])]
}

// linked reports whether the node streams, and so do those above it.
func (f *freshness) linked() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mu.streaming && f.mu.above
}

// age returns how old the data are, -1 if that is not known.
func (f *freshness) age() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ageLocked()
}

func (f *freshness) ageLocked() time.Duration {
	if f.mu.asOf.IsZero() {
		return -1
	}
	return max(time.Since(f.mu.asOf), 0)
}

func (f *freshness) status(s *UpstreamStatus) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s.Linked, s.Age = f.mu.streaming && f.mu.above, f.ageLocked()
	s.Stale = !f.mu.told.IsZero() && time.Now().After(f.mu.told)
}

// staleAfterLocked returns until when the data may be read; zero if always.
func (f *freshness) staleAfterLocked() time.Time {
	o := &f.node.opts.Reading
	switch {
	case o.WhenDown == RefuseStale && !(f.mu.streaming && f.mu.above):
		return longAgo
	case o.MaxStaleness <= 0:
		return time.Time{}
	case f.mu.asOf.IsZero():
		return longAgo
	}
	return f.mu.asOf.Add(o.MaxStaleness)
}

// tellLocked tells the machine if there is news. The lock is held meanwhile, so that what
// is told last is so.
func (f *freshness) tellLocked() {
	if f.mu.over {
		return
	}
	if after := f.staleAfterLocked(); !after.Equal(f.mu.told) {
		f.mu.told = after
		f.node.setStaleAfter(after)
	}
}

// end ends the telling: the node is a master from now on, whose data are what there is. It returns
// what the writer's clock shows now, or false if nobody has said it.
func (f *freshness) end() (clock int64, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.over = true
	return f.mu.writer + time.Since(f.mu.writerAt).Milliseconds(), !f.mu.writerAt.IsZero()
}

// close ends the telling for good. Nobody will say any more how old the data have become.
func (f *freshness) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.mu.over && f.node.opts.refuses() {
		f.mu.told = longAgo
		f.node.setStaleAfter(longAgo)
	}
	f.mu.over = true
}

// A delay measures how much later than the quickest heartbeat of the last minutes others
// come. The zero value has seen none.
type delay struct {
	last      int64         // the sender's clock when it sent the last one
	began     time.Time     // of the present window
	base      time.Time     // of all that follow; its monotonic part counts
	now, past time.Duration // how far the sender's clock was ahead of ours, at most: in this window and in the one before
	hasPast   bool
}

// beyondLeast returns by how much a heartbeat is late that came at now and was sent when the
// sender's clock showed so many milliseconds.
func (d *delay) beyondLeast(now time.Time, clock int64) time.Duration {
	sent := time.Duration(clock) * time.Millisecond // not above 292 years: it wraps, as do differences
	switch {
	case d.base.IsZero() || clock < d.last:
		// The first one; or the clock was set back, and what was seen before means nothing.
		*d = delay{base: now, began: now, now: sent}
	case now.Sub(d.began) >= delayWindow:
		d.past, d.hasPast, d.began = d.now, true, now
		d.now = sent - now.Sub(d.base)
	}
	d.last = clock
	ahead := sent - now.Sub(d.base)
	d.now = max(d.now, ahead)
	most := d.now
	if d.hasPast {
		most = max(most, d.past)
	}
	return max(most-ahead, 0)
}
