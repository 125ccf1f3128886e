package kv_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/kv"
)

// TestMapsInATransaction: two maps and a plain key change together or not at all, with and without
// a loader, and a conflict runs the transaction again.
func TestMapsInATransaction(t *testing.T) {
	for name, opts := range map[string]*kv.MapOptions[string, int]{
		"plain": nil,
		"loading": {Load: func(context.Context, string) (int, time.Duration, error) {
			return 0, 0, kv.ErrNotFound
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, nil)
			from, to := newMap(t, s, "from:", opts), newMap(t, s, "to:", opts)
			must(t, from.Set("a", 10, kv.TTL(time.Hour)))
			mine, runs := errors.New("mine"), 0
			move := func(n int, fail error) error {
				return s.Update(func(tx *kv.Tx) error {
					runs++
					have, err := from.In(tx).Get("a")
					if err != nil {
						return err
					}
					had, err := to.In(tx).Get("a")
					if err != nil && err != kv.ErrNotFound {
						return err
					}
					if runs == 1 { // another one comes between
						must(t, from.Set("a", have+1))
					}
					if err := from.In(tx).Set("a", have-n, kv.KeepTTL()); err != nil {
						return err
					}
					if now, err := from.In(tx).Get("a"); err != nil || now != have-n {
						t.Errorf("it sees %d of its own write, %v", now, err)
					}
					if err := to.In(tx).Set("a", had+n, kv.TTL(time.Minute)); err != nil {
						return err
					}
					if err := tx.Set("moved", fmt.Append(nil, n)); err != nil {
						return err
					}
					return fail
				})
			}
			must(t, move(4, nil))
			if runs != 2 {
				t.Errorf("it ran %d times", runs)
			}
			before := digest(t, s)
			if err := move(1, mine); err != mine || digest(t, s) != before {
				t.Errorf("one that fails: %v", err)
			}
			must(t, s.View(func(tx *kv.Tx) error {
				a, err := from.In(tx).Get("a")
				b, err2 := to.In(tx).Get("a")
				if a != 7 || b != 4 || err != nil || err2 != nil {
					t.Errorf("%d and %d, %v, %v", a, b, err, err2)
				}
				if err := to.In(tx).Set("a", 1); err != kv.ErrReadOnlyTx {
					t.Errorf("a write in a View: %v", err)
				}
				return nil
			}))
			wantValue(t, s, "moved", "4")
			if ttl, err := s.TTL("to:a"); err != nil || ttl <= 0 || ttl > time.Minute {
				t.Errorf("TTL %v, %v", ttl, err)
			}
			for _, want := range []bool{true, false} {
				must(t, s.Update(func(tx *kv.Tx) error {
					was, err := to.In(tx).Delete("a")
					if _, gone := to.In(tx).Get("a"); was != want || gone != kv.ErrNotFound {
						t.Errorf("Delete %v, want %v; and then %v", was, want, gone)
					}
					return err
				}))
			}
			if _, err := to.Get("a"); err != kv.ErrNotFound {
				t.Errorf("deleted: %v", err)
			}
		})
	}
}

// TestMapInAnotherTransaction: of another store, or of none, or one that is over.
func TestMapInAnotherTransaction(t *testing.T) {
	s, other := open(t, nil), open(t, nil)
	m := newMap[string, string](t, s, "", nil)
	all := func(tx *kv.Tx) (errs [3]error) {
		_, errs[0] = m.In(tx).Get("k")
		errs[1] = m.In(tx).Set("k", "v")
		_, errs[2] = m.In(tx).Delete("k")
		return errs
	}
	var over *kv.Tx
	must(t, s.Update(func(tx *kv.Tx) error { over = tx; return nil }))
	must(t, other.Update(func(tx *kv.Tx) error {
		for i, tx := range []*kv.Tx{tx, nil} {
			for _, err := range all(tx) {
				if !errors.Is(err, kv.ErrInvalid) {
					t.Errorf("transaction %d: %v", i, err)
				}
			}
		}
		return nil
	}))
	for _, err := range all(over) {
		if err != kv.ErrTxDone {
			t.Errorf("a transaction that is over: %v", err)
		}
	}
	if s.Len()+other.Len() != 0 {
		t.Error("something was written")
	}
}

// TestTransactionBesideALoader: what says that there is no value is none to it, and what was being
// loaded when the key was written does not replace what it has written.
func TestTransactionBesideALoader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, nil)
		source := &slow{takes: time.Second, err: kv.ErrNotFound}
		m := newMap(t, s, "m:", &kv.MapOptions[string, string]{Load: source.load, NegativeTTL: time.Hour})
		wantLoad(t, m, "k", "")
		if s.Len() != 1 {
			t.Fatal("the loader's word was not kept")
		}
		must(t, s.Update(func(tx *kv.Tx) error {
			if _, err := m.In(tx).Get("k"); err != kv.ErrNotFound {
				t.Errorf("Get: %v", err)
			}
			if err := m.In(tx).Set("k", "v", kv.IfPresent()); err != kv.ErrNotFound {
				t.Errorf("Set if present: %v", err)
			}
			if was, err := m.In(tx).Delete("k"); was || err != nil {
				t.Errorf("Delete: %v, %v", was, err)
			}
			return m.In(tx).Set("k", "v", kv.IfAbsent())
		}))
		wantLoad(t, m, "k", "v")

		source.err = nil
		loaded := make(chan string)
		go func() {
			v, err := m.Load(t.Context(), "late")
			must(t, err)
			loaded <- v
		}()
		time.Sleep(time.Second / 2)
		must(t, s.Update(func(tx *kv.Tx) error { return m.In(tx).Set("late", "written") }))
		must(t, s.Update(func(tx *kv.Tx) error { _, err := m.In(tx).Delete("late"); return err }))
		if v := <-loaded; v != "late 2" {
			t.Errorf("who has waited gets %q", v)
		}
		if _, err := m.Get("late"); err != kv.ErrNotFound {
			t.Errorf("what was loaded before is kept over what was written: %v", err)
		}
	})
}

// TestLoadBesideATransaction: what is loaded while a transaction runs that deletes the key may be of before, and
// is not kept, though the load is over before those have acked for whom the transaction waits.
func TestLoadBesideATransaction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, nil)
		var source atomic.Value
		source.Store("old")
		m := newMap(t, s, "m:", &kv.MapOptions[string, string]{Load: func(context.Context, string) (string, time.Duration, error) {
			v := source.Load().(string)
			time.Sleep(time.Second)
			return v, 0, nil
		}})
		s.Log().SetSettler(func(int64) error { time.Sleep(10 * time.Second); return nil })
		must(t, s.Update(func(tx *kv.Tx) error {
			if err := tx.Set("other", nil); err != nil {
				return err
			}
			if _, err := m.In(tx).Delete("k"); err != nil {
				return err
			}
			go m.Load(context.Background(), "k")
			time.Sleep(100 * time.Millisecond)
			source.Store("new")
			return nil
		}))
		s.Log().SetSettler(nil)
		if v, err := m.Get("k"); err != kv.ErrNotFound {
			t.Errorf("the store keeps %q, %v", v, err)
		}
		wantLoad(t, m, "k", "new")
	})
}
