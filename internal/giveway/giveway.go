// Package giveway lets work in the background give way to who serves.
//
// Work that goes on for long, such as the copying of a whole store, has to offer its processor
// to others now and then, or who wants to read or write waits where there are few processors.
// There are two who hand them out. Go's scheduler takes one from a goroutine after ten
// milliseconds; [runtime.Gosched] offers it before. And Linux lets a thread that has become
// ready wait until the one that runs has had its slice, which a kernel of 250 ticks a second
// looks at every four milliseconds, and some in cloud machines are such; Gosched says nothing
// to it. On two processors, with a master that copies five million entries to a replica, a
// process beside it, one write in a thousand was late by 8 to 10 milliseconds with Gosched
// alone (of 2026-11-22; see examples/bench).
package giveway

import "runtime"

// Now lets other goroutines run that are ready, and other threads of the machine. It takes two
// microseconds where there are none, and is for every hundred of them.
func Now() {
	runtime.Gosched()
	yieldThread()
}
