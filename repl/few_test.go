package repl_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/repl"
)

// longestPause returns the longest pause before a try of n replicas whose master is away for a
// second, once it has been away for half of that.
func longestPause(t *testing.T, n int) time.Duration {
	net, a := repl.NewMemory(), newLedger(nil)
	fill(t, a, "k", 10)
	m := master(t, a, net, "a", nil)
	var mu sync.Mutex
	var longest time.Duration
	var replicas []*repl.Replica
	for range n {
		var o repl.Options
		o.Events.Retry = func(r repl.Retry) {
			mu.Lock()
			defer mu.Unlock()
			if r.Outage > time.Second/2 {
				longest = max(longest, r.Pause)
			}
		}
		replicas = append(replicas, replica(t, newLedger(nil), net, "a", &o))
	}
	synced(t, m, a, replicas...)
	// The first ones are told of the last, and have just heard of the master: the outage
	// counts from then.
	time.Sleep(3*repl.DefaultHeartbeat + 50*time.Millisecond)
	m.Close()
	time.Sleep(time.Second)
	m = master(t, a, net, "a", nil)
	begun := time.Now()
	synced(t, m, a, replicas...)
	mu.Lock()
	defer mu.Unlock()
	if took := time.Since(begun); took > longest {
		t.Errorf("%d were level after %v, with pauses of at most %v", n, took, longest)
	}
	return longest
}

// TestFewNeedNotBeSpread: after a second away up to eight followers are back within a hundredth
// of the outage, if they could not connect meanwhile; of nine, each waits for up to a twentieth of it, for they may be a crowd.
func TestFewNeedNotBeSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, n := range []int{1, 8} {
			if p := longestPause(t, n); p < 5*time.Millisecond || p > 15*time.Millisecond {
				t.Errorf("%d followers wait for up to %v, want 5 to 15 ms", n, p)
			}
		}
		if p := longestPause(t, 9); p < 25*time.Millisecond || p > 75*time.Millisecond {
			t.Errorf("9 followers wait for up to %v, want 25 to 75 ms", p)
		}
	})
}
