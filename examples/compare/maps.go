package main

import (
	"bytes"
	"hash/maphash"
	"sync"
	"unsafe"

	"github.com/puzpuzpuz/xsync/v4"
)

// text returns b as a string without a copy, for callees that do not keep it.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// raw returns s as bytes without a copy, for those who only read them.
func raw(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// shardedShards is the number of maps in a sharded.
const shardedShards = 256

// A sharded is what people write who need a map for several goroutines: many maps,
// each with a mutex.
type sharded struct {
	seed   maphash.Seed
	shards [shardedShards]struct {
		mu sync.RWMutex
		m  map[string][]byte
		_  [32]byte // one shard's lock on a cache line
	}
}

func openSharded(int) (store, error) {
	s := &sharded{seed: maphash.MakeSeed()}
	for i := range s.shards {
		s.shards[i].m = make(map[string][]byte)
	}
	return s, nil
}

func (s *sharded) number(key []byte) uint64 { return maphash.Bytes(s.seed, key) % shardedShards }

func (s *sharded) Set(key, value []byte) error {
	k, v, sh := string(key), bytes.Clone(value), &s.shards[s.number(key)]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.m[k] = v
	return nil
}

func (s *sharded) Get(key []byte) []byte {
	sh := &s.shards[s.number(key)]
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	return sh.m[string(key)]
}

func (s *sharded) Delete(key []byte) error {
	sh := &s.shards[s.number(key)]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	delete(sh.m, string(key))
	return nil
}

func (s *sharded) Close() error { return nil }

// A syncMap is the standard library's.
type syncMap struct{ m sync.Map }

func openSyncMap(int) (store, error) { return &syncMap{}, nil }

func (s *syncMap) Set(key, value []byte) error {
	s.m.Store(string(key), bytes.Clone(value))
	return nil
}

func (s *syncMap) Get(key []byte) []byte {
	v, ok := s.m.Load(text(key))
	if !ok {
		return nil
	}
	return v.([]byte)
}

func (s *syncMap) Delete(key []byte) error {
	s.m.Delete(text(key))
	return nil
}

func (s *syncMap) Close() error { return nil }

type xsyncMap struct{ m *xsync.Map[string, []byte] }

func openXsync(int) (store, error) { return xsyncMap{xsync.NewMap[string, []byte]()}, nil }

func (s xsyncMap) Set(key, value []byte) error {
	s.m.Store(string(key), bytes.Clone(value))
	return nil
}

func (s xsyncMap) Get(key []byte) []byte {
	v, _ := s.m.Load(text(key))
	return v
}

func (s xsyncMap) Delete(key []byte) error {
	s.m.Delete(text(key))
	return nil
}

func (s xsyncMap) Close() error { return nil }
