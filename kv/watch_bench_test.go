package kv_test

import (
	"context"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/kv"
)

// watchers starts n watchers of s that count what they get.
func watchers(b *testing.B, s *kv.Store, n int, prefix func(i int) string) (got *atomic.Int64, stop func()) {
	got = new(atomic.Int64)
	ctx, cancel := context.WithCancel(b.Context())
	var wg, ready sync.WaitGroup
	for i := range n {
		ready.Add(1)
		wg.Go(func() {
			first := true
			for e, err := range s.Watch(ctx, prefix(i), s.Position()) {
				if first {
					ready.Done()
					first = false
				}
				if err == nil && e.Kind == kv.EventPut {
					got.Add(1)
				}
			}
		})
	}
	ready.Wait()
	return got, func() { cancel(); wg.Wait() }
}

// How long a Set takes while others watch: everything, or a key each that is not set.
func BenchmarkSetWatched(b *testing.B) {
	all := func(int) string { return "" }
	one := func(i int) string { return "user:" + strconv.Itoa(i) + ":" }
	for _, c := range []struct {
		name   string
		n      int
		prefix func(int) string
	}{{"0", 0, all}, {"1", 1, all}, {"1-elsewhere", 1, one}, {"100", 100, all}, {"1000-elsewhere", 1000, one}} {
		b.Run(c.name, func(b *testing.B) {
			s := filled(b)
			_, stop := watchers(b, s, c.n, c.prefix)
			k, r := newKeyMaker(), rand.New(rand.NewPCG(1, 2))
			for b.Loop() {
				must(b, s.Set(k.key(r.IntN(*benchKeys)), benchValue))
			}
			stop()
		})
	}
}

// How fast watchers go through a log that is there, each by itself.
func BenchmarkWatch(b *testing.B) {
	s := open(b, nil)
	from := s.Position()
	const writes = 100_000
	for i := range writes {
		must(b, s.Set(key(i%10_000), benchValue))
	}
	for _, n := range []int{1, 100} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(n) * (s.Position().Offset - from.Offset))
			for b.Loop() {
				var wg sync.WaitGroup
				for range n {
					wg.Go(func() {
						for e := range s.Watch(b.Context(), "", from) {
							if e.Kind == kv.EventSynced {
								break
							}
						}
					})
				}
				wg.Wait()
			}
			b.ReportMetric(float64(writes*n*b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// How long it is from a Set to its event.
func BenchmarkWatchLatency(b *testing.B) {
	s := open(b, nil)
	w := watch(b, s, "", s.Position())
	w.want("synced *")
	b.ReportAllocs()
	for b.Loop() {
		set(b, s, "k", "v")
		w.event()
	}
}

// The contents of a million keys.
func BenchmarkWatchContents(b *testing.B) {
	s := filled(b)
	b.SetBytes(int64(116 * *benchKeys))
	for b.Loop() {
		for e := range s.Watch(b.Context(), "", backlog.Position{}) {
			if e.Kind == kv.EventSynced {
				break
			}
		}
	}
}
