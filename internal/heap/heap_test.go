package heap_test

import (
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
