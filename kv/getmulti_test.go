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

		s.SetStaleAfter(time.Unix(0, 0))
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

// TestGetMultiAllocatesOnce: room for all values is made at once.
func TestGetMultiAllocatesOnce(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	s := open(t, nil)
	var keys []string
	for i := range 100 {
		set(t, s, key(i), "x")
		keys = append(keys, key(i))
	}
	if n := testing.AllocsPerRun(100, func() { s.GetMulti(nil, keys...) }); n != 1 {
		t.Errorf("%v allocations, want 1", n)
	}
	must(t, s.View(func(tx *kv.Tx) error {
		if _, err := tx.GetMulti(nil, keys...); err != nil { // notes what is read, once
			return err
		}
		dst := make([][]byte, 0, len(keys))
		with := testing.AllocsPerRun(1, func() { tx.GetMulti(dst, keys...) })
		without := testing.AllocsPerRun(1, func() { tx.GetMulti(nil, keys...) })
		if without > with+2 { // the notes may grow in between
			t.Errorf("%v allocations without room, %v with", without, with)
		}
		return nil
	}))
}

// TestGetMultiOfPassedDeadlines: a key whose deadline has passed, and that is still there since
// only a master removes it, is none; and when one passes between two keys of a call, that returns
// what was there before, not a part.
func TestGetMultiOfPassedDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, nil)
		set(t, s, "lasting", "1")
		set(t, s, "dated", "2", kv.TTL(time.Minute))
		set(t, s, "later", "3", kv.TTL(24*time.Hour))
		s.SetFollower(true)
		start := s.Clock()
		runs := 0
		must(t, s.View(func(tx *kv.Tx) error {
			if runs++; runs == 1 {
				if _, err := tx.Get("later"); err != nil { // its moment is now
					return err
				}
				s.SetClock(start + time.Hour.Milliseconds())
			}
			values, err := tx.GetMulti([][]byte{{1}}, "lasting", "dated", "later")
			switch {
			case runs == 1 && (err != kv.ErrConflict || len(values) != 1):
				t.Errorf("%q, %v, want a conflict", values, err)
			case runs == 2 && !slices.Equal(quoted(values[1:]), []string{`"1"`, "nil", `"3"`}):
				t.Errorf("%q, %v after the deadline", values, err)
			}
			return err
		}))
		if runs != 2 {
			t.Errorf("%d runs", runs)
		}
		values, err := s.GetMulti(nil, "lasting", "dated", "later")
		if want := []string{`"1"`, "nil", `"3"`}; err != nil || !slices.Equal(quoted(values), want) {
			t.Errorf("%q, %v, want %q", quoted(values), err, want)
		}
	})
}

// TestGetMultiNotesEveryKey: a key of any chunk is a conflict when it changes, and those that were
// written by the transaction itself are seen in any.
func TestGetMultiNotesEveryKey(t *testing.T) {
	s := open(t, nil)
	var keys []string
	for i := range 100 {
		set(t, s, key(i), "x")
		keys = append(keys, key(i))
	}
	for _, i := range []int{0, 31, 32, 63, 64, 99} {
		runs := 0
		must(t, s.Update(func(tx *kv.Tx) error {
			must(t, tx.Set(key(98), []byte("own")))
			values, err := tx.GetMulti(nil, keys...)
			if err != nil {
				return err
			}
			if string(values[98]) != "own" {
				t.Errorf("own write is %q", values[98])
			}
			if runs++; runs == 1 {
				set(t, s, key(i), fmt.Sprint("changed ", i))
			}
			return tx.Set("copy", values[i])
		}))
		wantValue(t, s, "copy", fmt.Sprint("changed ", i))
	}
}

// TestGetMultiAfterClose: a transaction that outlives its store finds it closed.
func TestGetMultiAfterClose(t *testing.T) {
	s := kv.New(nil)
	set(t, s, "k", "v")
	err := s.View(func(tx *kv.Tx) error {
		must(t, s.Close())
		dst := [][]byte{{1}}
		values, err := tx.GetMulti(dst, "k", "k2")
		if len(values) != 1 {
			t.Errorf("%q of a closed store", values)
		}
		return err
	})
	if err != kv.ErrClosed {
		t.Errorf("%v, want ErrClosed", err)
	}
}

// TestGetMultiIsAUse: it counts hits and misses, as Get does.
func TestGetMultiIsAUse(t *testing.T) {
	s := open(t, &kv.Options{MaxBytes: 16 << 20, Eviction: kv.EvictLRU})
	set(t, s, "k", "v")
	if _, err := s.GetMulti(nil, "k", "missing", "k"); err != nil {
		t.Fatal(err)
	}
	if st := s.Stats(); st.Hits != 2 || st.Misses != 1 {
		t.Errorf("%d hits, %d misses", st.Hits, st.Misses)
	}
}
