package kv_test

import (
	"context"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emberkv/ember/kv"
)

// A source of numbers that only grow, and what of them every reader must have seen: what was
// in the source when a write of the cache, by whoever changed the source, has returned.
type growing struct {
	is, seen [4]atomic.Int64
}

func (g *growing) load(_ context.Context, k int) (string, time.Duration, error) {
	n := g.is[k].Load()
	switch {
	case n%7 == 0:
		return "", 0, kv.ErrNotFound
	case n%11 == 0:
		time.Sleep(100 * time.Microsecond)
	}
	return strconv.FormatInt(n, 10), 0, nil
}

// change changes a number, and then what the cache has of it, in one of many ways.
func (g *growing) change(m *kv.Map[int, string], k, how int) error {
	n := g.is[k].Add(1)
	var err error
	switch {
	case how == 0 && n%7 != 0:
		err = m.Set(k, strconv.FormatInt(n, 10))
	case how == 1 && n%7 != 0:
		_, err = m.Update(k, func(string, bool) (string, error) { return strconv.FormatInt(n, 10), nil })
	case how == 2:
		_, err = m.Clear()
	default:
		_, err = m.Delete(k)
	}
	g.seen[k].Store(n)
	return err
}

// Whoever changes the source and then the cache is never followed by a reader that gets what
// was before, whatever loads and refreshes are under way.
func TestMapIsCoherent(t *testing.T) {
	for _, opts := range []kv.MapOptions[int, string]{
		{},
		{MaxLoads: 1},
		{RefreshAfter: time.Millisecond},
		{NegativeTTL: time.Millisecond, RefreshAfter: time.Millisecond, TTL: 2 * time.Millisecond},
	} {
		var g growing
		opts.Load, opts.LoadTimeout = g.load, -1
		m := newMap(t, open(t, &kv.Options{MaxRetries: 1 << 20}), "p:", &opts)
		var wg sync.WaitGroup
		var stop atomic.Bool
		for i := range g.is {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(1, uint64(i)))
				for range 2000 {
					if err := g.change(m, i, r.IntN(6)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		var readers sync.WaitGroup
		for i := range 4 {
			readers.Go(func() {
				r := rand.New(rand.NewPCG(2, uint64(i)))
				for !stop.Load() {
					k := r.IntN(len(g.is))
					least := g.seen[k].Load()
					text, err := m.Load(t.Context(), k)
					if err == kv.ErrNotFound && opts.NegativeTTL == 0 && least%7 != 0 && g.is[k].Load() == least {
						t.Errorf("%d is %d, and was not found", k, least)
					}
					if err != nil && err != kv.ErrNotFound {
						t.Error(err)
					}
					if n, _ := strconv.ParseInt(text, 10, 64); err == nil && n < least {
						t.Errorf("%d was %d before it was read as %d", k, least, n)
					}
				}
			})
		}
		wg.Wait()
		stop.Store(true)
		readers.Wait()
	}
}
