package backlog

import (
	"bytes"
	"errors"
	"testing"
	"time"
)

// filled returns a log of 512 KiB.
func filled(t *testing.T) *Log {
	record := append([]byte{119}, bytes.Repeat([]byte("y"), 119)...)
	l := NewLog(nil)
	for range 2 * sumEvery / len(record) {
		if _, err := l.Append(record); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

// Whoever asks for a sum that was known, of contents that are emptied meanwhile, is told that they
// are gone.
func TestKnownSumOfEmptiedContents(t *testing.T) {
	l := filled(t)
	defer l.Close()
	h := l.held.Load()
	h.keepUp(h.end.Load())
	if err := l.Restart(); err != nil {
		t.Fatal(err)
	}
	for _, offset := range []int64{0, h.end.Load() / 2, h.end.Load() - 1} {
		if _, err := h.sum(offset); !errors.Is(err, ErrTrimmed) {
			t.Errorf("sum up to %d of contents that are gone: %v, want ErrTrimmed", offset, err)
		}
	}
}

// Summing contents that are emptied meanwhile comes to an end: a reader that is about to be told that
// they were replaced.
func TestSumOfEmptiedContents(t *testing.T) {
	l := filled(t)
	defer l.Close()
	h := l.held.Load()
	if err := l.Restart(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		h.keepUp(h.end.Load())
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("still at it after 10 s")
	}
	if _, err := h.sum(h.end.Load()); !errors.Is(err, ErrTrimmed) {
		t.Errorf("sum of contents that are gone: %v, want ErrTrimmed", err)
	}
}
