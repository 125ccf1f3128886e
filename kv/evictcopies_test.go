package kv_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/emberkv/ember/kv"
)

// applyUpTo applies what the log has up to an offset.
func (f *follower) applyUpTo(tb testing.TB, offset int64) {
	tb.Helper()
	for f.reader.Offset() < offset {
		at := f.log.Position()
		at.Offset = f.reader.Offset()
		records, err := f.reader.Next(offset)
		must(tb, err)
		must(tb, f.to.Apply(at, records))
	}
}

// TestCopiesOfABoundedStore: while four writers keep a store at its bound and it evicts for
// them, a replica and a replica of that have, at each position that is looked at, exactly
// what it had there; and its bytes never pass the bound by more than 2 %.
func TestCopiesOfABoundedStore(t *testing.T) {
	const (
		bound  = 4 << 20
		window = bound / 4 // of the log: more than all writers write
		keys   = 60_000
	)
	const steps = 600
	seeds := 21
	if raceEnabled {
		seeds = 3
	}
	for seed := range seeds {
		policy := evicting[seed%len(evicting)]
		t.Run(fmt.Sprint(policy, seed), func(t *testing.T) {
			s := open(t, &kv.Options{MaxBytes: bound, LogBytes: window, Eviction: policy, Ordered: seed%2 == 0})
			r, value := rand.New(rand.NewPCG(uint64(seed), 0)), make([]byte, 20_000)
			for s.Stats().Evictions == 0 {
				must(t, randomLoad(s, r, keys, value))
			}
			replica, below := open(t, nil), open(t, &kv.Options{MaxBytes: bound / 2, Eviction: policy})
			first := fullCopy(t, s, replica)
			second := fullCopy(t, replica, below)

			var wg sync.WaitGroup
			var running atomic.Int32
			looked := []chan struct{}{make(chan struct{}), make(chan struct{})} // closed by the first two comparisons
			for g := range 4 {
				running.Add(1)
				wg.Go(func() {
					defer running.Add(-1)
					r := rand.New(rand.NewPCG(uint64(seed), uint64(1+g)))
					for i := range steps {
						if i == steps/3 || i == 2*steps/3 { // each third is compared meanwhile
							select {
							case <-looked[3*i/steps-1]:
							case <-t.Context().Done():
								return
							}
						}
						if err := randomLoad(s, r, keys, value); err != nil {
							t.Errorf("step %d: %v", i, err)
							return
						}
						if st := s.Stats(); st.Bytes > bound+bound/50 {
							t.Errorf("step %d: %.2f %% of the bound: %+v", i, 100*float64(st.Bytes)/bound, st)
							return
						}
					}
				})
			}
			compared := 0
			for last := false; !last; compared++ {
				last = running.Load() == 0
				d := digest(t, s)
				first.applyUpTo(t, d.Position.Offset)
				second.applyUpTo(t, d.Position.Offset)
				for name, c := range map[string]*kv.Store{"replica": replica, "replica's replica": below} {
					if got := digest(t, c); got != d {
						t.Fatalf("the %s has %+v, the store had %+v", name, got, d)
					}
				}
				if compared < len(looked) {
					close(looked[compared])
				}
			}
			wg.Wait()
			wantSame(t, s, replica)
			wantSame(t, s, below)
			if err := kv.WantFootprints(s); err != nil {
				t.Error(err)
			}
			if st := s.Stats(); st.Evictions < 500 || compared < 3 {
				t.Errorf("%d positions were compared; %+v", compared, st)
			}
		})
	}
}
