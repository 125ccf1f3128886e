// Package giveway lets work in the background give way to those that serve.
//
// Work that goes on for long, such as the copying of a whole store, has to offer its processor
// to others now and then, or who wants to read or write waits where there are few processors.
// There are two who hand them out. Go's scheduler takes one from a goroutine after ten
// milliseconds; [runtime.Gosched] offers it before. And Linux lets a thread that has become
// ready wait until the one that runs has had its slice, which a kernel of 250 ticks a second
// looks at every four milliseconds; Gosched says nothing to it. What that is for a writer beside
// a full copy, on two processors, says examples/bench/README.md.
package giveway

import (
	"runtime"
	"time"
)

// A Worker is a goroutine that works in the background, and gives way to others. The zero Worker
// begins.
type Worker struct {
	since time.Time     // when its thread was last back
	away  time.Duration // for how long it had been away
}

// GiveWay lets other goroutines run that are ready, and other threads of the machine. It takes two
// microseconds where there are none, and is for every hundred of them.
//
// A thread that gives way may be away for the slices of all others that are ready, and does not get
// what it gave away back: it would hardly run beside a few that never rest. So it gives way
// again only when it has been back for as long as it was away. A copy of five million keys took 2.6
// to 3.4 seconds beside two or four processes that never rest, and 1.9 to 3.2 without giving way.
func (w *Worker) GiveWay() {
	runtime.Gosched()
	now := time.Now()
	if now.Sub(w.since) < w.away {
		return
	}
	yieldThread()
	w.since = time.Now()
	w.away = w.since.Sub(now)
}
