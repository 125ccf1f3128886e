package pipe

import (
	"sync"
	"time"
)

// A Deadline ends the waits on one [sync.Cond] at an instant that may be moved
// while they last. The zero Deadline never expires. All of its methods must be
// called with the condition's lock held.
//
// A connection's user moves its deadline with every frame, so moving it later,
// the usual case, is a store: the timer that is already set fires too early,
// notices, and sets itself again.
type Deadline struct {
	at      time.Time // zero for none
	expired bool      // the waits of the present deadline have been ended
	armed   time.Time // when the timer fires; zero when it is not set
	timer   *time.Timer
}

// Set moves the deadline to at; zero takes it away. An instant that has passed
// expires at once. All calls for one Deadline pass the same condition, which is
// broadcast when the deadline expires.
func (d *Deadline) Set(at time.Time, c *sync.Cond) {
	d.at, d.expired = at, false
	if at.IsZero() {
		return
	}
	if left := time.Until(at); left <= 0 {
		d.expired = true
		c.Broadcast()
	} else if d.armed.IsZero() || at.Before(d.armed) {
		d.arm(left, c)
	}
}

func (d *Deadline) arm(left time.Duration, c *sync.Cond) {
	d.armed = d.at
	if d.timer == nil {
		d.timer = time.AfterFunc(left, func() { d.fire(c) })
		return
	}
	d.timer.Reset(left)
}

// fire may run late: after the deadline was moved, or the timer was set anew.
// It therefore believes only the clock.
func (d *Deadline) fire(c *sync.Cond) {
	c.L.Lock()
	defer c.L.Unlock()
	d.armed = time.Time{}
	if d.at.IsZero() || d.expired {
		return
	}
	if left := time.Until(d.at); left > 0 {
		d.arm(left, c)
		return
	}
	d.expired = true
	c.Broadcast()
}

// Expired reports whether the deadline has passed.
func (d *Deadline) Expired() bool { return d.expired }

// Stop takes the deadline away and the timer with it, when nobody will wait any
// more.
func (d *Deadline) Stop() {
	d.at, d.armed = time.Time{}, time.Time{}
	if d.timer != nil {
		d.timer.Stop()
	}
}
