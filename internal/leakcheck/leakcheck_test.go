package leakcheck

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"
)

func TestGoroutinesAreFound(t *testing.T) {
	quit := make(chan struct{})
	go leftBehind(quit)
	quit <- struct{}{} // one that has not begun has no stack that says so
	if left := goroutines(time.Millisecond); !bytes.Contains(left, []byte("leftBehind")) {
		t.Errorf("a goroutine that waits was not found among\n%s", left)
	}
	close(quit)
}

// TestBubbled: goroutines elsewhere, of whatever number, are not counted.
func TestBubbled(t *testing.T) {
	elsewhere := make(chan struct{})
	defer close(elsewhere)
	for range 3 {
		go leftBehind(elsewhere)
	}
	synctest.Test(t, func(t *testing.T) {
		before, quit := Bubbled(t), make(chan struct{})
		for range 10 {
			go leftBehind(quit)
		}
		if n := Bubbled(t) - before; n != 10 {
			t.Errorf("%d goroutines more, want 10", n)
		}
		close(quit)
		synctest.Wait()
		if n := Bubbled(t) - before; n != 0 {
			t.Errorf("%d goroutines more when they have ended", n)
		}
	})
}

// leftBehind waits until quit is closed.
func leftBehind(quit chan struct{}) {
	for range quit {
	}
}

func TestMain(m *testing.M) { Main(m) }
