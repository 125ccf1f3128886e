package sentinel

import (
	"time"

	"github.com/emberkv/ember/repl"
)

// A promise is what a sentinel has promised the master that it granted a lease to: to grant
// none to anybody else, and to give no vote but on demand, before that lease is over. It is a value; a
// step returns the next.
//
// A lease of 0.8 DownAfter lasts from when the master sent the report that the grant
// answers, on the master's clock; the promise, of DownAfter, from when the sentinel decided to grant,
// which is later, on the sentinel's. So it is the longer one even if the master's clock runs by a tenth too
// slowly and the sentinel's by a tenth too fast: 0.8/0.9 = 0.889 < 0.909 = 1/1.1.
//
// A majority of promises makes a lease. As any two majorities have a sentinel in common, and no
// sentinel's promises to two nodes overlap, no two nodes hold a lease at once.
type promise struct {
	hold  time.Duration
	to    repl.NodeID // zero: to nobody, and so against everybody
	until time.Time
}

// leaseOf returns the lease that is granted, of which promises are holdOf.
func leaseOf(downAfter time.Duration) time.Duration { return downAfter / 5 * 4 }

// holdOf returns for how long a promise binds: a quarter longer than the lease.
func holdOf(downAfter time.Duration) time.Duration { return leaseOf(downAfter) / 4 * 5 }

// newPromise returns the promise of a sentinel that has just started. It does not know what it
// promised before, so it grants nothing until that has run out, whatever it was. If promises were
// for longer then, the desk knows from its store.
func newPromise(downAfter time.Duration, now time.Time) promise {
	hold := holdOf(downAfter)
	return promise{hold: hold, until: now.Add(hold)}
}

// grant promises a node, and reports whether it may: if not, nothing has changed, and no
// grant may be sent. It must be called after the report came that the grant answers.
func (p promise) grant(to repl.NodeID, now time.Time) (promise, bool) {
	if to == (repl.NodeID{}) || p.remaining(now) > 0 && p.to != to {
		return p, false
	}
	p.to, p.until = to, now.Add(p.hold)
	return p, true
}

// remaining returns for how long p still binds: until then there is no vote but on demand, and no grant
// to another.
func (p promise) remaining(now time.Time) time.Duration { return max(p.until.Sub(now), 0) }

// released returns p after node has said that it is no master: what it was granted in
// that role ended with it, and does not count in a later one.
func (p promise) released(node repl.NodeID) promise {
	if p.to == node && node != (repl.NodeID{}) {
		p.until = time.Time{}
	}
	return p
}
