package main

import (
	"slices"
	"time"
)

// Latency is what became of many durations: percentiles by nearest rank, in
// microseconds. It is exported, like the other types that nodes are called
// with, for encoding/json.
type Latency struct {
	P50, P99, P999, Max float64
}

// summarize returns the percentiles of samples, which it sorts. Without samples
// they are 0.
func summarize(samples []time.Duration) Latency {
	slices.Sort(samples)
	at := func(perMille int) float64 {
		return float64(nearestRank(samples, perMille)) / float64(time.Microsecond)
	}
	return Latency{P50: at(500), P99: at(990), P999: at(999), Max: at(1000)}
}

// nearestRank returns the smallest of the sorted values that is not below so many
// thousandths of them, and the zero value of T when there are none. Thousandths,
// because no float is 99.9 percent: for some lengths the rank would be one too
// high.
func nearestRank[T any](sorted []T, perMille int) T {
	if len(sorted) == 0 {
		var zero T
		return zero
	}
	rank := (perMille*len(sorted) + 999) / 1000
	return sorted[max(rank, 1)-1]
}

// recorded is how long the latencies of an open loop fit into what expectLatencies returns.
const recorded = 2 * time.Minute

// expectLatencies returns room for those of rate writes a second, in memory that has been used
// before: that a page is not there yet, or all are copied to a larger place, would hold up the
// loop, and count as latency.
func expectLatencies(rate int) []time.Duration {
	l := make([]time.Duration, rate*int(recorded/time.Second))
	for i := range l {
		l[i] = -1
	}
	return l[:0]
}

// median returns the middle one of values, the lower of two, as the peers'
// harness does, so that it is always a value that was measured.
func median(values []float64) float64 {
	return nearestRank(slices.Sorted(slices.Values(values)), 500)
}
