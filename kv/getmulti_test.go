package kv_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/kv"
)

// TestGetMulti: as many values as keys, in their order, behind what was there: of a key that
// exists the one that Get returns, an empty one too, and nil for one that does not, or not any more.
func TestGetMulti(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, nil)
		for i := range 150 {
			set(t, s, key(i), fmt.Sprint("value ", i))
		}
		set(t, s, "empty", "")
		set(t, s, "expired", "x", kv.TTL(time.Minute))
		set(t, s, "later", "y", kv.TTL(time.Hour))
		time.Sleep(time.Minute)
		var keys []string
		for i := range 150 {
			keys = append(keys, key(149-i), "missing", key(i))
		}
		keys = append(keys, "empty", "expired", "later", "", key(3), key(3))
		before := []byte("before")
		check := func(name string, values [][]byte, err error, keys []string) {
			if err != nil || len(values) != len(keys)+1 || string(values[0]) != "before" {
				t.Fatalf("%s: %d values, %v; want %d", name, len(values), err, len(keys)+1)
			}
			for i, v := range values[1:] {
				want, err := s.Get(keys[i])
				if (v == nil) != (err != nil) || string(v) != string(want) || cap(v) != len(v) {
					t.Errorf("%s: key %d, %q, is %q, want %q", name, i, keys[i], v, want)
				}
			}
		}
		// Around how many are looked up together.
		for _, n := range []int{0, 1, 2, 31, 32, 33, 64, 100, len(keys)} {
			some := keys[len(keys)-n:]
			values, err := s.GetMulti([][]byte{before}, some...)
			check(fmt.Sprint(n, " keys"), values, err, some)
			must(t, s.View(func(tx *kv.Tx) error {
				values, err := tx.GetMulti([][]byte{before}, some...)
				check(fmt.Sprint(n, " keys in a View"), values, err, some)
				return nil
			}))
		}

		s.SetStale(true)
		if values, err := s.GetMulti([][]byte{before}, keys...); err != kv.ErrStale || len(values) != 1 {
			t.Errorf("of a stale store: %d values, %v", len(values), err)
		}
	})
}

// TestGetMultiSeesOwnWrites: in an Update it returns what the transaction has written.
func TestGetMultiSeesOwnWrites(t *testing.T) {
	s := open(t, nil)
	set(t, s, "kept", "1")
	set(t, s, "changed", "2")
	set(t, s, "deleted", "3")
	must(t, s.Update(func(tx *kv.Tx) error {
		must(t, tx.Set("changed", []byte("two")))
		must(t, tx.Set("new", nil))
		_, err := tx.Delete("deleted")
		must(t, err)
		got, err := tx.GetMulti(nil, "kept", "changed", "deleted", "new", "missing")
		if want := []string{`"1"`, `"two"`, "nil", `""`, "nil"}; err != nil || !slices.Equal(quoted(got), want) {
			t.Errorf("%q, %v, want %q", quoted(got), err, want)
		}
		return nil
	}))
}

// quoted returns values in a form that tells an empty one from none.
func quoted(values [][]byte) (texts []string) {
	for _, v := range values {
		if v == nil {
			texts = append(texts, "nil")
		} else {
			texts = append(texts, fmt.Sprintf("%q", v))
		}
	}
	return texts
}

// TestGetMultiConflicts: what it has read counts for the transaction: when another writes one
// of the keys, the function runs again.
func TestGetMultiConflicts(t *testing.T) {
	s := open(t, nil)
	set(t, s, "a", "1")
	set(t, s, "b", "1")
	runs := 0
	must(t, s.Update(func(tx *kv.Tx) error {
		values, err := tx.GetMulti(nil, "a", "b", "none")
		if err != nil {
			return err
		}
		if runs++; runs == 1 {
			set(t, s, "b", "2")
		}
		return tx.Set("sum", slices.Concat(values...))
	}))
	if v, err := s.Get("sum"); string(v) != "12" || runs != 2 {
		t.Errorf("sum is %q, %v, after %d runs", v, err, runs)
	}
}
