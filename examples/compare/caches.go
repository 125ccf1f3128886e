package main

import (
	"bytes"
	"context"
	"io"
	"log"
	"time"

	"github.com/allegro/bigcache/v3"
	"github.com/coocood/freecache"
	"github.com/dgraph-io/ristretto/v2"
	"github.com/maypok86/otter/v2"
)

// An otterCache is given twice the room that its keys need, so that it never evicts
// and is as exact as a map.
type otterCache struct {
	c *otter.Cache[string, []byte]
}

func openOtter(keys int) (store, error) {
	c, err := otter.New(&otter.Options[string, []byte]{MaximumSize: 2 * keys})
	return otterCache{c}, err
}

func (s otterCache) Set(key, value []byte) error {
	s.c.Set(string(key), bytes.Clone(value))
	return nil
}

func (s otterCache) Get(key []byte) []byte {
	v, _ := s.c.GetIfPresent(text(key))
	return v
}

func (s otterCache) Delete(key []byte) error {
	s.c.Invalidate(text(key))
	return nil
}

func (s otterCache) Wait() { s.c.CleanUp() }

func (s otterCache) Close() error {
	s.c.StopAllGoroutines()
	return nil
}

// A ristrettoCache has twice the room as well, but drops what its queue does not take.
type ristrettoCache struct {
	c *ristretto.Cache[string, []byte]
}

func openRistretto(keys int) (store, error) {
	c, err := ristretto.NewCache(&ristretto.Config[string, []byte]{
		NumCounters:        int64(2 * keys),
		MaxCost:            int64(2 * keys),
		BufferItems:        64, // its documentation's advice
		IgnoreInternalCost: true,
	})
	return ristrettoCache{c}, err
}

func (s ristrettoCache) Set(key, value []byte) error {
	s.c.Set(string(key), bytes.Clone(value), 1)
	return nil
}

func (s ristrettoCache) Get(key []byte) []byte {
	v, _ := s.c.Get(text(key))
	return v
}

func (s ristrettoCache) Delete(key []byte) error {
	s.c.Del(text(key))
	return nil
}

func (s ristrettoCache) Wait() { s.c.Wait() }

func (s ristrettoCache) Close() error {
	s.c.Close()
	return nil
}

// bigCacheBytes a key is twice what an entry takes: room for the old value of every
// key beside the new one. When it is full, the oldest entries go.
const bigCacheBytes = 300

type bigCache struct{ c *bigcache.BigCache }

func openBigCache(keys int) (store, error) {
	c, err := bigcache.New(context.Background(), bigcache.Config{
		Shards:             256,
		LifeWindow:         1000 * time.Hour,
		MaxEntriesInWindow: keys,
		MaxEntrySize:       128,
		HardMaxCacheSize:   max(64, keys*bigCacheBytes>>20),
		Logger:             log.New(io.Discard, "", 0),
	})
	return bigCache{c}, err
}

func (s bigCache) Set(key, value []byte) error { return s.c.Set(text(key), value) }

func (s bigCache) Get(key []byte) []byte {
	v, _ := s.c.Get(text(key))
	return v
}

func (s bigCache) Delete(key []byte) error {
	s.c.Delete(text(key)) // an error says that it was not there, as may be
	return nil
}

func (s bigCache) Close() error { return s.c.Close() }

// freeCacheBytes a key is an entry, its index, and some room, all taken at once. When
// a ring is full, the oldest entries go.
const freeCacheBytes = 190

type freeCache struct{ c *freecache.Cache }

func openFreeCache(keys int) (store, error) {
	return freeCache{freecache.NewCache(keys * freeCacheBytes)}, nil
}

func (s freeCache) Set(key, value []byte) error { return s.c.Set(key, value, 0) }

func (s freeCache) Get(key []byte) []byte {
	v, err := s.c.Get(key)
	if err != nil {
		return nil
	}
	return v
}

func (s freeCache) Delete(key []byte) error {
	s.c.Del(key)
	return nil
}

func (s freeCache) Close() error { return nil }
