package kv

import "sync/atomic"

// MapStats say what the loader of a [Map] has done since it was made. Reads that find what
// they ask for are not counted, so that they cost nothing.
type MapStats struct {
	Misses    int64 // calls of Load that have not found a value in the store, nor that there is none
	Joined    int64 // those of them for which another one's load was under way
	Loads     int64 // calls of MapOptions.Load
	NotFound  int64 // those of them that said that there is no value
	Failures  int64 // those of them that failed otherwise, or panicked
	Refreshes int64 // loads that were begun because a value was old
	Skipped   int64 // such that were not, because MaxLoads were under way
	Uncached  int64 // values that were loaded and not kept: this node takes no writes, is full, or it was written to meanwhile

	Forwards        int64 // calls of MapOptions.Forward
	ForwardFailures int64 // those of them that failed, or whose Position has not come

	Loading int // loads that are under way now, and refreshes
	Waiting int // loads that wait for their turn now
}

type mapCounters struct {
	misses, joined, loads, notFound, failures, refreshes, skipped, uncached, forwards, forwardFailures atomic.Int64
}

// Stats returns the counts as of now; each is right by itself.
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
