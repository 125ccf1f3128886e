package backlog_test

import (
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/emberkv/ember/backlog"
)

var errClosed = errors.New("closed")

func TestGate(t *testing.T) {
	l := backlog.NewLog(nil)
	if err := l.Refusing(); err != nil {
		t.Errorf("a log without a gate is closed: %v", err)
	}
	mustAppend(t, l, framed(10, 0))
	asked := 0
	var refuse error
	l.SetGate(func() error { asked++; return refuse })
	mustAppend(t, l, framed(10, 0))
	refuse = errClosed
	for _, n := range []int{0, 10, 100_000} {
		if end, err := l.Append(make([]byte, n)); end != 0 || err != errClosed {
			t.Errorf("%d bytes: %d, %v", n, end, err)
		}
	}
	if err := l.Refusing(); err != errClosed {
		t.Errorf("Closed says %v", err)
	}
	if l.End() != 20 || asked != 5 {
		t.Errorf("log ends at %d, the gate was asked %d times", l.End(), asked)
	}
	if err := l.AppendAt(l.Position(), framed(10, 0)); err != nil || asked != 5 {
		t.Errorf("AppendAt: %v, the gate was asked %d times", err, asked)
	}
	l.SetGate(nil)
	mustAppend(t, l, framed(10, 0))
}

// A gate that panics is its author's affair; the log goes on.
func TestGatePanics(t *testing.T) {
	l := backlog.NewLog(nil)
	l.SetGate(func() error { panic("gate") })
	func() {
		defer func() { recover() }()
		l.Append(framed(10, 0))
		t.Error("no panic")
	}()
	l.SetGate(nil)
	mustAppend(t, l, framed(10, 0))
}

// Nothing slips in after SetGate has returned: the end is final.
func TestGateIsFinal(t *testing.T) {
	l := backlog.NewLog(&backlog.Options{MaxBytes: 1 << 16})
	var accepted atomic.Int64
	var wg sync.WaitGroup
	done := make(chan struct{})
	for range 4 {
		wg.Go(func() {
			record := framed(50, 0)
			for {
				select {
				case <-done:
					return
				default:
				}
				if _, err := l.Append(record); err == nil {
					accepted.Add(1)
				} else if err != errClosed {
					t.Errorf("got %v", err)
				}
			}
		})
	}
	for range 300 {
		l.SetGate(func() error { return errClosed })
		at := l.End()
		for range 20 {
			if end := l.End(); end != at {
				t.Fatalf("log went from %d to %d behind a closed gate", at, end)
			}
		}
		l.SetGate(nil)
		for l.End() == at {
			mustAppend(t, l, framed(50, 0))
			accepted.Add(1)
		}
	}
	close(done)
	wg.Wait()
	if got := l.End() / 50; got != accepted.Load() {
		t.Errorf("%d records are in the log, %d were accepted", got, accepted.Load())
	}
}

// SetGate waits for an append that the gate before it is letting in.
func TestSetGateWaitsForAppend(t *testing.T) {
	l := backlog.NewLog(nil)
	asked, answer := make(chan bool), make(chan bool)
	l.SetGate(func() error { asked <- true; <-answer; return nil })
	var wg sync.WaitGroup
	wg.Go(func() { mustAppend(t, l, framed(50, 0)) })
	<-asked
	var at int64
	wg.Go(func() {
		l.SetGate(func() error { return errClosed })
		at = l.End()
	})
	for range 1000 {
		runtime.Gosched() // so that the other one gets as far as it can
	}
	close(answer)
	wg.Wait()
	if at != 50 || l.End() != 50 {
		t.Errorf("log ended at %d when the gate was closed, and then at %d", at, l.End())
	}
}

func TestSettler(t *testing.T) {
	l := backlog.NewLog(nil)
	if l.Settler() != nil {
		t.Error("a new log has a settler")
	}
	var got int64
	l.SetSettler(func(end int64) error {
		// No lock is held: the log can be used.
		got = mustAppend(t, l, framed(10, 0)) + end
		return errClosed
	})
	settle := l.Settler()
	l.SetSettler(nil)
	if err := settle(5); err != errClosed || got != 15 {
		t.Errorf("settled at %d: %v", got, err)
	}
	if l.Settler() != nil {
		t.Error("the settler was removed")
	}
}
