package kv_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/emberkv/ember/kv"
)

// TestLoadsAtTheBound: what a map loads is kept at the bound as what is set is: a policy makes
// room for it, nothing passes the bound, and followers are told. Without a policy it is
// returned and not kept.
func TestLoadsAtTheBound(t *testing.T) {
	t.Parallel()
	const bound = 1 << 20
	n := 20_000
	if raceEnabled {
		n /= 2 // one goroutine
	}
	for _, policy := range append([]kv.Eviction{kv.NoEviction}, evicting...) {
		t.Run(policy.String(), func(t *testing.T) {
			s := open(t, &kv.Options{MaxBytes: bound, Eviction: policy, LogBytes: bound / 4})
			to := open(t, nil)
			to.SetFollower(true)
			f := followEmpty(t, s, to)
			m, err := kv.NewMap[string, []byte](s, "m:", &kv.MapOptions[string, []byte]{
				Keys: kv.Strings[string]{}, Values: kv.Bytes{}, TTL: time.Hour, LoadTimeout: -1,
				Load: func(context.Context, string) ([]byte, time.Duration, error) { return make([]byte, 100), 0, nil },
			})
			must(t, err)
			missed := 0
			for i := range n {
				k := fmt.Sprint(i)
				if v, err := m.Load(t.Context(), k); err != nil || len(v) != 100 {
					t.Fatalf("%s: %d bytes, %v", k, len(v), err)
				}
				if _, err := m.Get(k); errors.Is(err, kv.ErrNotFound) {
					missed++
				}
				f.catchUp(t)
				if i%100 == 0 {
					withinBound(t, s)
				}
			}
			withinBound(t, s)
			wantSame(t, s, to)
			st, counts := s.Stats(), m.Stats()
			if policy == kv.NoEviction {
				if st.Evictions != 0 || missed < n/2 || counts.Uncached != int64(missed) {
					t.Errorf("%d are not there at once, %d are said not to be kept: %+v", missed, counts.Uncached, st)
				}
				if err := m.Set("one more", make([]byte, 10_000)); !errors.Is(err, kv.ErrFull) {
					t.Errorf("Set: %v", err)
				}
			} else if st.Evictions == 0 || missed > 0 || counts.Uncached > 0 {
				t.Errorf("%d of %d are not there at once: %+v, %+v", missed, n, counts, st)
			}
		})
	}
}

// TestLoadsCountOnce: a Load that misses is one miss of the store's, and one that finds is one
// hit, however often the map looks.
func TestLoadsCountOnce(t *testing.T) {
	const n = 10
	s := open(t, &kv.Options{MaxBytes: 1 << 20, Eviction: kv.EvictLRU})
	m, err := kv.NewMap(s, "m:", &kv.MapOptions[string, []byte]{
		Load: func(context.Context, string) ([]byte, time.Duration, error) { return []byte("v"), 0, nil },
	})
	must(t, err)
	for range 2 {
		for i := range n {
			_, err := m.Load(t.Context(), fmt.Sprint(i))
			must(t, err)
		}
	}
	if st := s.Stats(); st.Misses != n || st.Hits != n {
		t.Errorf("%d misses and %d hits, want %d of each", st.Misses, st.Hits, n)
	}
}
