package kv_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/emberkv/ember/kv"
)

// Another writer that comes in between makes the function run again, on the new state.
func TestUpdateRunsAgain(t *testing.T) {
	for name, between := range map[string]func(s *kv.Store) error{
		"Set":     func(s *kv.Store) error { return s.Set("k", []byte("10")) },
		"Update":  func(s *kv.Store) error { return s.Update(func(tx *kv.Tx) error { return tx.Set("k", []byte("10")) }) },
		"Restore": func(s *kv.Store) error { s.Set("k", []byte("10")); return restore(s) },
	} {
		s := open(t, nil)
		set(t, s, "k", "1")
		runs := 0
		must(t, s.Update(func(tx *kv.Tx) error {
			if runs++; runs > 1 {
				_, err := tx.Add("k", 1)
				return err
			}
			n, err := tx.Add("k", 1)
			if n != 2 || err != nil {
				t.Errorf("Add = %d, %v", n, err)
			}
			must(t, between(s))
			// What is read now would not go with what was read before.
			if _, err := tx.Get("other"); err != kv.ErrConflict {
				t.Errorf("%s: Get after it: %v", name, err)
			}
			if err := tx.Set("k", nil); err != kv.ErrConflict {
				t.Errorf("%s: Set after it: %v", name, err)
			}
			return errors.New("of no interest")
		}))
		if runs != 2 {
			t.Errorf("%s: %d runs", name, runs)
		}
		wantValue(t, s, "k", "11")
	}
}

// restore restores a store from its own contents.
func restore(s *kv.Store) error {
	n, err := s.Snapshot()
	if err != nil {
		return err
	}
	defer n.Close()
	var b strings.Builder
	if _, err := n.WriteTo(&b); err != nil {
		return err
	}
	return s.Restore(strings.NewReader(b.String()))
}

// A conflict that is found only at the end counts as well; a write beside what was read
// is none.
func TestUpdateConflictsAtTheEnd(t *testing.T) {
	s := open(t, nil)
	set(t, s, "k", "v")
	runs := 0
	must(t, s.Update(func(tx *kv.Tx) error {
		runs++
		_, err := tx.Get("k")
		must(t, err)
		_, err = tx.Get("missing")
		if err != kv.ErrNotFound {
			t.Error(err)
		}
		switch runs {
		case 1:
			set(t, s, "k", "w")
		case 2:
			set(t, s, "missing", "w")
			_, err = s.Delete("missing")
			must(t, err)
			set(t, s, "k", "w") // what it was: no conflict
		}
		return tx.Set("sum", []byte("1"))
	}))
	if runs != 2 {
		t.Errorf("%d runs", runs)
	}
	runs = 0
	must(t, s.Update(func(tx *kv.Tx) error {
		runs++
		_, err := tx.Get("k")
		for i := range 1000 {
			set(t, s, key(i), "beside") // in every shard
		}
		return errors.Join(err, tx.Set("sum", []byte("2")))
	}))
	if runs != 1 {
		t.Errorf("%d runs with writes beside", runs)
	}
}

// Update gives up after as many retries as it was told.
func TestUpdateGivesUp(t *testing.T) {
	for _, c := range []struct{ option, runs int }{{0, 1 + kv.DefaultMaxRetries}, {-1, 1}, {3, 4}} {
		s := open(t, &kv.Options{MaxRetries: c.option})
		runs := 0
		err := s.Update(func(tx *kv.Tx) error {
			runs++
			_, err := tx.Add("k", 1)
			must(t, err)
			_, err = s.Add("k", 1)
			return err
		})
		if !errors.Is(err, kv.ErrConflict) || runs != c.runs {
			t.Errorf("MaxRetries %d: %v after %d runs, want %d", c.option, err, runs, c.runs)
		}
		wantValue(t, s, "k", fmt.Sprint(runs))
	}
}

// A View always comes to an end, on a cut if it has to be.
func TestViewIsNeverOvertaken(t *testing.T) {
	s := open(t, nil)
	set(t, s, "x", "0")
	set(t, s, "y", "0")
	runs := 0
	must(t, s.View(func(tx *kv.Tx) error {
		runs++
		x, err := tx.Get("x")
		must(t, err)
		set(t, s, "x", fmt.Sprint(runs))
		set(t, s, "y", fmt.Sprint(runs))
		y, err := tx.Get("y")
		if err == nil && string(x) != string(y) {
			t.Errorf("x = %s with y = %s", x, y)
		}
		n := 0
		for k, v := range tx.All() {
			if n++; string(v) != string(x) {
				t.Errorf("%s = %s with x = %s", k, v, x)
			}
		}
		if err == nil && n != 2 {
			t.Errorf("%d keys", n)
		}
		return err
	}))
	if runs < 2 || kv.Views(s) != 0 {
		t.Errorf("%d runs, %d views left", runs, kv.Views(s))
	}
}

// What the gate says when the function has run again counts, not what it said before.
func TestUpdateGateBetweenRuns(t *testing.T) {
	s := open(t, nil)
	closed := errors.New("closed")
	runs := 0
	err := s.Update(func(tx *kv.Tx) error {
		runs++
		n, err := tx.Add("k", 1)
		if runs == 1 {
			set(t, s, "k", "10")
			s.Log().SetGate(func() error { return closed })
		} else if n != 11 || err != nil {
			t.Errorf("Add = %d, %v", n, err)
		}
		return tx.Set("other", []byte("v"))
	})
	if err != closed || runs != 2 {
		t.Errorf("%v after %d runs", err, runs)
	}
	wantValue(t, s, "k", "10")
	wantValue(t, s, "other", "")
}
