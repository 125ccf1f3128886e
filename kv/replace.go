package kv

import (
	"bytes"

	"github.com/emberkv/ember/rdb"
)

// replace sets a key that has the value was to another one with a deadline, or removes it if
// value is nil; a nil was stands for no value. It reports whether it did, which it does not
// when the key has something else, or when may, which is asked under the shard's lock, says
// no. If it did, an error is the settler's.
func (s *Store) replace(key string, was, value []byte, deadline int64, may func() bool) (bool, error) {
	if err := checkKey(key); err != nil {
		return false, err
	}
	if err := checkValue(value); err != nil {
		return false, err
	}
	w := s.beginWrite()
	end, err := s.replaceNow(key, was, value, deadline, may)
	for try := 0; s.again(&err, try, key); try++ {
		end, err = s.replaceNow(key, was, value, deadline, may)
	}
	if err != nil || end == 0 {
		return false, s.unchanged(err)
	}
	if deadline > 0 {
		s.expirer.wake(deadline)
	}
	return true, w.settle(end)
}

func (s *Store) replaceNow(key string, was, value []byte, deadline int64, may func() bool) (end int64, err error) {
	sum := rdb.EntrySum(key, value, deadline)
	sh, h, err := s.lock(key)
	if err != nil {
		return 0, err
	}
	defer sh.mu.Unlock()
	var at found
	sh.locate(h, key, &at)
	exists := at.ok() && !s.clock.reached(at.deadline)
	switch {
	case exists != (was != nil), exists && !bytes.Equal(at.value, was), !may():
		return 0, nil
	case value == nil && !exists:
		return 0, nil
	case value == nil:
		return s.delete(sh, h, &at, key, kindDelete)
	}
	return s.put(sh, h, &at, key, value, deadline, sum, nil)
}
