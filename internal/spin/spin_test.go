package spin_test

import (
	"bytes"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emberkv/ember/internal/leakcheck"
	"github.com/emberkv/ember/internal/spin"
)

func TestMain(m *testing.M) { leakcheck.Main(m) }

// Goroutines, more than there are processors, count under the lock without losing any.
func TestLockExcludes(t *testing.T) {
	const goroutines, turns = 8, 2000
	var (
		mu    sync.Mutex
		wg    sync.WaitGroup
		count int
	)
	for range goroutines {
		wg.Go(func() {
			for range turns {
				spin.Lock(&mu)
				count++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if count != goroutines*turns {
		t.Errorf("counted %d of %d", count, goroutines*turns)
	}
}

// A waiter that has looked for longer than is worth it sleeps, and is woken.
func TestLockSleeps(t *testing.T) {
	var mu sync.Mutex
	mu.Lock()
	locked := make(chan bool)
	go func() {
		spin.Lock(&mu)
		close(locked)
		mu.Unlock()
	}()
	stacks := make([]byte, 64<<10)
	for begun := time.Now(); !bytes.Contains(stacks[:runtime.Stack(stacks, true)], []byte("[sync.Mutex.Lock]")); runtime.Gosched() {
		if time.Since(begun) > time.Minute {
			t.Fatal("still awake after a minute")
		}
	}
	select {
	case <-locked:
		t.Error("locked while another had the lock")
	default:
	}
	mu.Unlock()
	<-locked
}

func BenchmarkLock(b *testing.B) {
	b.ReportAllocs()
	var mu sync.Mutex
	for b.Loop() {
		spin.Lock(&mu)
		mu.Unlock()
	}
}

// work keeps a processor busy for half a nanosecond a turn or more.
//
//go:noinline
func work(turns int) {
	for range turns {
	}
}

// BenchmarkContendedLock takes a lock that another goroutine has, for a microsecond or so, two thirds of
// the time. It reports how long one waits for it, of those who find it locked.
func BenchmarkContendedLock(b *testing.B) {
	for name, lock := range map[string]func(*sync.Mutex){"spin": spin.Lock, "mutex": (*sync.Mutex).Lock} {
		b.Run(name, func(b *testing.B) {
			if runtime.NumCPU() == 1 {
				b.Skip("nobody waits awake on one processor")
			}
			var mu sync.Mutex
			var ended atomic.Bool
			var other sync.WaitGroup
			other.Go(func() {
				for !ended.Load() {
					lock(&mu)
					work(2000)
					mu.Unlock()
					work(1000)
				}
			})
			waits := make([]time.Duration, 0, 1<<20)
			b.ReportAllocs()
			for b.Loop() {
				if !mu.TryLock() {
					begun := time.Now()
					lock(&mu)
					if len(waits) < cap(waits) {
						waits = append(waits, time.Since(begun))
					}
				}
				work(100)
				mu.Unlock()
				work(3000)
			}
			ended.Store(true)
			other.Wait()
			if len(waits) == 0 {
				return
			}
			slices.Sort(waits)
			for _, at := range []int{500, 990, 999} {
				b.ReportMetric(float64(waits[len(waits)*at/1000]), fmt.Sprintf("p%g-wait-ns", float64(at)/10))
			}
		})
	}
}
