package main

import (
	"errors"

	"github.com/emberkv/ember/kv"
)

// An ember is our store, with its log, as kv.New(nil) makes it.
type ember struct{ s *kv.Store }

func openEmber(int) (store, error) { return ember{kv.New(nil)}, nil }

func (e ember) Set(key, value []byte) error { return e.s.Set(text(key), value) }

func (e ember) Get(key []byte) []byte {
	v, err := e.s.Get(text(key))
	if err != nil {
		return nil
	}
	return v
}

func (e ember) Delete(key []byte) error {
	existed, err := e.s.Delete(text(key))
	if err == nil && !existed {
		err = errors.New("deleted a key that was not there")
	}
	return err
}

func (e ember) Transact(keys [][]byte, value []byte) error {
	return e.s.Update(func(tx *kv.Tx) error {
		var names [transactionKeys]string
		var values [transactionKeys][]byte
		for i, k := range keys {
			names[i] = text(k)
		}
		read, err := tx.GetMulti(values[:0], names[:len(keys)]...)
		for i := 0; i < len(read) && err == nil; i++ {
			if read[i] == nil {
				return kv.ErrNotFound
			}
			err = tx.Set(names[i], value)
		}
		return err
	})
}

func (e ember) Close() error { return e.s.Close() }

// An orderedEmber keeps its keys in order as well. Without that a range is a pass over
// all of them, which is nothing to compare.
type orderedEmber struct{ ember }

func openOrderedEmber(int) (store, error) {
	return orderedEmber{ember{kv.New(&kv.Options{Ordered: true})}}, nil
}

func (e orderedEmber) Range(from []byte, visit func(key, value []byte) bool) {
	for k, v := range e.s.Range(text(from), "") {
		if !visit(raw(k), v) {
			return
		}
	}
}
