package kv

import "sync/atomic"

// MapStats say what the loader of a [Map] has done since it was made. Reads that find what
// they ask for are not counted, so that they cost nothing.
type MapStats struct {
	Misses    int64 // calls of Load that found in the store neither a value nor that there is none
	Joined    int64 // those of them that found a load for the key under way
	Loads     int64 // calls of MapOptions.Load
	NotFound  int64 // those of them that reported no value
	Failures  int64 // those of them that failed otherwise, or panicked
	Refreshes int64 // loads that were begun because a value was old
	Skipped   int64 // refreshes that were not begun, because MaxLoads were under way
	Uncached  int64 // values that were loaded and not kept: this node takes no writes, is full, or the key was written to meanwhile

	Forwards        int64 // calls of MapOptions.Forward
	ForwardFailures int64 // those of them that failed, or whose Position did not come in time

	Loading int // loads that are under way now, and refreshes
	Waiting int // loads that wait for their turn now
}

type mapCounters struct {
	misses, joined, loads, notFound, failures, refreshes, skipped, uncached, forwards, forwardFailures atomic.Int64
}

// Stats returns the counts as of now; each by itself is exact.
func (m *Map[K, V]) Stats() MapStats {
	c := &m.counters
	s := MapStats{
		Misses:    c.misses.Load(),
		Joined:    c.joined.Load(),
		Loads:     c.loads.Load(),
		NotFound:  c.notFound.Load(),
		Failures:  c.failures.Load(),
		Refreshes: c.refreshes.Load(),
		Skipped:   c.skipped.Load(),
		Uncached:  c.uncached.Load(),

		Forwards:        c.forwards.Load(),
		ForwardFailures: c.forwardFailures.Load(),
	}
	if m.loading {
		s.Loading, s.Waiting = m.flights.count()
	}
	return s
}
