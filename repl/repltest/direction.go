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

const (
	// maxHosts and maxTurns bound what is told apart by the instant at which
	// it is due: pairs of hosts, and connections between two.
	maxHosts = 32
	maxTurns = 8

	// stride is the time between two instants that belong to one direction of
	// one connection: 8,192 ns, of which each has one for itself.
	stride = maxHosts * maxHosts * maxTurns
)

// slot returns the first instant at or after t that belongs to the direction's
// connection number turn.
//
// Goroutines that become runnable at one instant run in any order, on virtual
// time too, and a run would differ from the next by who went first. So no two
// connections ever have something due at the same instant. What is rounded is
// the instant, not the delay: a packet that answers a packet inherits its odd
// nanoseconds, and rounded delays would add up to equal sums.
func (d *direction) slot(t time.Duration, turn int) time.Duration {
	mine := time.Duration(((d.from.number%maxHosts)*maxHosts+d.to.number%maxHosts)*maxTurns + turn%maxTurns)
	at := t - t%stride + mine
	if at < t {
		at += stride
	}
	return at
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
