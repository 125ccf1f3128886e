//go:build go1.26 && !race

package sim_test

import (
	"runtime"
	"slices"
	"testing"
	"time"
)

// TestSeedRepeats: a seed gives the same run to the last byte, else a failing one would be
// of little use. As in repltest, a loaded machine may spoil a run.
func TestSeedRepeats(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	const attempts, lasts = 4, 20 * time.Minute
	for seed := range uint64(3) {
		var traces []uint64
		for len(traces) < attempts {
			trace := run(t, seed, lasts)
			if slices.Contains(traces, trace) {
				break
			}
			traces = append(traces, trace)
		}
		if len(traces) == attempts {
			t.Errorf("seed %d: traces %x", seed, traces)
		}
	}
}
