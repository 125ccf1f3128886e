package kv_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/emberkv/ember/internal/heap"
	"github.com/emberkv/ember/kv"
)

var evicting = []kv.Eviction{kv.EvictLRU, kv.EvictLFU, kv.EvictTTL}

// withinBound fails when a store takes more than 2 % above its bound.
func withinBound(t *testing.T, s *kv.Store) {
	t.Helper()
	if st := s.Stats(); st.Bytes > st.MaxBytes+st.MaxBytes/50 {
		t.Fatalf("%.2f %% of the bound: %+v", 100*float64(st.Bytes)/float64(st.MaxBytes), st)
	}
}

// randomLoad makes a random write. It returns what Set returned.
func randomLoad(s *kv.Store, r *rand.Rand, keys int, value []byte) error {
	size := 20 + r.IntN(200)
	switch r.IntN(200) {
	case 0:
		size = r.IntN(len(value))
	case 1:
		_, err := s.Delete(key(r.IntN(keys)))
		return err
	case 2:
		_, err := s.Expire(key(r.IntN(keys)), time.Hour)
		return err
	case 3:
		return s.Update(func(tx *kv.Tx) error {
			for range 3 {
				if err := tx.Set(key(r.IntN(keys)), value[:size], kv.TTL(time.Hour)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if r.IntN(3) == 0 {
		_, err := s.Get(key(r.IntN(keys)))
		if !errors.Is(err, kv.ErrNotFound) && err != nil {
			return err
		}
	}
	return s.Set(key(r.IntN(keys)), value[:size], kv.TTL(time.Duration(1+r.IntN(100))*time.Minute))
}

// Under random load at the limit the bytes stay within the bound, and a follower the same.
func TestBoundHoldsUnderRandomLoad(t *testing.T) {
	t.Parallel()
	bounds := []int64{kv.MinMaxBytes, 1 << 20, 8 << 20}
	if raceEnabled {
		bounds = bounds[:2] // one goroutine: the largest is most of the steps, and no other code
	}
	for _, policy := range evicting {
		for _, bound := range bounds {
			for _, ordered := range []bool{false, true} {
				t.Run(fmt.Sprintf("%v, %d KiB, ordered %v", policy, bound>>10, ordered), func(t *testing.T) {
					s := open(t, &kv.Options{MaxBytes: bound, Eviction: policy, Ordered: ordered, LogBytes: bound / 4})
					to := open(t, nil)
					to.SetFollower(true)
					f := followEmpty(t, s, to)
					r := rand.New(rand.NewPCG(uint64(bound), uint64(policy)))
					value := make([]byte, bound/16)
					keys, steps := int(bound/50), 5000
					if raceEnabled {
						steps = 2000
					}
					for i := range max(steps, int(bound/250)) {
						if err := randomLoad(s, r, keys, value); err != nil {
							t.Fatalf("step %d: %v: %+v", i, err, s.Stats())
						}
						f.catchUp(t)
						if i%50 == 0 {
							withinBound(t, s)
						}
					}
					f.catchUp(t)
					wantSame(t, s, to)
					if err := kv.WantFootprints(s); err != nil {
						t.Error(err)
					}
					st := s.Stats()
					t.Logf("%+v", st)
					if st.Evictions == 0 || st.Bytes < bound*80/100 {
						t.Errorf("%d evictions, %d bytes of %d are used", st.Evictions, st.Bytes, bound)
					}
				})
			}
		}
	}
}

// A transaction that writes the keys whose deadlines come first makes room by others.
func TestEvictTTLBesidesATransaction(t *testing.T) {
	t.Parallel()
	s := open(t, &kv.Options{MaxBytes: 1 << 20, Eviction: kv.EvictTTL})
	deadline := time.Now().Add(time.Hour)
	const keys = 20_000
	for i := range keys { // until the bound is reached, and the first ones go
		must(t, s.Set(key(i), make([]byte, 100), kv.ExpireAt(deadline.Add(time.Duration(i)*time.Second))))
	}
	held := s.Len()
	var renewed []string
	for i := 0; len(renewed) < held/4; i++ {
		if ok, _ := s.Has(key(i)); ok {
			renewed = append(renewed, key(i))
		}
	}
	must(t, s.Update(func(tx *kv.Tx) error {
		for _, k := range renewed {
			if err := tx.Set(k, make([]byte, 110), kv.TTL(48*time.Hour)); err != nil {
				return err
			}
		}
		return nil
	}))
	for _, k := range renewed {
		if ok, _ := s.Has(k); !ok {
			t.Fatalf("%s is not there", k)
		}
	}
	withinBound(t, s)
}

// The heap stays within the bound, too.
func TestBoundIsTheHeap(t *testing.T) {
	if raceEnabled {
		t.Skip("sizes differ")
	}
	const bound = 16 << 20
	for _, policy := range evicting {
		t.Run(policy.String(), func(t *testing.T) {
			heap.Try(t, func() error {
				r, value := rand.New(rand.NewPCG(1, 2)), make([]byte, 100_000)
				before := heap.Live()
				s := kv.New(&kv.Options{MaxBytes: bound, Eviction: policy})
				defer s.Close()
				for i := range 150_000 {
					must(t, randomLoad(s, r, 300_000, value))
					if i%50_000 == 49_999 {
						if grown := heap.Live() - before; grown > bound+bound/50 {
							return fmt.Errorf("the heap has grown by %d, %.1f %% of the bound: %+v", grown, 100*float64(grown)/bound, s.Stats())
						}
					}
				}
				return nil
			})
		})
	}
}
