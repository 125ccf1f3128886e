package repltest

import (
	"slices"
	"time"
)

// A config is what [Link]'s methods set.
type config struct {
	shape
	faults
}

// A direction is the way from one host to another, for all the connections that
// use it. Guarded by Network.mu.
type direction struct {
	config
	from, to *Host
	next     plan
	streams  []*stream     // open ones, oldest first
	free     time.Duration // when the wire has room again, if bandwidth is bounded
	stats    Stats
}

// timedLocked reports whether anything takes time. If nothing does, bytes arrive in the
// instant in which they are sent, and slots are of no use.
func (d *direction) timedLocked() bool { return d.delay > 0 || d.jitter > 0 || d.bandwidth > 0 }

// heldLocked reports whether nothing arrives for now, and nothing is lost.
func (d *direction) heldLocked() bool { return d.stalled || d.from.stalled || d.to.stalled }

// takePlanLocked returns what awaits the next connection, once.
func (d *direction) takePlanLocked() plan {
	p := d.next
	d.next = plan{cut: never}
	return p
}

func (d *direction) removeLocked(s *stream) {
	d.streams = slices.DeleteFunc(d.streams, func(x *stream) bool { return x == s })
}
