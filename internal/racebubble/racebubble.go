// Package racebubble keeps testing/synctest bubbles from crashing the race detector.
//
// Up to Go 1.26 at least, all timers of a bubble run in one context of the race detector, also
// those that a goroutine runs itself: one that is made or reset to be due at once, or is
// found due by a select. Two goroutines that do so at one instant on two processors break the
// detector: "ThreadSanitizer: CHECK failed", or SIGSEGV (https://go.dev/issue/78156). A
// thousand replicas whose links break at once did so in one run of five.
package racebubble

import "runtime"

// OneProcessor lets the program run on one processor if it is built with the race detector,
// benchmarks too. It still finds races there, as it goes by what is ordered, not by what was at
// once; those that only an order of two processors shows it does not meet. It is for the TestMain
// of a package whose bubbles have many goroutines with timers, and stands until the end of the
// program, unless a test sets runtime.GOMAXPROCS for a while, or -cpu names other numbers.
func OneProcessor() {
	if race {
		runtime.GOMAXPROCS(1)
	}
}
