package kv_test

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/google/btree"

	"github.com/emberkv/ember/internal/heap"
	"github.com/emberkv/ember/kv"
)

// orderedStore returns an ordered store with the benchmarks' keys, inserted in random order.
func orderedStore(b *testing.B) *kv.Store {
	s := benchOrdered()
	b.ReportAllocs()
	return s
}

var benchOrdered = sync.OnceValue(func() *kv.Store {
	s := kv.New(&kv.Options{Ordered: true})
	k := newKeyMaker()
	for _, i := range rand.New(rand.NewPCG(3, 4)).Perm(*benchKeys) {
		if err := s.Set(k.key(i), benchValue); err != nil {
			panic(err)
		}
	}
	runtime.GC()
	return s
})

// BenchmarkScan reads a hundred keys in order, with their values, from a random one on.
func BenchmarkScan(b *testing.B) {
	scan := func(b *testing.B, r *rand.Rand, k *keyMaker) {
		n := 0
		for _, v := range benchOrdered().Range(k.key(r.IntN(*benchKeys-100)), "") {
			if v[99] != '}' {
				b.Error(v)
			}
			if n++; n == 100 {
				break
			}
		}
	}
	b.Run("serial", func(b *testing.B) {
		orderedStore(b)
		r, k := rand.New(rand.NewPCG(1, 2)), newKeyMaker()
		b.SetBytes(11600)
		for b.Loop() {
			scan(b, r, k)
		}
	})
	b.Run("parallel", func(b *testing.B) {
		orderedStore(b)
		b.SetBytes(11600)
		b.RunParallel(func(pb *testing.PB) {
			r, k := rand.New(rand.NewPCG(1, rand.Uint64())), newKeyMaker()
			for pb.Next() {
				scan(b, r, k)
			}
		})
	})
	b.Run("backward", func(b *testing.B) {
		s := orderedStore(b)
		r, k := rand.New(rand.NewPCG(1, 2)), newKeyMaker()
		b.SetBytes(11600)
		for b.Loop() {
			n := 0
			for range s.Backward("", k.key(100+r.IntN(*benchKeys-100))) {
				if n++; n == 100 {
					break
				}
			}
		}
	})
	b.Run("snapshot", func(b *testing.B) {
		s := orderedStore(b)
		n, err := s.Snapshot()
		if err != nil {
			b.Fatal(err)
		}
		defer n.Close()
		r, k := rand.New(rand.NewPCG(1, 2)), newKeyMaker()
		b.SetBytes(11600)
		for b.Loop() {
			i := 0
			for range n.Range(k.key(r.IntN(*benchKeys-100)), "") {
				if i++; i == 100 {
					break
				}
			}
		}
	})
}

// BenchmarkScanBtree is the measure for BenchmarkScan: google/btree with keys and values in
// it, and nothing else.
func BenchmarkScanBtree(b *testing.B) {
	type pair struct {
		key   string
		value []byte
	}
	tree := btree.NewG(32, func(a, b pair) bool { return a.key < b.key })
	for _, i := range rand.New(rand.NewPCG(3, 4)).Perm(*benchKeys) {
		k := newKeyMaker()
		tree.ReplaceOrInsert(pair{k.key(i), append([]byte(nil), benchValue...)})
	}
	runtime.GC()
	r, k := rand.New(rand.NewPCG(1, 2)), newKeyMaker()
	b.SetBytes(11600)
	for b.Loop() {
		n := 0
		tree.AscendGreaterOrEqual(pair{key: k.key(r.IntN(*benchKeys - 100))}, func(p pair) bool {
			if p.value[99] != '}' {
				b.Error(p.value)
			}
			n++
			return n < 100
		})
	}
}

func BenchmarkMin(b *testing.B) {
	s := orderedStore(b)
	for b.Loop() {
		if _, _, err := s.Min(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMax(b *testing.B) {
	s := orderedStore(b)
	for b.Loop() {
		if _, _, err := s.Max(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPass goes through all keys, in the order of memory and in that of the keys.
func BenchmarkPass(b *testing.B) {
	for _, mode := range []string{"All", "Range"} {
		b.Run(mode, func(b *testing.B) {
			s := orderedStore(b)
			b.SetBytes(116 * int64(*benchKeys))
			for b.Loop() {
				seq, n := s.All(), 0
				if mode == "Range" {
					seq = s.Range("", "")
				}
				for range seq {
					n++
				}
				if n != *benchKeys {
					b.Fatal(n)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(*benchKeys), "ns/key")
		})
	}
}

// BenchmarkFill inserts the benchmarks' keys into an empty store, with the index and
// without, and reports the memory that each takes and what a collection costs.
func BenchmarkFill(b *testing.B) {
	for _, order := range []string{"random", "ascending"} {
		for _, mode := range []string{"plain", "ordered"} {
			b.Run(order+"/"+mode, func(b *testing.B) {
				keys := rand.New(rand.NewPCG(3, 4)).Perm(*benchKeys)
				if order == "ascending" {
					for i := range keys {
						keys[i] = i
					}
				}
				b.SetBytes(116 * int64(*benchKeys))
				b.ReportAllocs()
				var kept, gc float64
				for b.Loop() {
					b.StopTimer()
					before := heap.Live()
					s := kv.New(&kv.Options{Ordered: mode == "ordered", LogBytes: -1})
					k := newKeyMaker()
					b.StartTimer()
					for _, i := range keys {
						if err := s.Set(k.key(i), benchValue); err != nil {
							b.Fatal(err)
						}
					}
					b.StopTimer()
					kept = float64(heap.Live()-before) / float64(*benchKeys)
					start := time.Now()
					runtime.GC()
					gc = float64(time.Since(start).Microseconds()) / 1000
					if err := s.Close(); err != nil {
						b.Fatal(err)
					}
					b.StartTimer()
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(*benchKeys), "ns/key")
				b.ReportMetric(kept, "heap-B/key")
				b.ReportMetric(gc, "ms/GC")
			})
		}
	}
}
