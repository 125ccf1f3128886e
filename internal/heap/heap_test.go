package heap_test

import (
	"errors"
	"runtime"
	"testing"

	"github.com/emberkv/ember/internal/heap"
)

var kept []byte

// TestFigures: a block of 16 MiB is far above what else the process does.
func TestFigures(t *testing.T) {
	const block = 16 << 20
	make16 := func() { kept = make([]byte, block) }
	if n := heap.Allocated(make16); n < block || n > 2*block {
		t.Errorf("a block of %d: %d bytes allocated", block, n)
	}
	if n := heap.LeastAllocated(make16); n < block || n > 2*block {
		t.Errorf("a block of %d: at least %d bytes allocated", block, n)
	}
	with := heap.Live()
	runtime.KeepAlive(kept)
	kept = nil
	if n := with - heap.Live(); n < block/2 || n > 2*block {
		t.Errorf("a block of %d: %d bytes less when it is let go", block, n)
	}
}

// A quiet test notes whether it was failed.
type quiet struct {
	testing.TB
	failed bool
}

func (q *quiet) Helper()               {}
func (q *quiet) Logf(string, ...any)   {}
func (q *quiet) Errorf(string, ...any) { q.failed = true }

// TestTry: one good run of five is enough, and the last one; without, the test fails.
func TestTry(t *testing.T) {
	for good := 1; good <= 6; good++ {
		q, runs := &quiet{}, 0
		heap.Try(q, func() error {
			if runs++; runs == good {
				return nil
			}
			return errors.New("too much")
		})
		if runs != min(good, 5) || q.failed != (good > 5) {
			t.Errorf("when run %d is the first good one: %d runs, failed: %t", good, runs, q.failed)
		}
	}
}
