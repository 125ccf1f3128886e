package kv_test

import (
	"context"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/internal/heap"
	"github.com/emberkv/ember/internal/leakcheck"
	"github.com/emberkv/ember/kv"
)

// A thousand watchers each get what concerns them, whatever their prefixes: of their
// own, shared, everything, and of many lengths.
func TestWatchThousand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, nil)
		const watchers, rounds = 1000, 5
		name := func(i int) string { return fmt.Sprintf("%0*d:", 4+i%30, i) }
		for i := range watchers {
			set(t, s, name(i)+"k", "0")
		}
		var got [watchers]atomic.Int64 // the sum of the values
		var wg sync.WaitGroup
		for i := range watchers {
			prefix := name(i)
			if i%100 == 0 {
				prefix = ""
			}
			wg.Go(func() {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				for e, err := range s.Watch(ctx, prefix, backlog.Position{}) {
					if err == context.Canceled {
						return
					}
					n, _ := strconv.Atoi(string(e.Value))
					got[i].Add(int64(n))
					if e.Kind == kv.EventDeletePrefix {
						cancel()
					}
				}
			})
		}
		synctest.Wait()
		sum := 0
		for round := range rounds {
			for i := range watchers {
				set(t, s, name(i)+"k", strconv.Itoa(i+round))
				sum += i + round
			}
			if round%2 == 0 {
				synctest.Wait() // parked again
			}
		}
		must(t, s.Clear())
		wg.Wait()
		for i := range watchers {
			want := rounds*i + rounds*(rounds-1)/2
			if i%100 == 0 {
				want = sum
			}
			if got[i].Load() != int64(want) {
				t.Fatalf("watcher %d got %d, want %d", i, got[i].Load(), want)
			}
		}
	})
}

// A watcher that falls behind reads the log by itself, misses nothing, and is told how
// far it is behind; one that the log outruns is reset, and has what there is then.
func TestWatchSlowly(t *testing.T) {
	s, tight := open(t, nil), open(t, &kv.Options{LogBytes: 1 << 20})
	for _, store := range []*kv.Store{s, tight} {
		w := watch(t, store, "", backlog.Position{})
		w.want("synced *")
		const writes = 50_000 // more than the ring
		for i := range writes {
			set(t, store, key(i%1000), strconv.Itoa(i))
		}
		v := view{}
		if store == tight {
			w.want("reset: trimmed")
		} else {
			for i := range writes {
				e := w.event()
				if v.apply(e); string(e.Value) != strconv.Itoa(i) || e.Behind != s.Position().Offset-e.Position.Offset {
					t.Fatalf("event %d is %s, %d behind", i, describe(e), e.Behind)
				}
				if i == writes/2 { // beside the ring
					set(t, store, "k", "last")
				}
			}
		}
		for e := w.event(); ; e = w.event() {
			v.apply(e)
			if e.Kind == kv.EventSynced || e.Key == "k" {
				break
			}
		}
		wantSameView(t, v, withPrefix(store, ""))
		// Level again, by the ring.
		set(t, store, "k", "level")
		w.want("put k=level *")
	}
}

func wantSameView(t *testing.T, got, want view) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d keys, want %d", len(got), len(want))
	}
	for k, v := range want {
		if got[k] != v {
			t.Fatalf("%q = %q, want %q", k, got[k], v)
		}
	}
}

// Watchers that take nothing, whether in the middle of the contents or of changes, hold
// up neither writers nor other watchers, and memory does not grow with them.
func TestWatchStuck(t *testing.T) {
	heap.Try(t, func() error { return watchStuck(t) })
}

func watchStuck(t *testing.T) error {
	s := open(t, &kv.Options{LogBytes: 64 << 10})
	const keys, size = 500, 1000
	round := func() {
		for i := range keys {
			must(t, s.Set(key(i), make([]byte, size)))
		}
	}
	round()
	before := heap.Live()
	const stuck = 100
	for i := range stuck {
		watch(t, s, "", backlog.Position{}).event() // in the middle of the contents
		w := watch(t, s, "", s.Position())          // of changes
		w.want("synced *")
		set(t, s, "k", "v")
		w.event()
		if i%5 == 0 {
			round()
		}
	}
	for range 5 {
		round()
	}
	wantNoViews(t, s)
	// The contents are half a MB: a copy of them for each round would be 13, for each
	// watcher that is stuck 50.
	after := heap.Live()
	w := watch(t, s, "new", s.Position())
	w.want("synced *")
	set(t, s, "new", "1")
	w.want("put new=1 *")
	if after > before+4<<20 {
		return fmt.Errorf("%d KB with %d watchers that are stuck, %d KB before", after>>10, 2*stuck, before>>10)
	}
	return nil
}

// Watchers that come together, and while others are at the contents, share snapshots,
// and still have everything that was written before them when they are synced.
func TestWatchersShareSnapshots(t *testing.T) {
	s := open(t, nil)
	for i := range 1000 {
		set(t, s, key(i), "0")
	}
	var watchers []*watcher
	var views []view
	for i := range 20 {
		w, v := watch(t, s, "", backlog.Position{}), view{}
		v.apply(w.event())
		watchers, views = append(watchers, w), append(views, v)
		set(t, s, key(i), "1")
	}
	if n := kv.Views(s); n == 0 || n > 4*kv.TableShards {
		t.Errorf("%d views of shards are held", n)
	}
	for i, w := range watchers {
		for e := w.event(); e.Kind != kv.EventSynced; e = w.event() {
			views[i].apply(e)
		}
		for k := range i {
			if views[i][key(k)] != "1" {
				t.Fatalf("watcher %d misses write %d", i, k)
			}
		}
	}
	if n := kv.Views(s); n != 0 {
		t.Errorf("%d views of shards are held", n)
	}
}

// A store that is closed ends every watch, wherever it is.
func TestWatchEndsWithTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kv.New(nil)
		for i := range 1000 {
			set(t, s, key(i), "1")
		}
		ahead := s.Position()
		ahead.Offset = 1 << 40
		errs := make(chan error)
		for _, from := range []backlog.Position{{}, s.Position(), ahead} {
			go func() {
				var err error
				for _, err = range s.Watch(t.Context(), "", from) {
				}
				errs <- err
			}()
		}
		synctest.Wait()
		contents, changes := watch(t, s, "", backlog.Position{}), watch(t, s, "", s.Position())
		contents.event()
		changes.want("synced *")
		set(t, s, "k", "1")
		changes.want("put k=1 *")
		for i := range 3000 {
			set(t, s, key(i), "2")
		}
		synctest.Wait()
		must(t, s.Close())
		for range 3 {
			if err := <-errs; err != kv.ErrClosed {
				t.Errorf("%v", err)
			}
		}
		// Those that are behind hand out what they hold, and no more.
		for _, w := range []*watcher{contents, changes} {
			var err error
			left := 1024
			for ; err == nil && left >= 0; left-- {
				_, err, _ = w.next()
			}
			if err != kv.ErrClosed {
				t.Errorf("%v, %d events later", err, 1024-left)
			}
		}
		watch(t, s, "", backlog.Position{}).wantError(kv.ErrClosed)
	})
}

// A loop that is left, by whatever way, leaves nothing behind: no goroutine, no
// snapshot. The bubble would not end with a goroutine in it.
func TestWatchLetsGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, nil)
		for i := range 1000 {
			set(t, s, key(i), "1")
		}
		before := leakcheck.Bubbled(t)
		for range s.Watch(t.Context(), "", backlog.Position{}) {
			break
		}
		func() {
			defer func() { recover() }()
			for range s.Watch(t.Context(), "", backlog.Position{}) {
				panic("the loop's body")
			}
		}()
		seq := s.Watch(t.Context(), "", s.Position())
		for range 2 { // each loop is a watch of its own
			for e := range seq {
				if e.Kind != kv.EventSynced {
					t.Errorf("%s", describe(e))
				}
				break
			}
		}
		if n := kv.Views(s); n != 0 {
			t.Errorf("%d views of shards are held", n)
		}
		synctest.Wait() // for those that are about to end
		if n := leakcheck.Bubbled(t); n > before {
			t.Errorf("%d goroutines, before there were %d", n, before)
		}
	})
}

// The loop's body may write to the store, and watch it.
func TestWatchNested(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, nil)
		set(t, s, "0", "")
		depth := 0
		var nested func()
		nested = func() {
			for e, err := range s.Watch(t.Context(), "", backlog.Position{}) {
				must(t, err)
				if e.Kind != kv.EventPut || e.Key != strconv.Itoa(depth) {
					continue
				}
				if depth++; depth < 10 {
					set(t, s, strconv.Itoa(depth), "")
					_, err := s.Digest()
					must(t, err)
					nested()
				}
				break
			}
		}
		nested()
		if depth != 10 {
			t.Errorf("depth %d", depth)
		}
	})
}

// Watchers come and go while others stay and writers write.
func TestWatchComeAndGo(t *testing.T) {
	s := open(t, nil)
	var wg sync.WaitGroup
	ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
	defer cancel()
	wg.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			set(t, s, key(i%100), "v")
			if i%50 == 0 {
				runtime.Gosched()
			}
		}
	})
	for worker := range 8 {
		wg.Go(func() {
			at := backlog.Position{}
			for n := 0; ctx.Err() == nil; n++ {
				left := 1 + n*(worker+1)%200
				for e, err := range s.Watch(ctx, key(worker)[:14], at) {
					if err != nil {
						if err != context.DeadlineExceeded {
							t.Error(err)
						}
						break
					}
					if e.Kind == kv.EventReset {
						t.Errorf("%s at %v, from %v", describe(e), e.Position, at)
					}
					if e.Last && e.Kind != kv.EventSynced && e.Position.Offset <= at.Offset {
						t.Errorf("%s at %v, from %v", describe(e), e.Position, at)
					}
					if e.Last {
						at = e.Position
					}
					if left--; left <= 0 {
						break
					}
				}
			}
		})
	}
	wg.Wait()
}
