package kv_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/emberkv/ember/kv"
)

// Whoever finds a record's effect finds those of all records before it, also of the same call.
func TestReadersSeeRecordsInOrder(t *testing.T) {
	const keys, rounds, checks = 100, 20, 2000
	s := open(t, nil)
	s.SetFollower(true)
	key := func(i int) string { return fmt.Sprint("key ", i) }
	apply := func(round int) {
		var records []byte
		for i := range keys {
			records = appendEntry(records, key(i), strconv.Itoa(round), 0)
		}
		must(t, s.Apply(s.Position(), records))
	}
	apply(0)

	var checked atomic.Int64
	over, done := make(chan struct{}), make(chan error, 1)
	go func() { done <- checkOrder(s, key, keys, &checked, over) }()
	for round := 1; round < rounds || checked.Load() < checks; round++ {
		apply(round)
		if len(done) > 0 {
			break // the reader has found something
		}
	}
	close(over)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// checkOrder compares two keys, the later one first, again and again until over is closed.
func checkOrder(s *kv.Store, key func(int) string, keys int, checked *atomic.Int64, over <-chan struct{}) error {
	r := rand.New(rand.NewPCG(1, 2))
	for {
		select {
		case <-over:
			return nil
		default:
		}
		i := r.IntN(keys - 1)
		j := i + 1 + r.IntN(keys-i-1)
		later, err := roundOf(s, key(j))
		if err != nil {
			return err
		}
		earlier, err := roundOf(s, key(i))
		if err != nil {
			return err
		}
		if earlier < later {
			return fmt.Errorf("key %d is of round %d, and key %d, which is written before it, of round %d", j, later, i, earlier)
		}
		checked.Add(1)
	}
}

func roundOf(s *kv.Store, key string) (int, error) {
	v, err := s.Get(key)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(v))
}
