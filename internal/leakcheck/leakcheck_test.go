package leakcheck

import (
	"bytes"
	"testing"
)

func TestGoroutinesAreFound(t *testing.T) {
	quit := make(chan struct{})
	go leftBehind(quit)
	if left := goroutines(); !bytes.Contains(left, []byte("leftBehind")) {
		t.Errorf("a goroutine that waits was not found among\n%s", left)
	}
	close(quit)
}

func leftBehind(quit chan struct{}) { <-quit }

func TestMain(m *testing.M) { Main(m) }
