package main

import (
	"bytes"

	"github.com/dgraph-io/ristretto/v2"
	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/maypok86/otter/v2"

	"github.com/emberkv/ember/kv"
)

// A cache is a store that is bounded, and evicts.
type cache interface {
	store
	Len() int // keys
}

// lruModule has two of them.
const lruModule = "github.com/hashicorp/golang-lru/v2"

// countersPerKey is ristretto's advice.
const countersPerKey = 10

// A boundedEmber is our store at its bound. Its log, a sixteenth of the bound, is part of
// it.
type boundedEmber struct{ ember }

func (e boundedEmber) Len() int { return e.s.Len() }

// boundedEmberOf opens stores whose capacity is Options.MaxBytes.
func boundedEmberOf(policy kv.Eviction) func(int) (cache, error) {
	return func(capacity int) (cache, error) {
		return boundedEmber{ember{kv.New(&kv.Options{MaxBytes: int64(capacity), Eviction: policy})}}, nil
	}
}

type boundedOtter struct{ otterCache }

func (s boundedOtter) Len() int { return s.c.EstimatedSize() }

// openBoundedOtter opens one of so many keys, which does what it has to do in the caller's
// goroutine: so its policy knows of each read, and a run can be repeated.
func openBoundedOtter(keys int) (cache, error) {
	c, err := otter.New(&otter.Options[string, []byte]{
		MaximumSize: keys,
		Executor:    func(do func()) { do() },
	})
	return boundedOtter{otterCache{c}}, err
}

// A boundedRistretto waits for each write: one that is dropped because a queue is full
// says nothing of its policy.
type boundedRistretto struct {
	ristrettoCache
	keys int
}

func openBoundedRistretto(keys int) (cache, error) {
	c, err := ristretto.NewCache(&ristretto.Config[string, []byte]{
		NumCounters:        int64(countersPerKey * keys),
		MaxCost:            int64(keys),
		BufferItems:        64,
		IgnoreInternalCost: true,
	})
	return boundedRistretto{ristrettoCache{c}, keys}, err
}

func (s boundedRistretto) Set(key, value []byte) error {
	if err := s.ristrettoCache.Set(key, value); err != nil {
		return err
	}
	s.c.Wait()
	return nil
}

func (s boundedRistretto) Len() int { return int(s.c.MaxCost() - s.c.RemainingCost()) }

// A lruCache is one of HashiCorp's: the plain one, or 2Q (Johnson and Shasha, VLDB 1994).
type lruCache struct {
	c interface {
		Get(string) ([]byte, bool)
		Len() int
	}
	add    func(string, []byte)
	remove func(string)
}

func openLRU(keys int) (cache, error) {
	c, err := lru.New[string, []byte](keys)
	if err != nil {
		return nil, err
	}
	return lruCache{c, func(k string, v []byte) { c.Add(k, v) }, func(k string) { c.Remove(k) }}, nil
}

func open2Q(keys int) (cache, error) {
	c, err := lru.New2Q[string, []byte](keys)
	if err != nil {
		return nil, err
	}
	return lruCache{c, c.Add, c.Remove}, nil
}

func (s lruCache) Set(key, value []byte) error {
	s.add(string(key), bytes.Clone(value))
	return nil
}

func (s lruCache) Get(key []byte) []byte {
	v, _ := s.c.Get(text(key))
	return v
}

func (s lruCache) Delete(key []byte) error {
	s.remove(text(key))
	return nil
}

func (s lruCache) Len() int { return s.c.Len() }

func (s lruCache) Close() error { return nil }
