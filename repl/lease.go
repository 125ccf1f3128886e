package repl

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A lease is the right of a supervised master to take writes: it is held while enough
// sentinels' grants are in force. "Leases" in PROTOCOL.md says why two nodes never hold it
// at once.
//
// Until it is armed it says nothing. All that the gate looks at is one moment, as with
// nearness: up to that the lease is held, unless grants come that carry it on.
type lease struct {
	origin time.Time                  // moments are durations since then
	news   *gateNews                  // nil when nobody is to be told
	state  atomic.Pointer[leaseState] // nil while the lease is not armed; stored under mu

	mu struct {
		sync.Mutex
		armed  bool
		polled bool             // somebody watches the node: its next promotion arms the lease
		tenure *tenure          // in which the grants were given
		grants map[NodeID]grant // at most maxGranters
		until  time.Duration    // up to when the lease is held; never if it is not
		need   int              // as of the last grant
		held   bool             // it was, in this tenure
		heldTo time.Duration    // up to when it was held last, in this tenure; for held
	}
}

// A leaseState is what the gate looks at.
type leaseState struct {
	until   time.Duration
	refusal error // made before it is needed: the gate must not allocate
}

// A grant is one sentinel's part of a lease.
type grant struct {
	until time.Duration
	need  int
}

// maxGranters bounds how many sentinels' grants are kept.
const maxGranters = 64

func (l *lease) init(fenced bool) {
	l.origin = time.Now()
	l.mu.grants = make(map[NodeID]grant)
	l.mu.armed = fenced
	l.mu.until = never
}

// now returns the present moment.
func (l *lease) now() time.Duration { return time.Since(l.origin) }

// lapsed returns the error for a write that comes now, if the lease is not held and would
// have to be. It is for the gate: it runs under the log's lock.
func (l *lease) lapsed() error {
	if s := l.state.Load(); s != nil && l.now() > s.until {
		return s.refusal
	}
	return nil
}

// begin begins t. What was granted in the tenure before is void: the sentinels may have been
// told that this node is no longer the master. A promotion arms the lease of a node that is watched.
func (l *lease) begin(t *tenure, promoted bool) {
	if l.mu.grants == nil { // not supervised
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.armed = l.mu.armed || promoted && l.mu.polled
	l.mu.tenure = t
	clear(l.mu.grants)
	l.mu.held, l.mu.until, l.mu.need = false, never, 0
	l.showLocked()
}

// watched notes that somebody polls the node.
func (l *lease) watched() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.polled = true
}

// arm lets the next tenure as a master begin with an armed lease, as that of the node that hands
// over was.
func (l *lease) arm() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.armed = true
}

// isArmed reports whether the node, as a master, writes by a lease alone.
func (l *lease) isArmed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.armed
}

// isAwaited reports whether the node, as a master, writes only by a lease, and has held none in this tenure.
func (l *lease) isAwaited() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.armed && !l.mu.held
}

// ended returns when the lease that was held in this tenure ends or has ended; the zero time if none was.
func (l *lease) ended() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.mu.held {
		return time.Time{}
	}
	return l.origin.Add(l.mu.heldTo)
}

// renew records a grant of the sentinel id, which counts from at, a moment of t.
func (l *lease) renew(id NodeID, t *tenure, at time.Duration, g *Grant) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if l.mu.tenure != t || t.role != RoleMaster || at+g.Lease <= now {
		return
	}
	for other, was := range l.mu.grants {
		if was.until <= now {
			delete(l.mu.grants, other)
		}
	}
	if _, known := l.mu.grants[id]; !known && len(l.mu.grants) == maxGranters {
		return
	}
	l.mu.grants[id] = grant{max(at+g.Lease, l.mu.grants[id].until), g.Need}
	l.countLocked()
	if l.mu.until > now {
		l.mu.held, l.mu.armed, l.mu.heldTo = true, true, l.mu.until
	}
	l.showLocked()
}

// countLocked looks up to when as many grants are in force as the largest of them asks for.
func (l *lease) countLocked() {
	var ends []time.Duration
	l.mu.need, l.mu.until = 0, never
	for _, g := range l.mu.grants {
		ends = append(ends, g.until)
		l.mu.need = max(l.mu.need, g.need)
	}
	if len(ends) >= l.mu.need {
		slices.Sort(ends)
		l.mu.until = ends[len(ends)-l.mu.need]
	}
}

// showLocked shows the gate what has become of the lease.
func (l *lease) showLocked() {
	was := l.lapsed() == nil
	if !l.mu.armed {
		l.state.Store(nil)
	} else {
		l.state.Store(&leaseState{l.mu.until, &LeaseError{Granted: len(l.mu.grants), Need: l.mu.need, RunOut: l.mu.held}})
	}
	if l.news != nil && was != (l.lapsed() == nil) {
		l.news.ring()
	}
}

// left returns for how long the lease lets writes in, if nobody renews it; 0 for ever.
func (l *lease) left() time.Duration {
	if s := l.state.Load(); s != nil {
		return max(s.until-l.now()+1, 1)
	}
	return 0
}

// disarm lets writes in without a lease.
func (l *lease) disarm() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.armed, l.mu.polled = false, false
	clear(l.mu.grants)
	l.mu.held, l.mu.until, l.mu.need = false, never, 0
	l.showLocked()
}

// report says how the lease stands.
func (l *lease) report() (r LeaseReport) {
	if l.mu.grants == nil {
		return r
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	r = LeaseReport{Armed: l.mu.armed, Remaining: max(l.mu.until-now, 0), Need: l.mu.need}
	for _, g := range l.mu.grants {
		if g.until > now {
			r.Granted++
		}
	}
	return r
}
