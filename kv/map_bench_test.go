package kv_test

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/emberkv/ember/kv"
)

// Keys and values in the store's memory, through a map's codecs and without.
func BenchmarkMapGet(b *testing.B) {
	filled(b)
	texts := newMap[string, string](b, benchStore, "key:", nil)
	raw := newMap[string, []byte](b, benchStore, "key:", nil)
	get := func(name string, op func(k string) error) {
		b.Run(name, func(b *testing.B) {
			filled(b)
			k, r := newKeyMaker(), rand.New(rand.NewPCG(1, 2))
			for b.Loop() {
				if err := op(k.key(r.IntN(*benchKeys))); err != nil {
					b.Error(err)
				}
			}
		})
	}
	get("Store", func(k string) error { _, err := benchStore.Get(k); return err })
	get("Strings", func(k string) error { _, err := texts.Get(k[4:]); return err })
	get("Bytes", func(k string) error { _, err := raw.Get(k[4:]); return err })
}

func BenchmarkMapSet(b *testing.B) {
	filled(b)
	raw := newMap[string, []byte](b, benchStore, "key:", nil)
	b.Run("Store", func(b *testing.B) {
		filled(b)
		k, r := newKeyMaker(), rand.New(rand.NewPCG(1, 2))
		for b.Loop() {
			if err := benchStore.Set(k.key(r.IntN(*benchKeys)), benchValue); err != nil {
				b.Error(err)
			}
		}
	})
	b.Run("Bytes", func(b *testing.B) {
		filled(b)
		k, r := newKeyMaker(), rand.New(rand.NewPCG(1, 2))
		for b.Loop() {
			if err := raw.Set(k.key(r.IntN(*benchKeys))[4:], benchValue); err != nil {
				b.Error(err)
			}
		}
	})
}

// A map of a few thousand keys, so that the codecs show and not the memory.
func BenchmarkMapSmall(b *testing.B) {
	const keys = 4096
	s := open(b, nil)
	load := func(context.Context, string) ([]byte, time.Duration, error) { return benchValue, time.Hour, nil }
	raw := newMap[string, []byte](b, s, "key:", nil)
	numbers := newMap(b, s, "n:", &kv.MapOptions[int, int]{Values: kv.Integers[int]{}})
	cached := newMap(b, s, "c:", &kv.MapOptions[string, []byte]{Load: load, RefreshAfter: time.Hour, TTL: 2 * time.Hour})
	k, n, ctx := newKeyMaker(), 0, b.Context()
	for i := range keys {
		must(b, s.Set(k.key(i), benchValue))
		must(b, numbers.Set(i, i))
		_, err := cached.Load(b.Context(), k.key(i)[4:])
		must(b, err)
	}
	for name, op := range map[string]func() error{
		"Store.Get":    func() error { _, err := s.Get(k.key(n)); return err },
		"Get/Bytes":    func() error { _, err := raw.Get(k.key(n)[4:]); return err },
		"Get/Integers": func() error { _, err := numbers.Get(n); return err },
		"Load/hit":     func() error { _, err := cached.Load(ctx, k.key(n)[4:]); return err },
		"Store.Set":    func() error { return s.Set(k.key(n), benchValue) },
		"Set/Bytes":    func() error { return raw.Set(k.key(n)[4:], benchValue) },
		"Set/Integers": func() error { return numbers.Set(n, n) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if n++; n == keys {
					n = 0
				}
				if err := op(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// A load with nothing to wait for: what the flight costs.
func BenchmarkMapLoadMiss(b *testing.B) {
	s := open(b, nil)
	m := newMap(b, s, "", &kv.MapOptions[string, []byte]{Load: func(context.Context, string) ([]byte, time.Duration, error) {
		return benchValue, kv.NoCache, nil
	}})
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.Load(ctx, "k"); err != nil {
			b.Fatal(err)
		}
	}
}
