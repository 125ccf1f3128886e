package ahead_test

import (
	"runtime"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/emberkv/ember/internal/ahead"
	"github.com/emberkv/ember/internal/leakcheck"
)

func TestMain(m *testing.M) { leakcheck.Main(m) }

// Between two steps the goroutine that makes a block has ended.
func TestBlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b ahead.Block
		if got := b.Take(100); got != nil {
			t.Fatalf("an empty Block gave %d bytes", len(got))
		}
		b.Make(100)
		synctest.Wait()
		if n := b.Held(); n != 100 {
			t.Errorf("holds %d bytes, want 100", n)
		}
		if got := b.Take(100); len(got) != 100 || cap(got) != 100 {
			t.Errorf("gave %d bytes, cap %d, want 100", len(got), cap(got))
		}
		if got := b.Take(100); got != nil {
			t.Error("gave a block twice")
		}
		b.Make(100)
		synctest.Wait()
		if got := b.Take(200); got != nil || b.Held() != 0 {
			t.Errorf("asked for 200 of a block of 100: gave %d bytes, holds %d, want 0 and 0", len(got), b.Held())
		}
		b.Make(100)
		b.Drop() // while it is being made, or after
		synctest.Wait()
		if n := b.Held(); n != 0 {
			t.Errorf("holds %d bytes after Drop", n)
		}
		b.Make(100)
		b.Close()
		b.Make(100)
		synctest.Wait()
		if got := b.Take(100); got != nil {
			t.Error("gave a block after Close")
		}
	})
}

// However often blocks are asked for, one is made at a time, and no other while there is one.
func TestOneAtATime(t *testing.T) {
	const n = 1 << 20
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // nothing is made before this test waits
	var before, after runtime.MemStats
	var b ahead.Block
	runtime.ReadMemStats(&before)
	for range 100 {
		b.Make(n)
	}
	for b.Held() == 0 {
		runtime.Gosched()
	}
	for range 100 {
		b.Make(n)
		runtime.Gosched()
	}
	b.Close()
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > 2*n {
		t.Errorf("one block of %d bytes took %d", n, took)
	}
}

// Every block is all zeros, and one goroutine's alone.
func TestBlocksAreNew(t *testing.T) {
	var (
		b  ahead.Block
		wg sync.WaitGroup
	)
	for g := range 4 {
		wg.Go(func() {
			mark, mine := byte(g+1), [][]byte(nil)
			for i := range 400 {
				n := 32 << 10
				if i/20%2 == 1 { // sizes differ for a while
					n = 64 << 10
				}
				bytes := b.Take(n)
				b.Make(n)
				for j, x := range bytes {
					if x != 0 {
						t.Errorf("byte %d of a new block is %d", j, x)
						return
					}
					bytes[j] = mark
				}
				mine = append(mine, bytes)
				runtime.Gosched()
			}
			for _, bytes := range mine {
				for j, x := range bytes {
					if x != mark {
						t.Errorf("byte %d is %d, of another goroutine", j, x)
						return
					}
				}
			}
		})
	}
	wg.Wait()
	b.Close()
}
