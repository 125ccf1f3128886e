package kv_test

import (
	"slices"
	"testing"
	"time"

	"github.com/emberkv/ember/kv"
)

// Writes of new keys at the bound, beside those below it: the median, and what a write
// takes on average.
func BenchmarkSetAtTheBound(b *testing.B) {
	const keys = 100_000
	for name, opts := range map[string]kv.Options{
		"below":                 {MaxBytes: 1 << 30, Eviction: kv.EvictLRU},
		"lru":                   {MaxBytes: 16 << 20, Eviction: kv.EvictLRU},
		"lfu":                   {MaxBytes: 16 << 20, Eviction: kv.EvictLFU},
		"ttl":                   {MaxBytes: 16 << 20, Eviction: kv.EvictTTL},
		"below, with deadlines": {MaxBytes: 1 << 30, Eviction: kv.EvictTTL},
	} {
		b.Run(name, func(b *testing.B) {
			s := open(b, &opts)
			k, value := newKeyMaker(), make([]byte, 100)
			var ttl []kv.SetOption
			if opts.Eviction == kv.EvictTTL {
				ttl = append(ttl, kv.TTL(time.Hour))
			}
			n := 0
			next := func() { n++; must(b, s.Set(k.key(n), value, ttl...)) }
			for range 2 * keys {
				next()
			}
			took := make([]time.Duration, 0, 1<<20)
			b.ReportAllocs()
			for b.Loop() {
				begun := time.Now()
				next()
				if took = append(took, time.Since(begun)); len(took) == cap(took) {
					took = took[:0]
				}
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2]), "median-ns")
			b.ReportMetric(float64(took[len(took)*99/100]), "p99-ns")
		})
	}
}

// What a policy costs a read.
func BenchmarkGetUnderAPolicy(b *testing.B) {
	for name, opts := range map[string]kv.Options{
		"none": {},
		"lru":  {MaxBytes: 64 << 20, Eviction: kv.EvictLRU},
		"lfu":  {MaxBytes: 64 << 20, Eviction: kv.EvictLFU},
	} {
		b.Run(name, func(b *testing.B) {
			s := open(b, &opts)
			k, value := newKeyMaker(), make([]byte, 100)
			for i := range 100_000 {
				must(b, s.Set(k.key(i), value))
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, err := s.Get(k.key(i * 7919 % 100_000)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
