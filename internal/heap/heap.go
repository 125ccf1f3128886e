// Package heap measures, for tests, what memory is allocated and kept. All figures are of
// the whole process: what other goroutines do meanwhile is in them, so a bound needs room
// for that, or the test measures several times.
package heap

import (
	"runtime"
	"testing"
)

// tries is how often Try measures.
const tries = 5

// Try fails the test unless one of five runs of measure, which must do the same each time,
// returns nil. What others allocate or let go of meanwhile is in some of the runs only; what
// the code under test keeps is in all. An error says what was measured, and goes to the
// test's log.
func Try(t testing.TB, measure func() error) {
	t.Helper()
	for n := range tries {
		err := measure()
		if err == nil {
			return
		}
		t.Logf("try %d: %v", n+1, err)
	}
	t.Errorf("out of bounds in each of %d tries", tries)
}

// Live returns the bytes that are reachable. It collects garbage twice: what a finalizer
// holds goes with the second collection.
func Live() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// Allocated returns the bytes that are allocated while f runs, whether or not they are kept.
func Allocated(f func()) int64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int64(after.TotalAlloc - before.TotalAlloc)
}

// LeastAllocated returns the least that Allocated says of ten runs of f, which must do the
// same each time: what others do meanwhile is in some of them only.
func LeastAllocated(f func()) int64 {
	least := Allocated(f)
	for range 9 {
		least = min(least, Allocated(f))
	}
	return least
}
