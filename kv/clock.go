package kv

import (
	"math"
	"sync/atomic"
	"time"
)

// A clock tells the time by which deadlines pass, in Unix milliseconds. On a
// store that follows another it is the writer's clock, as far as it is known: the
// last reading, advanced by our own monotonic time. So nodes whose wall clocks
// differ by hours hide a key at the same moment, give or take the link's delay and
// less than clockJump. Package repl gives one more reading before the store stops following, the
// best it has.
//
// When following ends the clock goes on from there. A deadline was set by the old
// writer's clock, and a jump to our own would end keys early, or revive them.
type clock struct {
	reading atomic.Pointer[reading] // nil: the wall clock
}

// A reading says what another node's clock showed at a moment of ours.
type reading struct {
	unixMilli int64
	at        time.Time // for its monotonic part
}

// clockJump is how far the writer's clock may seem to go back before it is
// believed. Readings arrive late by the link's delay, never early, so the one that
// was least delayed is the best; but the writer's clock may have been set back.
const clockJump = int64(time.Second / time.Millisecond)

func (c *clock) now() int64 {
	if r := c.reading.Load(); r != nil {
		return r.now()
	}
	return time.Now().UnixMilli()
}

func (r *reading) now() int64 {
	return r.unixMilli + time.Since(r.at).Milliseconds()
}

// set takes a new reading. Readings outside of what a deadline can be, and that
// time could overflow, are ignored.
func (c *clock) set(unixMilli int64) {
	if unixMilli < 0 || unixMilli > math.MaxInt64/2 {
		return
	}
	old := c.reading.Load()
	if old != nil {
		if late := old.now() - unixMilli; late >= 0 && late < clockJump {
			return
		}
	}
	c.reading.Store(&reading{unixMilli: unixMilli, at: time.Now()})
}

// reached reports whether a deadline has passed; 0 is none.
func (c *clock) reached(deadline int64) bool {
	return deadline != 0 && deadline <= c.now()
}
