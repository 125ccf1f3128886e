package spin_test

import (
	"bytes"
	"runtime"
	"sync"
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

// Who waits for longer than is worth looking sleeps, and is woken.
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
