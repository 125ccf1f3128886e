package kv

import (
	"sync"
	"testing"
)

// Every slab is of the size that was asked for, all zeros, and one writer's alone, whoever makes it.
func TestSlabsAheadAreNew(t *testing.T) {
	var (
		a  slabAhead
		wg sync.WaitGroup
	)
	for g := range 4 {
		wg.Go(func() {
			mark := byte(g + 1)
			var mine [][]byte
			for i := range 200 {
				n := hugeBytes
				if i/20%2 == 1 { // the sizes of shards differ for a while
					n = 2 * hugeBytes
				}
				slab := a.take(n)
				if len(slab) != n || cap(slab) != n {
					t.Errorf("a slab of %d bytes, cap %d, want %d", len(slab), cap(slab), n)
				}
				for j, b := range slab {
					if b != 0 {
						t.Errorf("byte %d of a new slab is %d", j, b)
						return
					}
					slab[j] = mark
				}
				mine = append(mine, slab)
			}
			for _, slab := range mine {
				for j, b := range slab {
					if b != mark {
						t.Errorf("byte %d is %d, of another goroutine", j, b)
						return
					}
				}
			}
		})
	}
	wg.Wait()
}
