//go:build go1.26 && !race

package repltest_test

import (
	"runtime"
	"slices"
	"testing"
	"testing/cryptotest"
)

// TestGroupRepeats: on one processor a seed decides everything, to the last byte and
// nanosecond: 20 of them, twice. (The race detector shuffles who runs first on purpose.)
//
// A loaded machine may take the processor away in the middle of an instant, after which
// the runtime lets another goroutine go first; one run in some hundred differs by that.
// So a seed that did not repeat is run again: what is not decided by the seed does not
// come out the same in one of four.
func TestGroupRepeats(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	const attempts = 4
	seen := make(map[uint64]uint64)
	for seed := range uint64(20) {
		var traces []uint64
		for !repeated(traces) && len(traces) < attempts {
			cryptotest.SetGlobalRandom(t, seed)
			traces = append(traces, upheaval(t, seed))
		}
		if !repeated(traces) {
			t.Fatalf("seed %d: traces %x", seed, traces)
		}
		last := traces[len(traces)-1]
		if other, ok := seen[last]; ok {
			t.Errorf("seeds %d and %d have the same trace", seed, other)
		}
		seen[last] = seed
	}
}

// repeated reports whether the last trace is one of those before it.
func repeated(traces []uint64) bool {
	n := len(traces)
	return n > 1 && slices.Contains(traces[:n-1], traces[n-1])
}
