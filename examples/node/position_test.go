//go:build unix

package main

import (
	"fmt"
	"net/http"
	"testing"
	"time"
)

// TestReadYourWrites: the position of an answer, sent with the next question to another
// node, makes that node wait until it can give the same answer.
func TestReadYourWrites(t *testing.T) {
	t.Parallel()
	a := start(t, "a")
	b := start(t, "b", "-follow", a.repl)
	c := start(t, "c", "-follow", b.repl)
	for i := range 200 {
		value := fmt.Sprint(i)
		written := a.put("k", value)
		c.gets("k", value, written)
		// What was read on one slave is on the other one.
		read := c.do(http.StatusOK, "GET", "/keys/k", "", "")
		b.gets("k", read.body, read.position)
	}
	a.do(http.StatusNoContent, "DELETE", "/keys/k", "", "")
	gone := a.do(http.StatusNotFound, "GET", "/keys/k", "", "").position
	c.do(http.StatusNotFound, "GET", "/keys/k", "", gone)
}

// TestPositionThatDoesNotCome: after a bounded time the answer is 504, and says where
// the node is.
func TestPositionThatDoesNotCome(t *testing.T) {
	t.Parallel()
	a := start(t, "a")
	b := start(t, "b", "-follow", a.repl)
	first := a.put("k", "1")
	b.gets("k", "1", first)
	b.freeze()
	second := a.put("k", "2")
	a.kill()
	b.thaw()
	// Whether b has got it is open: it may be in the kernel's buffers. What is beyond is
	// nowhere.
	beyond := fmt.Sprintf("%s-%d", historyOf(second), len(second)+1<<20)
	begun := time.Now()
	r := b.do(http.StatusGatewayTimeout, "GET", "/keys/k", "", beyond)
	if took := time.Since(begun); took < positionTimeout {
		t.Errorf("it took %v, want %v", took, positionTimeout)
	}
	if r.position == beyond || r.position == "" {
		t.Errorf("the answer's position is %q", r.position)
	}
}

// TestWait counts the replicas that have applied a write, and stops counting when the
// time is over.
func TestWait(t *testing.T) {
	t.Parallel()
	a := start(t, "a")
	written := a.put("k", "v")
	if n := a.waits(1, time.Millisecond, written); n != 0 {
		t.Errorf("%d replicas, want none", n)
	}
	b := start(t, "b", "-follow", a.repl)
	c := start(t, "c", "-follow", a.repl)
	if n := a.waits(2, patience, written); n != 2 {
		t.Errorf("%d replicas, want 2", n)
	}
	b.has("k", "v")
	c.has("k", "v")

	c.freeze()
	written = a.put("k", "w")
	if n := a.waits(1, patience, ""); n != 1 {
		t.Errorf("%d replicas, want 1: the other hangs", n)
	}
	b.has("k", "w")
	if n := a.waits(2, 100*time.Millisecond, written); n != 1 {
		t.Errorf("%d replicas in time, want 1", n)
	}
	c.thaw()
	if n := a.waits(2, patience, written); n != 2 {
		t.Errorf("%d replicas, want 2", n)
	}
	c.has("k", "w")
	b.do(http.StatusConflict, "POST", "/wait?replicas=1", "", "")
}
