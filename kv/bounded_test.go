package kv_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emberkv/ember/kv"
)

// fill writes keys of about 120 bytes until the store has evicted some, or refuses one.
func fill(t *testing.T, s *kv.Store, opts ...kv.SetOption) (n int) {
	t.Helper()
	value := []byte(strings.Repeat("v", 100))
	for ; s.Stats().Evictions < 100; n++ {
		if err := s.Set(key(n), value, opts...); errors.Is(err, kv.ErrFull) {
			return n
		} else if err != nil {
			t.Fatal(err)
		}
	}
	return n
}

func TestWritesAreRefusedAtTheBound(t *testing.T) {
	s := open(t, &kv.Options{MaxBytes: 1 << 20})
	n := fill(t, s)
	if st := s.Stats(); n < 4000 || st.Bytes < st.MaxBytes*9/10-st.MaxBytes/16 || st.Evictions > 0 {
		t.Fatalf("%d keys: %+v", n, st)
	}
	withinBound(t, s)
	big := make([]byte, 5000)
	rest := 0
	for ; !errors.Is(s.Set(fmt.Sprint("rest", rest), big), kv.ErrFull); rest++ {
		if rest > 100 {
			t.Fatal("there is room for many more")
		}
	}
	for i := 0; ; i++ {
		_, err := s.CompareAndSwap(key(i), []byte(strings.Repeat("v", 100)), big)
		if errors.Is(err, kv.ErrFull) {
			break
		} else if err != nil || i > 100 {
			t.Fatalf("CompareAndSwap returned %v, %d times", err, i)
		}
	}
	another := fmt.Sprint("rest", rest)
	before := digest(t, s)
	for name, write := range map[string]func() error{
		"Set":    func() error { return s.Set(another, big) },
		"Update": func() error { return s.Update(func(tx *kv.Tx) error { return tx.Set(another, big) }) },
		"Pipeline": func() error {
			p := s.Pipeline()
			must(t, p.Set(another, big))
			_, err := p.Exec()
			return err
		},
	} {
		if err := write(); !errors.Is(err, kv.ErrFull) {
			t.Errorf("%s returned %v, want ErrFull", name, err)
		}
	}
	if after := digest(t, s); after != before {
		t.Errorf("a write that was refused changed %v to %v", before, after)
	}
	// What is deleted makes room, though its bytes lie scattered.
	for i := 0; i < n; i += 2 {
		_, err := s.Delete(key(i))
		must(t, err)
	}
	for i := range n / 3 {
		must(t, s.Set("again:"+key(i), make([]byte, 80)))
	}
	withinBound(t, s)
	wantTrueDigest(t, s)
}

func TestWhatCannotFit(t *testing.T) {
	t.Parallel()
	for _, policy := range append([]kv.Eviction{kv.NoEviction}, evicting...) {
		s := open(t, &kv.Options{MaxBytes: 1 << 20, Eviction: policy})
		n := fill(t, s, kv.TTL(time.Hour))
		before, st := digest(t, s), s.Stats()
		if err := s.Set("big", make([]byte, 1<<20)); !errors.Is(err, kv.ErrTooLarge) {
			t.Errorf("%v: Set returned %v, want ErrTooLarge", policy, err)
		}
		err := s.Update(func(tx *kv.Tx) error {
			for i := range 200 {
				if err := tx.Set(fmt.Sprint(i), make([]byte, 10_000)); err != nil {
					return err
				}
			}
			return nil
		})
		if !errors.Is(err, kv.ErrTooLarge) {
			t.Errorf("%v: Update returned %v, want ErrTooLarge", policy, err)
		}
		if after := digest(t, s); after != before || s.Stats().Evictions != st.Evictions {
			t.Errorf("%v: %d keys, %+v became %+v", policy, n, before, after)
		}
		if policy == kv.NoEviction {
			continue
		}
		// Most of the bound can be one value.
		must(t, s.Set("big", make([]byte, 400<<10)))
		withinBound(t, s)
		for i := range 2000 {
			must(t, s.Set(key(i), make([]byte, 100), kv.TTL(time.Hour)))
			withinBound(t, s)
		}
	}
}

func TestBoundBelowTheFixedCost(t *testing.T) {
	for _, opts := range []kv.Options{
		{MaxBytes: 1}, {MaxBytes: kv.MinMaxBytes - 1, Eviction: kv.EvictLRU},
		{MaxBytes: 1 << 20, LogBytes: 1 << 20}, {MaxBytes: 1 << 20, Eviction: 99},
	} {
		s := open(t, &opts)
		var invalid *kv.InvalidError
		if err := s.Set("k", nil); !errors.As(err, &invalid) {
			t.Errorf("%+v: Set returned %v", opts, err)
		}
		if err := s.Update(func(tx *kv.Tx) error { return tx.Set("k", nil) }); !errors.As(err, &invalid) {
			t.Errorf("%+v: Update returned %v", opts, err)
		}
		if ok, err := s.Delete("k"); ok || err != nil {
			t.Errorf("%+v: Delete returned %v, %v", opts, ok, err)
		}
	}
}

// A transaction that needs room does not take it from what it reads or writes.
func TestTransactionsSpareTheirKeys(t *testing.T) {
	t.Parallel()
	rounds := 100
	if raceEnabled {
		rounds = 20 // one goroutine
	}
	for _, policy := range evicting {
		s := open(t, &kv.Options{MaxBytes: 1 << 20, Eviction: policy})
		n := fill(t, s, kv.TTL(time.Hour))
		r := rand.New(rand.NewPCG(1, 2))
		for round := range rounds {
			var read []string
			for len(read) < 20 {
				if k := key(n - 1 - r.IntN(n)); hasKey(t, s, k) {
					read = append(read, k)
				}
			}
			runs := 0
			must(t, s.Update(func(tx *kv.Tx) error {
				runs++
				for _, k := range read {
					if _, err := tx.Get(k); err != nil {
						return fmt.Errorf("round %d, run %d: %w", round, runs, err)
					}
				}
				for i := range 40 {
					if err := tx.Set(fmt.Sprint("tx", round, ".", i), make([]byte, 3000), kv.TTL(time.Hour)); err != nil {
						return err
					}
				}
				return nil
			}))
			if runs != 1 {
				t.Errorf("%v: the function ran %d times, and nobody else writes", policy, runs)
			}
			for i := range 40 {
				if k := fmt.Sprint("tx", round, ".", i); !hasKey(t, s, k) {
					t.Fatalf("%v: %s was evicted by its own transaction", policy, k)
				}
			}
			withinBound(t, s)
		}
		wantTrueDigest(t, s)
	}
}

func hasKey(t *testing.T, s *kv.Store, key string) bool {
	t.Helper()
	ok, err := s.Has(key)
	must(t, err)
	return ok
}

// While a snapshot holds everything nothing can be freed: writes are refused rather than
// the store emptied in vain, and go on afterwards.
func TestSnapshotWhileEvicting(t *testing.T) {
	t.Parallel()
	writes := 20_000
	if raceEnabled {
		writes = 5000 // one goroutine
	}
	for _, policy := range evicting {
		s := open(t, &kv.Options{MaxBytes: 1 << 20, Eviction: policy, Ordered: true})
		fill(t, s, kv.TTL(time.Hour))
		n, err := s.Snapshot()
		must(t, err)
		evicted, refused := s.Stats().Evictions, 0
		for i := range writes {
			switch err := s.Set("more:"+key(i), make([]byte, 100), kv.TTL(time.Minute)); {
			case errors.Is(err, kv.ErrFull):
				refused++
			case err != nil:
				t.Fatal(err)
			}
			if i%100 == 0 {
				withinBound(t, s)
			}
		}
		st := s.Stats()
		t.Logf("%v: %d refused, %d evicted: %+v", policy, refused, st.Evictions-evicted, st)
		if st.Keys < 500 {
			t.Errorf("%v: %d keys are left beside the snapshot", policy, st.Keys)
		}
		if d := recount(t, n); d != n.Digest() {
			t.Errorf("%v: contents %+v, the snapshot says %+v", policy, d, n.Digest())
		}
		must(t, n.Close())
		for i := range 3000 {
			must(t, s.Set("after:"+key(i), make([]byte, 100), kv.TTL(time.Minute)))
		}
		withinBound(t, s)
		if err := kv.WantFootprints(s); err != nil {
			t.Errorf("%v: %v", policy, err)
		}
	}
}

// A store that has followed a larger one comes down to its bound by and by.
func TestPromotionAboveTheBound(t *testing.T) {
	t.Parallel()
	bound, keys := int64(4<<20), 60_000
	if raceEnabled {
		bound, keys = bound/4, keys/4 // one goroutine
	}
	for _, policy := range evicting {
		from := open(t, nil)
		to := open(t, &kv.Options{MaxBytes: bound, Eviction: policy})
		to.SetFollower(true)
		f := followEmpty(t, from, to)
		for i := range keys {
			must(t, from.Set(key(i), make([]byte, 100), kv.TTL(time.Hour)))
		}
		f.catchUp(t)
		wantSame(t, from, to)
		st := to.Stats()
		if st.Bytes < 2*st.MaxBytes || st.Evictions > 0 {
			t.Fatalf("%v: %+v", policy, st)
		}
		to.SetFollower(false)
		writes := 0
		for last := int64(0); to.Stats().Bytes > st.MaxBytes; writes++ {
			must(t, to.Set(key(100_000+writes), make([]byte, 100), kv.TTL(time.Hour)))
			now := to.Stats().Evictions
			if now-last > 6000 {
				t.Fatalf("%v: one write evicted %d keys", policy, now-last)
			}
			if last = now; writes > 100_000 {
				t.Fatalf("%v: after %d writes: %+v", policy, writes, to.Stats())
			}
		}
		t.Logf("%v: %d writes", policy, writes)
		wantTrueDigest(t, to)
	}
}

// Nothing is evicted while the gate is closed.
func TestGateStopsEviction(t *testing.T) {
	s := open(t, &kv.Options{MaxBytes: 1 << 20, Eviction: kv.EvictLRU})
	fill(t, s)
	closed := errors.New("closed")
	s.Log().SetGate(func() error { return closed })
	before := digest(t, s)
	for i := range 100 {
		if err := s.Set(fmt.Sprint("k", i), make([]byte, 10_000)); err != closed {
			t.Fatalf("Set returned %v", err)
		}
	}
	if after := digest(t, s); after != before {
		t.Errorf("%+v became %+v", before, after)
	}
	s.Log().SetGate(nil)
	must(t, s.Set("k", make([]byte, 10_000)))
	wantTrueDigest(t, s)
}

func TestWatchersSeeEvictions(t *testing.T) {
	s := open(t, &kv.Options{MaxBytes: 1 << 20, Eviction: kv.EvictLRU, LogBytes: 256 << 10})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	from := s.Position()
	n := 0
	for s.Stats().Evictions == 0 {
		set(t, s, key(n), strings.Repeat("v", 100))
		if n++; n%100 == 0 {
			from = s.Position()
		}
	}
	for e, err := range s.Watch(ctx, "", from) {
		must(t, err)
		if e.Kind == kv.EventEvict {
			return
		}
	}
	t.Error("no event")
}

// Writers and readers together: the bound holds at any moment, and what it counts is exact.
func TestBoundHoldsUnderConcurrentLoad(t *testing.T) {
	for _, policy := range evicting {
		s := open(t, &kv.Options{MaxBytes: 2 << 20, Eviction: policy, Ordered: policy == kv.EvictLFU})
		var wg sync.WaitGroup
		steps := 10_000
		if raceEnabled {
			steps = 1500
		}
		for g := range 4 {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(uint64(g), 1))
				value := make([]byte, 50_000)
				for range steps {
					if err := randomLoad(s, r, 50_000, value); err != nil {
						t.Errorf("%v: %v", policy, err)
						return
					}
				}
			})
		}
		done := make(chan struct{})
		go func() { wg.Wait(); close(done) }()
		for running := true; running; {
			select {
			case <-done:
				running = false
			default:
				if st := s.Stats(); st.Bytes > st.MaxBytes+st.MaxBytes/50 {
					t.Errorf("%v: %.2f %% of the bound: %+v", policy, 100*float64(st.Bytes)/float64(st.MaxBytes), st)
				}
			}
		}
		wantTrueDigest(t, s)
		if err := kv.WantFootprints(s); err != nil {
			t.Errorf("%v: %v", policy, err)
		}
	}
}

func TestReadsUnderAPolicyDoNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("counts differ")
	}
	for _, policy := range evicting {
		s := open(t, &kv.Options{MaxBytes: 1 << 20, Eviction: policy})
		n := fill(t, s, kv.TTL(time.Hour))
		k, i := newKeyMaker(), 0
		if allocs := testing.AllocsPerRun(2000, func() { i++; s.Get(k.key(i % n)) }); allocs != 0 {
			t.Errorf("%v: Get allocates %v times", policy, allocs)
		}
		if allocs := testing.AllocsPerRun(2000, func() { i++; must(t, s.Set(k.key(i), make([]byte, 0), kv.TTL(time.Hour))) }); allocs >= 1 {
			t.Errorf("%v: Set allocates %v times", policy, allocs)
		}
	}
}
