package repltest

import "time"

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
// time too, and a run would differ from the next by which went first. So no two
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

// dueLocked returns when n bytes that are sent now arrive.
func (s *stream) dueLocked(n int) time.Duration {
	d, now := s.direction, s.network.now()
	if !d.timedLocked() {
		s.last = max(s.last, now)
		return s.last
	}
	at := now
	if d.bandwidth > 0 {
		d.free = max(d.free, now) + time.Duration(n)*time.Second/time.Duration(d.bandwidth)
		at = d.free
	}
	at += d.delay
	if d.jitter > 0 {
		at += time.Duration(s.mangler.rng.Int64N(int64(d.jitter)))
	}
	// Never before what was sent earlier: jitter does not reorder a stream.
	s.last = d.slot(max(at, s.last), s.turn)
	return s.last
}

// armLocked sets the timer to when the next thing is due that is not due yet.
func (s *stream) armLocked() {
	if s.heldLocked() {
		return // whoever ends that calls settleLocked
	}
	now := s.network.now()
	var next time.Duration
	if len(s.queue) > 0 && s.queue[0].due > now {
		next = s.queue[0].due
	}
	if s.gone && s.goneAt > now && (next == 0 || s.goneAt < next) {
		next = s.goneAt
	}
	if next == 0 || s.armed != 0 && s.armed <= next {
		return
	}
	s.armed = next
	if s.timer == nil {
		s.timer = time.AfterFunc(next-now, s.fire)
	} else {
		s.timer.Reset(next - now)
	}
}

func (s *stream) fire() {
	s.network.mu.Lock()
	defer s.network.mu.Unlock()
	s.armed = 0
	if s.conn != nil && s.conn.open {
		s.conn.wakeLocked() // who still waits sets it anew
	}
}

// settleLocked is called when the link may have changed. What was held until now
// is due at the next instant that is the stream's own, so that connections which
// are released together do not come to life at one instant.
func (s *stream) settleLocked() {
	held := s.heldLocked()
	if s.wasHeld && !held && s.direction.timedLocked() {
		next := s.direction.slot(s.network.now(), s.turn)
		for i := range s.queue {
			if s.queue[i].due < next {
				s.queue[i].due = next
			}
		}
		s.goneAt = max(s.goneAt, next)
	}
	s.wasHeld = held
	s.armLocked()
}
