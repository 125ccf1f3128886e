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

func (e ember) Close() error { return e.s.Close() }
