package giveway_test

import (
	"runtime"
	"testing"

	"github.com/emberkv/ember/internal/giveway"
)

// On one processor a goroutine that never blocks must not keep another from running, as long as it
// gives way.
func TestNowLetsOthersRun(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	const turns = 100
	n, done := 0, make(chan struct{})
	go func() {
		defer close(done)
		for range turns {
			n++
			giveway.Now()
		}
	}()
	for i := 0; ; i++ {
		select {
		case <-done:
			if n != turns {
				t.Fatalf("the other goroutine came %d times, not %d", n, turns)
			}
			return
		default:
		}
		if i > 100*turns {
			t.Fatal("the other goroutine does not run")
		}
		giveway.Now()
	}
}

func BenchmarkNow(b *testing.B) {
	for b.Loop() {
		giveway.Now()
	}
}
