package kv_test

import (
	"iter"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/kv"
)

// Reads are refused from the first nanosecond behind the moment, without anything that has
// to happen meanwhile, and are not any more when there is a later one, or none.
func TestSetStaleAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kv.New(&kv.Options{Ordered: true})
		defer s.Close()
		if err := s.Set("k", []byte("v")); err != nil {
			t.Fatal(err)
		}
		reads := map[string]func() error{
			"Get":      func() error { _, err := s.Get("k"); return err },
			"GetMulti": func() error { _, err := s.GetMulti(nil, "k"); return err },
			"Has":      func() error { _, err := s.Has("k"); return err },
			"TTL":      func() error { _, err := s.TTL("k"); return err },
			"Min":      func() error { _, _, err := s.Min(); return err },
			"View":     func() error { return s.View(func(tx *kv.Tx) error { _, err := tx.Get("k"); return err }) },
			"All": func() error {
				for range s.All() {
					return nil
				}
				return kv.ErrStale
			},
		}
		check := func(when string, want error) {
			t.Helper()
			for name, read := range reads {
				if err := read(); err != want {
					t.Errorf("%s: %s returns %v, want %v", when, name, err, want)
				}
			}
		}
		check("at first", nil)
		s.SetStaleAfter(time.Now().Add(time.Second))
		check("before", nil)
		time.Sleep(time.Second)
		check("at the moment", nil)
		time.Sleep(time.Nanosecond)
		check("behind it", kv.ErrStale)
		s.SetStaleAfter(time.Now())
		check("with a later one", nil)
		time.Sleep(time.Nanosecond)
		check("behind that", kv.ErrStale)
		s.SetStaleAfter(time.Time{})
		check("with none", nil)
		s.SetStaleAfter(time.Unix(0, 0))
		check("with one that had passed", kv.ErrStale)
	})
}

// A loop and a transaction that have begun before the moment do not go on behind it.
func TestStaleMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kv.New(&kv.Options{Ordered: true})
		defer s.Close()
		const n = 10_000 // more than a loop takes at once
		for i := range n {
			if err := s.Set(strconv.Itoa(i), nil); err != nil {
				t.Fatal(err)
			}
		}
		for name, seq := range map[string]iter.Seq2[string, []byte]{"All": s.All(), "Range": s.Range("", "")} {
			s.SetStaleAfter(time.Now().Add(time.Second))
			seen := 0
			for range seq {
				if seen++; seen == 2 {
					time.Sleep(time.Second + 1)
				}
			}
			if seen < 2 || seen > n/2 {
				t.Errorf("%s showed %d keys of %d", name, seen, n)
			}
		}
		s.SetStaleAfter(time.Now().Add(time.Second))
		err := s.View(func(tx *kv.Tx) error {
			if _, err := tx.Get("1"); err != nil {
				t.Errorf("before: %v", err)
			}
			time.Sleep(time.Second + 1)
			_, err := tx.Get("2")
			return err
		})
		if err != kv.ErrStale {
			t.Errorf("View returns %v", err)
		}
	})
}

// Reads of a store that may be read until a moment are uses of the keys, as any: when the node is
// promoted, it evicts what nobody has read.
func TestBoundedReadsAreUses(t *testing.T) {
	for _, policy := range []kv.Eviction{kv.EvictLRU, kv.EvictLFU} {
		s := kv.New(&kv.Options{MaxBytes: 8 << 20, Eviction: policy})
		s.SetStaleAfter(time.Now().Add(time.Hour))
		value := make([]byte, 100)
		const hot = 1000
		for i := range 20 * hot {
			if err := s.Set(strconv.Itoa(i), value); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if _, err := s.Get(strconv.Itoa(i % hot)); err != nil {
					t.Fatal(err)
				}
			}
		}
		s.SetStaleAfter(time.Time{})
		for i := range 60 * hot {
			if err := s.Set("new"+strconv.Itoa(i), value); err != nil {
				t.Fatal(err)
			}
		}
		left := 0
		for i := range hot {
			if ok, _ := s.Has(strconv.Itoa(i)); ok {
				left++
			}
		}
		if left < hot/2 {
			t.Errorf("%v: %d of %d keys that were read are left", policy, left, hot)
		}
		s.Close()
	}
}
