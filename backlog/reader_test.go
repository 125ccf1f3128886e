package backlog_test

import (
	"context"
	"math"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/backlog"
)

func TestSleepingReaderWakes(t *testing.T) {
	for name, c := range map[string]struct {
		window int64
		wake   func(l *backlog.Log)
		want   error // of Next
	}{
		"append": {0, func(l *backlog.Log) { l.Append(framed(10, 0)) }, nil},
		"append at": {0, func(l *backlog.Log) {
			if err := l.AppendAt(l.Position(), framed(10, 0)); err != nil {
				panic(err)
			}
		}, nil},
		"adopt":       {0, func(l *backlog.Log) { l.Adopt(backlog.NewLog(nil)) }, backlog.ErrReset},
		"was adopted": {0, func(l *backlog.Log) { backlog.NewLog(nil).Adopt(l) }, backlog.ErrReset},
		"outrun":      {-1, func(l *backlog.Log) { l.Append(framed(10, 0)) }, backlog.ErrTrimmed},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := backlog.NewLog(&backlog.Options{MaxBytes: c.window})
				mustAppend(t, l, framed(10, 0))
				var woken atomic.Int64
				for range 5 {
					r := mustRead(t, l, 10)
					go func() {
						if err := r.Wait(t.Context()); err != nil {
							t.Error(err)
						}
						if _, err := r.Next(math.MaxInt64); err != c.want {
							t.Errorf("got %v, want %v", err, c.want)
						}
						woken.Add(1)
					}()
					synctest.Wait()
				}
				time.Sleep(time.Hour)
				if woken.Load() != 0 {
					t.Fatal("woken for nothing")
				}
				c.wake(l)
				synctest.Wait()
				if n := woken.Load(); n != 5 {
					t.Errorf("%d of 5 readers woke", n)
				}
			})
		})
	}
}

func TestWaitEndsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := backlog.NewLog(nil)
		r := mustRead(t, l, 0)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		begun := time.Now()
		if err := r.Wait(ctx); err != context.DeadlineExceeded || time.Since(begun) != time.Minute {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
		// What is there goes first.
		mustAppend(t, l, framed(10, 0))
		if err := r.Wait(ctx); err != nil {
			t.Errorf("with a record at hand: %v", err)
		}
		r.Close()
		r.Close()
		// A closed reader is off the list, and can come back.
		<-r.Ready()
		drain(t, r)
		ready := r.Ready()
		r.Close()
		mustAppend(t, l, framed(10, 0))
		select {
		case <-ready:
			t.Error("a closed reader was woken")
		default:
		}
		drain(t, r)
		ready = r.Ready()
		mustAppend(t, l, framed(10, 0))
		<-ready
	})
}

// A value in the channel may be out of date; Wait looks again.
func TestStaleWakeUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := backlog.NewLog(nil)
		r := mustRead(t, l, 0)
		r.Ready()
		mustAppend(t, l, framed(10, 0))
		r.Ready() // the channel is full already
		drain(t, r)
		begun := time.Now()
		time.AfterFunc(time.Second, func() { l.Append(framed(10, 0)) })
		if err := r.Wait(t.Context()); err != nil || time.Since(begun) != time.Second {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
	})
}

// The limit is kept, and a reader never gets ahead of the log's end.
func TestNextKeepsLimit(t *testing.T) {
	l := backlog.NewLog(nil)
	for range 1000 {
		mustAppend(t, l, framed(100, 0))
	}
	r := mustRead(t, l, 0)
	for limit := int64(0); limit <= 100_000; limit += 700 {
		for r.Offset() < limit {
			before := r.Offset()
			if b, err := r.Next(limit); err != nil || len(b) == 0 || r.Offset() != before+int64(len(b)) || r.Offset() > limit {
				t.Fatalf("limit %d: %d bytes at %d, %v", limit, len(b), before, err)
			}
		}
		for _, n := range []int64{limit, limit - 100, 0, math.MinInt64} {
			if b, err := r.Next(n); b != nil || err != nil {
				t.Fatalf("at limit %d: %d bytes, %v", limit, len(b), err)
			}
		}
	}
}

// What was handed out stays as it is when the log goes on without it.
func TestSlicesStayValid(t *testing.T) {
	l := backlog.NewLog(&backlog.Options{MaxBytes: 2000})
	mustAppend(t, l, framed(100, 42))
	b, err := mustRead(t, l, 0).Next(math.MaxInt64)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 1000 {
		mustAppend(t, l, framed(100, byte(i)))
	}
	if string(b) != string(framed(100, 42)) {
		t.Errorf("now %x", b)
	}
}

// A log that holds nothing lets a reader wait at its end, once.
func TestReaderOfLogThatHoldsNothing(t *testing.T) {
	l := backlog.NewLog(&backlog.Options{MaxBytes: -1})
	r := mustRead(t, l, 0)
	if b, err := r.Next(math.MaxInt64); b != nil || err != nil {
		t.Errorf("at the end: %d bytes, %v", len(b), err)
	}
	ready := r.Ready()
	mustAppend(t, l, framed(10, 0))
	<-ready
	for range 2 {
		if b, err := r.Next(math.MaxInt64); b != nil || err != backlog.ErrTrimmed {
			t.Errorf("outrun: %d bytes, %v", len(b), err)
		}
	}
}

func TestSleepAndWakeAllocateNothing(t *testing.T) {
	l := backlog.NewLog(nil)
	for range 8 << 10 { // chunks are as large as they get
		mustAppend(t, l, framed(100, 0))
	}
	r := mustRead(t, l, 0)
	drain(t, r)
	record, ctx := framed(100, 0), t.Context()
	if n := testing.AllocsPerRun(1000, func() {
		ready := r.Ready()
		l.Append(record)
		<-ready
		r.Wait(ctx)
		if b, err := r.Next(math.MaxInt64); len(b) != 100 || err != nil {
			t.Fatalf("%d bytes, %v", len(b), err)
		}
	}); n != 0 {
		t.Errorf("%v allocations for a sleep, an append and a read", n)
	}
}
