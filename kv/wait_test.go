package kv_test

import (
	"context"
	"errors"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/kv"
)

// What was written there can be read here once Wait has returned, and not before.
func TestWaitReadsYourWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, to := open(t, nil), open(t, nil)
		to.SetFollower(true)
		f := followEmpty(t, s, to)
		set(t, s, "k", "v")
		pos := s.Position()
		must(t, s.Wait(t.Context(), pos))

		var wg sync.WaitGroup
		var woken atomic.Bool
		for range 3 {
			wg.Go(func() {
				if err := to.Wait(t.Context(), pos); err != nil {
					t.Error(err)
				}
				woken.Store(true)
				wantValue(t, to, "k", "v")
			})
			synctest.Wait()
		}
		if woken.Load() {
			t.Fatal("Wait has returned before the write was applied")
		}
		f.catchUp(t)
		wg.Wait()
		must(t, to.Wait(t.Context(), pos))
		must(t, to.Wait(t.Context(), backlog.Position{}))
	})
}

func TestWaitEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kv.New(nil)
		ahead := s.Position()
		ahead.Offset = 1 << 40
		unknown := backlog.Position{History: backlog.NewHistory()}
		for _, pos := range []backlog.Position{ahead, unknown} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			if err := s.Wait(ctx, pos); err != context.DeadlineExceeded {
				t.Errorf("%v: %v", pos, err)
			}
			cancel()
		}
		var invalid *kv.InvalidError
		if err := s.Wait(t.Context(), backlog.Position{Offset: -1}); !errors.As(err, &invalid) {
			t.Errorf("negative offset: %v", err)
		}
		errs := make(chan error)
		go func() { errs <- s.Wait(t.Context(), ahead) }()
		synctest.Wait()
		must(t, s.Close())
		if err := <-errs; err != kv.ErrClosed {
			t.Errorf("closed: %v", err)
		}
	})
}

// A position of an earlier history is here up to the fork, and lost beyond it; one of
// a history that is not known yet is waited for.
func TestWaitAcrossHistories(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, to := open(t, nil), open(t, nil)
		set(t, s, "k", "v")
		old := s.Position()
		next := backlog.NewHistory()
		errs := make(chan error)
		go func() { errs <- s.Wait(t.Context(), backlog.Position{History: next, Offset: old.Offset + 1}) }()
		synctest.Wait()
		s.Log().Fork(next)
		must(t, s.Wait(t.Context(), old))
		old.Offset++
		if err := s.Wait(t.Context(), old); !errors.Is(err, kv.ErrLost) {
			t.Errorf("beyond the fork: %v", err)
		}
		set(t, s, "k", "w")
		must(t, <-errs)

		// By a full copy a history becomes known, too.
		go func() { errs <- to.Wait(t.Context(), s.Position()) }()
		synctest.Wait()
		fullCopy(t, s, to)
		must(t, <-errs)
	})
}

// A write of this store is visible when Wait returns for a position that covers it,
// though the position can be read before. Overwriting a large value takes long enough
// in between, for its sum has to be computed.
func TestWaitCoversWritesUnderWay(t *testing.T) {
	s := open(t, &kv.Options{LogBytes: -1})
	big := make([]byte, 16<<20)
	for round := range 3 {
		must(t, s.Set("k", big))
		before := s.Position()
		var writer sync.WaitGroup
		writer.Go(func() { set(t, s, "k", strconv.Itoa(round)) })
		for s.Position() == before {
			runtime.Gosched()
		}
		must(t, s.Wait(t.Context(), s.Position()))
		wantValue(t, s, "k", strconv.Itoa(round))
		writer.Wait()
	}
}
