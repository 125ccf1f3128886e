package kv_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/emberkv/ember/internal/heap"
	"github.com/emberkv/ember/kv"
)

// wander writes, overwrites, deletes, gives deadlines and clears, with views open now and
// then, and calls check in between.
func wander(t *testing.T, s *kv.Store, r *rand.Rand, steps int, check func(step int)) {
	t.Helper()
	var views []*kv.Snapshot
	value := []byte(strings.Repeat("v", 3000))
	name := func() string {
		n := r.IntN(3000)
		if n%5 == 0 {
			return fmt.Sprintf("a long key that does not fit a place of the index %06d", n)
		}
		return fmt.Sprintf("key%06d", n)
	}
	for i := range steps {
		switch k := r.IntN(1000); {
		case k < 700:
			must(t, s.Set(name(), value[:r.IntN(300)]))
		case k < 720:
			must(t, s.Set(name(), value[:r.IntN(len(value))], kv.TTL(time.Hour)))
		case k < 960:
			_, err := s.Delete(name())
			must(t, err)
		case k < 980:
			_, err := s.Expire(name(), time.Hour)
			must(t, err)
		case k < 982:
			must(t, s.Set(name(), make([]byte, 200<<10)))
		case k < 984 && len(views) < 3:
			n, err := s.Snapshot()
			must(t, err)
			views = append(views, n)
		case k < 988 && len(views) > 0:
			must(t, views[0].Close())
			views = views[1:]
		case k == 999 && r.IntN(10) == 0:
			must(t, s.Clear())
		default:
			must(t, s.Update(func(tx *kv.Tx) error {
				for range 4 {
					if err := tx.Set(name(), value[:r.IntN(100)]); err != nil {
						return err
					}
				}
				return nil
			}))
		}
		if i%500 == 0 {
			check(i)
		}
	}
	for _, n := range views {
		must(t, n.Close())
	}
	check(steps)
}

// What a store counts of its memory is what there is.
func TestFootprintIsExact(t *testing.T) {
	t.Parallel()
	steps := 30_000
	if raceEnabled {
		steps = 3000
	}
	for _, opts := range []kv.Options{
		{}, {Ordered: true}, {Ordered: true, MaxBytes: 1 << 30}, {MaxBytes: 1 << 30, Eviction: kv.EvictLRU},
	} {
		t.Run(fmt.Sprintf("ordered %v, bound %d", opts.Ordered, opts.MaxBytes), func(t *testing.T) {
			s := open(t, &opts)
			wander(t, s, rand.New(rand.NewPCG(1, 2)), steps, func(i int) {
				if err := kv.WantFootprints(s); err != nil {
					t.Fatalf("step %d: %v", i, err)
				}
			})
			to := open(t, &opts)
			n, err := s.Snapshot()
			must(t, err)
			var buf bytes.Buffer
			_, err = n.WriteTo(&buf)
			must(t, err)
			must(t, n.Close())
			must(t, to.Restore(&buf))
			if err := kv.WantFootprints(to); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// Stats say what the heap says, within the rounding of what is allocated.
func TestStatsAreTheHeap(t *testing.T) {
	if raceEnabled {
		t.Skip("sizes differ")
	}
	for name, opts := range map[string]kv.Options{
		"plain": {}, "ordered": {Ordered: true}, "evicting": {MaxBytes: 1 << 30, Eviction: kv.EvictLRU},
	} {
		t.Run(name, func(t *testing.T) {
			heap.Try(t, func() error {
				grown, st := growth(t, &opts)
				d := float64(grown)/float64(st.Bytes) - 1
				if d > 0.02 || d < -0.05 {
					return fmt.Errorf("the heap has grown by %d, %.1f %% more than the %d that Stats say", grown, 100*d, st.Bytes)
				}
				return nil
			})
		})
	}
}

// growth fills a store, and returns by how much the heap has grown, and what the store says.
func growth(t *testing.T, o *kv.Options) (grown int64, st kv.Stats) {
	before := heap.Live()
	s := kv.New(o)
	defer s.Close()
	r := rand.New(rand.NewPCG(3, 4))
	value := []byte(strings.Repeat("v", 20_000))
	for i := range 60_000 {
		opts := []kv.SetOption(nil)
		if i%4 == 0 {
			opts = append(opts, kv.TTL(time.Duration(1+r.IntN(1000))*time.Hour))
		}
		must(t, s.Set(key(i*7919%40_000), value[:r.IntN(r.IntN(500)+1)], opts...))
		if i%1000 == 0 {
			must(t, s.Set(key(i), value[:r.IntN(len(value))]))
		}
	}
	grown = heap.Live() - before
	st = s.Stats()
	if sum := st.TableBytes + st.ArenaBytes + st.IndexBytes + st.DeadlineBytes + st.RetainedBytes + st.LogBytes; sum != st.Bytes {
		t.Errorf("the parts make %d, Bytes is %d", sum, st.Bytes)
	}
	if int(st.Keys) != s.Len() {
		t.Errorf("%d keys, Len is %d", st.Keys, s.Len())
	}
	runtime.KeepAlive(s)
	return grown, st
}
