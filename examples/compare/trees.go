package main

import (
	"bytes"
	"errors"
	"sync"

	"github.com/google/btree"
	"github.com/tidwall/buntdb"
)

// A bunt is a buntdb in memory: no file, so no log either.
type bunt struct{ db *buntdb.DB }

func openBuntDB(int) (store, error) {
	db, err := buntdb.Open(":memory:")
	return bunt{db}, err
}

func (s bunt) Set(key, value []byte) error {
	k, v := string(key), string(value)
	return s.db.Update(func(tx *buntdb.Tx) error {
		_, _, err := tx.Set(k, v, nil)
		return err
	})
}

func (s bunt) Get(key []byte) (value []byte) {
	err := s.db.View(func(tx *buntdb.Tx) error {
		v, err := tx.Get(text(key))
		value = raw(v)
		return err
	})
	if err != nil {
		return nil
	}
	return value
}

func (s bunt) Delete(key []byte) error {
	err := s.db.Update(func(tx *buntdb.Tx) error {
		_, err := tx.Delete(text(key))
		return err
	})
	if errors.Is(err, buntdb.ErrNotFound) {
		return nil
	}
	return err
}

func (s bunt) Range(from []byte, visit func(key, value []byte) bool) {
	s.db.View(func(tx *buntdb.Tx) error {
		return tx.AscendGreaterOrEqual("", text(from), func(k, v string) bool {
			return visit(raw(k), raw(v))
		})
	})
}

func (s bunt) Transact(keys [][]byte, value []byte) error {
	return s.db.Update(func(tx *buntdb.Tx) error {
		for _, k := range keys {
			if _, err := tx.Get(text(k)); err != nil {
				return err
			}
			if _, _, err := tx.Set(string(k), string(value), nil); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s bunt) Close() error { return s.db.Close() }

// A tree is google/btree with a mutex: the bar for ordered scans.
type tree struct {
	mu sync.RWMutex
	t  *btree.BTreeG[pair]
}

type pair struct {
	key   string
	value []byte
}

// treeDegree is the fastest of 8 to 128 for reads.
const treeDegree = 32

func openBTree(int) (store, error) {
	return &tree{t: btree.NewG(treeDegree, func(a, b pair) bool { return a.key < b.key })}, nil
}

func (s *tree) Set(key, value []byte) error {
	p := pair{string(key), bytes.Clone(value)}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.t.ReplaceOrInsert(p)
	return nil
}

func (s *tree) Get(key []byte) []byte {
	s.mu.RLock()
	defer s.mu.RUnlock()
	p, _ := s.t.Get(pair{key: text(key)})
	return p.value
}

func (s *tree) Delete(key []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.t.Delete(pair{key: text(key)})
	return nil
}

func (s *tree) Range(from []byte, visit func(key, value []byte) bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	s.t.AscendGreaterOrEqual(pair{key: text(from)}, func(p pair) bool {
		return visit(raw(p.key), p.value)
	})
}

func (s *tree) Close() error { return nil }
