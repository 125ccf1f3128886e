package giveway_test

import (
	"runtime"
	"testing"

	"github.com/emberkv/ember/internal/giveway"
)

// On one processor a goroutine that never blocks must not keep another from running, as long as it
// gives way.
func TestWorkersLetOthersRun(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	const turns = 100
	n, done := 0, make(chan struct{})
	go func() {
		defer close(done)
		var w giveway.Worker
		for range turns {
			n++
			w.GiveWay()
		}
	}()
	var w giveway.Worker
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
		w.GiveWay()
	}
}

func BenchmarkGiveWay(b *testing.B) {
	var w giveway.Worker
	for b.Loop() {
		w.GiveWay()
	}
}
