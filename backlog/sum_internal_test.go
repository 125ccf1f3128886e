package backlog

import (
	"bytes"
	"testing"
	"time"
)

// Who sums contents that are emptied meanwhile comes to an end: a reader that is about to be told that
// they were replaced.
func TestSumOfEmptiedContents(t *testing.T) {
	record := append([]byte{119}, bytes.Repeat([]byte("y"), 119)...)
	l := NewLog(nil)
	defer l.Close()
	for range 2 * sumEvery / len(record) {
		if _, err := l.Append(record); err != nil {
			t.Fatal(err)
		}
	}
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
	if _, err := h.sum(h.end.Load()); err == nil {
		t.Error("contents that are gone have a sum")
	}
}
