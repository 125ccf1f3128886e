package kv_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/emberkv/ember/kv"
)

// BenchmarkSetOnDisk is a write of 100 bytes, by so many writers.
func BenchmarkSetOnDisk(b *testing.B) {
	for _, policy := range []string{"memory", "never", "everysec", "always"} {
		for _, writers := range []int{1, 8, 64} {
			b.Run(fmt.Sprintf("%s/%d", policy, writers), func(b *testing.B) {
				s := kv.New(nil)
				if policy != "memory" {
					opts := &kv.Options{Durability: kv.Durability{SavePoints: []kv.SavePoint{}}}
					if err := opts.Fsync.UnmarshalText([]byte(policy)); err != nil {
						b.Fatal(err)
					}
					var err error
					if s, err = kv.Open(b.TempDir(), opts); err != nil {
						b.Fatal(err)
					}
				}
				defer s.Close()
				value := make([]byte, 100)
				b.ReportAllocs()
				b.SetBytes(120)
				var next atomic.Int64
				var wg sync.WaitGroup
				b.ResetTimer()
				for range writers {
					wg.Go(func() {
						for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
							if err := s.Set(fmt.Sprintf("key:%012d", i%1_000_000), value); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				wg.Wait()
			})
		}
	}
}

// BenchmarkOpen loads a million keys of 16 bytes with values of 100, from a snapshot and from
// a journal.
func BenchmarkOpen(b *testing.B) {
	const keys = 1_000_000
	for _, from := range []string{"snapshot", "journal"} {
		b.Run(from, func(b *testing.B) {
			dir := b.TempDir()
			opts := &kv.Options{Durability: kv.Durability{SavePoints: []kv.SavePoint{}}}
			s, err := kv.Open(dir, opts)
			if err != nil {
				b.Fatal(err)
			}
			value := make([]byte, 100)
			for i := range keys {
				if err := s.Set(fmt.Sprintf("key:%012d", i), value); err != nil {
					b.Fatal(err)
				}
			}
			if from == "snapshot" {
				if _, err := s.Save(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
			if err := s.Close(); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			b.SetBytes(keys * 120)
			for b.Loop() {
				s, err := kv.Open(dir, opts)
				if err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				if s.Len() != keys {
					b.Fatalf("%d keys", s.Len())
				}
				s.Close()
				b.StartTimer()
			}
		})
	}
}
