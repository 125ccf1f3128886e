package kv_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/rdb"
)

// TestWatchIsSyncedBeforeTheHub: a watcher that stands where the decoder for all stands,
// which is behind the log, hears that it has come to the log's end though nothing there
// concerns it.
func TestWatchIsSyncedBeforeTheHub(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // or the decoder has gone on
	synctest.Test(t, func(t *testing.T) {
		s := open(t, nil)
		set(t, s, "mine", "1")
		watch(t, s, "", s.Position()).want("synced *")
		for range 20 {
			synctest.Wait()
			from := s.Position()
			set(t, s, "other", "1")
			if e := watch(t, s, "mine", from).want("synced *"); e.Position != s.Position() {
				t.Fatalf("synced at %s, the log ends at %s", e.Position, s.Position())
			}
		}
	})
}

// TestWatchIsSyncedAfterADrop: the end of a log that was replaced is not waited for.
func TestWatchIsSyncedAfterADrop(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for i := range 3000 {
		spins, before := r.IntN(30000), r.IntN(30000)
		synctest.Test(t, func(t *testing.T) {
			s := open(t, nil)
			for range 3 {
				set(t, s, "k", fmt.Sprint(i))
			}
			idle := watch(t, s, "nothing", s.Position())
			idle.want("synced *")
			synctest.Wait()
			done := make(chan error)
			var n, begun atomic.Int64
			go func() {
				begun.Store(1)
				for range spins {
					n.Load()
				}
				done <- s.Drop(rdb.Header{})
			}()
			for begun.Load() == 0 {
				runtime.Gosched()
			}
			for range before {
				n.Load()
			}
			w := watch(t, s, "k", backlog.Position{})
			for w.event().Kind != kv.EventSynced {
			}
			must(t, <-done)
		})
	}
}

// A countingContext ends when it was asked so often.
type countingContext struct {
	context.Context
	left atomic.Int64
}

func (c *countingContext) Err() error {
	if c.left.Add(-1) < 0 {
		return context.Canceled
	}
	return nil
}

// TestWatchLooksForNothing: a search of the contents that finds nothing ends with the
// watcher's context, not with the contents.
func TestWatchLooksForNothing(t *testing.T) {
	s := open(t, nil)
	for i := range 1000 {
		set(t, s, fmt.Sprint(i), "")
	}
	c := &countingContext{Context: t.Context()}
	c.left.Store(10)
	for e, err := range s.Watch(c, "nothing", backlog.Position{}) {
		if err != context.Canceled {
			t.Fatalf("%q, %v, want %v", describe(e), err, context.Canceled)
		}
	}
}
