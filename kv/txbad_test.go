package kv_test

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/rdb"
)

// All that can be wrong has its error, and nothing has changed.
func TestTxBadInput(t *testing.T) {
	long := strings.Repeat("k", rdb.MaxKeyBytes+1)
	invalid := errors.New("an InvalidError")
	s := open(t, &kv.Options{MaxTxKeys: 3})
	set(t, s, "text", "v")
	set(t, s, "max", fmt.Sprint(int64(math.MaxInt64)))
	before := digest(t, s)
	mine := errors.New("mine")
	for name, c := range map[string]struct {
		fn   func(tx *kv.Tx) error
		want error
	}{
		"empty key":           {func(tx *kv.Tx) error { return tx.Set("", nil) }, kv.ErrEmptyKey},
		"long key":            {func(tx *kv.Tx) error { return tx.Set(long, nil) }, kv.ErrTooLarge},
		"long value":          {func(tx *kv.Tx) error { return tx.Set("k", make([]byte, rdb.MaxValueBytes+1)) }, kv.ErrTooLarge},
		"negative TTL":        {func(tx *kv.Tx) error { return tx.Set("k", nil, kv.TTL(-1)) }, invalid},
		"negative Expire":     {func(tx *kv.Tx) error { _, err := tx.Expire("text", -1); return err }, invalid},
		"ExpireAt too late":   {func(tx *kv.Tx) error { return tx.Set("k", nil, kv.ExpireAt(time.Unix(1<<60, 0))) }, invalid},
		"two deadlines":       {func(tx *kv.Tx) error { return tx.Set("k", nil, kv.TTL(1), kv.KeepTTL()) }, invalid},
		"empty counter":       {func(tx *kv.Tx) error { _, err := tx.Add("", 1); return err }, kv.ErrEmptyKey},
		"no counter":          {func(tx *kv.Tx) error { _, err := tx.Add("text", 1); return err }, kv.ErrNotInteger},
		"counter past int64":  {func(tx *kv.Tx) error { _, err := tx.Add("max", 1); return err }, kv.ErrOverflow},
		"an error of its own": {func(tx *kv.Tx) error { tx.Set("k", nil); return mine }, mine},
		"too many keys": {func(tx *kv.Tx) error {
			for i := range 3 {
				must(t, tx.Set(key(i), nil))
			}
			must(t, tx.Set(key(0), []byte("again")))
			return tx.Set(key(3), nil)
		}, kv.ErrTooLarge},
	} {
		err := s.Update(c.fn)
		var ie *kv.InvalidError
		if ok := errors.Is(err, c.want) || c.want == invalid && errors.As(err, &ie); !ok {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if after := digest(t, s); after != before {
			t.Fatalf("%s: something has changed", name)
		}
	}
	for name, call := range map[string]func(func(*kv.Tx) error) error{"Update": s.Update, "View": s.View} {
		var ie *kv.InvalidError
		if err := call(nil); !errors.As(err, &ie) {
			t.Errorf("%s of nothing: %v", name, err)
		}
	}
	if err := s.View(func(*kv.Tx) error { return mine }); err != mine {
		t.Errorf("View: %v", err)
	}
}

// A deadline that is too far away to be written down.
func TestTxOverflowingTTL(t *testing.T) {
	s := open(t, nil)
	set(t, s, "k", "v")
	s.SetFollower(true)
	s.SetClock(math.MaxInt64 / 2)
	s.SetFollower(false)
	before := digest(t, s)
	// The clock cannot be so far ahead that the longest duration, 292 years, overflows
	// 64 bits of milliseconds; the deadline itself can be at their end.
	must(t, s.Update(func(tx *kv.Tx) error {
		must(t, tx.Set("k", []byte("w"), kv.ExpireAt(time.UnixMilli(math.MaxInt64))))
		ttl, err := tx.TTL("k")
		if ttl < math.MaxInt64/2 {
			t.Errorf("TTL = %v", ttl)
		}
		return err
	}))
	if after := digest(t, s); after == before {
		t.Error("nothing has changed")
	}
}

// Every method of a transaction that has ended, and those that write of one that only
// reads, return their errors, and change nothing.
func TestTxAtTheWrongTime(t *testing.T) {
	s := open(t, nil)
	set(t, s, "k", "v")
	writes := map[string]func(*kv.Tx) error{
		"Set":     func(tx *kv.Tx) error { return tx.Set("k", nil) },
		"Delete":  func(tx *kv.Tx) error { _, err := tx.Delete("k"); return err },
		"Add":     func(tx *kv.Tx) error { _, err := tx.Add("k", 1); return err },
		"Expire":  func(tx *kv.Tx) error { _, err := tx.Expire("k", 1); return err },
		"Persist": func(tx *kv.Tx) error { _, err := tx.Persist("k"); return err },
	}
	reads := map[string]func(*kv.Tx) error{
		"Get": func(tx *kv.Tx) error { _, err := tx.Get("k"); return err },
		"GetMulti": func(tx *kv.Tx) error {
			dst := [][]byte{{1}}
			values, err := tx.GetMulti(dst, "k", "k")
			if err != nil && len(values) != 1 {
				t.Errorf("GetMulti returned %q, %v", values, err)
			}
			return err
		},
		"Has": func(tx *kv.Tx) error { _, err := tx.Has("k"); return err },
		"TTL": func(tx *kv.Tx) error { _, err := tx.TTL("k"); return err },
	}
	before := digest(t, s)
	var updated, viewed *kv.Tx
	must(t, s.Update(func(tx *kv.Tx) error { updated = tx; return nil }))
	must(t, s.View(func(tx *kv.Tx) error {
		viewed = tx
		for name, f := range writes {
			if err := f(tx); err != kv.ErrReadOnlyTx {
				t.Errorf("%s in a View: %v", name, err)
			}
		}
		return nil
	}))
	maps.Copy(writes, reads)
	for name, f := range writes {
		for _, tx := range []*kv.Tx{updated, viewed} {
			if err := f(tx); err != kv.ErrTxDone {
				t.Errorf("%s after the end: %v", name, err)
			}
		}
	}
	for range updated.All() {
		t.Error("All after the end")
	}
	if after := digest(t, s); after != before {
		t.Error("something has changed")
	}
	err := s.Update(func(tx *kv.Tx) error {
		must(t, tx.Set("k", nil))
		must(t, s.Close())
		if err := reads["Get"](viewed); err != kv.ErrTxDone {
			t.Errorf("Get after the end and Close: %v", err)
		}
		if _, err := tx.Get("other"); err != kv.ErrClosed {
			t.Errorf("Get after Close: %v", err)
		}
		return nil
	})
	if err != kv.ErrClosed {
		t.Errorf("Update under Close: %v", err)
	}
	nothing := func(*kv.Tx) error { t.Error("called after Close"); return nil }
	n, errPrefix := s.DeletePrefix("k")
	for name, err := range map[string]error{
		"Update": s.Update(nothing), "View": s.View(nothing), "Rename": s.Rename("k", "l"), "Copy": s.Copy("k", "l"), "DeletePrefix": errPrefix,
	} {
		if err != kv.ErrClosed || n != 0 {
			t.Errorf("%s after Close: %v", name, err)
		}
	}
}

// A panic in the function is passed on, and so is its end by runtime.Goexit; nothing is
// left behind, and nothing was written.
func TestTxPanic(t *testing.T) {
	s := open(t, nil)
	set(t, s, "k", "v")
	before := digest(t, s)
	fn := func(end func()) func(*kv.Tx) error {
		return func(tx *kv.Tx) error {
			for range tx.All() {
				break
			}
			tx.Set("k", nil)
			end()
			return nil
		}
	}
	for _, call := range []func(func(*kv.Tx) error) error{s.Update, s.View} {
		func() {
			defer func() {
				if r := recover(); r != "mine" {
					t.Errorf("recovered %v", r)
				}
			}()
			call(fn(func() { panic("mine") }))
		}()
		done := make(chan bool)
		go func() {
			defer close(done)
			call(fn(runtime.Goexit))
			t.Error("the function ended its goroutine, and it goes on")
		}()
		<-done
	}
	if v := kv.Views(s); v != 0 {
		t.Errorf("%d views are still in use", v)
	}
	if after := digest(t, s); after != before {
		t.Error("something has changed")
	}
	set(t, s, "k", "w") // nothing is locked
}

// The log's gate and settler have their say as with any write; a gate that closes while
// the function runs, too.
func TestUpdateAtTheGate(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	for i := range 100 {
		set(t, s, key(i), "v")
	}
	closed, late := errors.New("closed"), errors.New("late")
	before := digest(t, s)
	used, dead := kv.SlabBytes(s)
	write := func(shut bool) func(*kv.Tx) error {
		return func(tx *kv.Tx) error {
			for i := range 100 {
				must(t, tx.Set(key(i*2), []byte(strings.Repeat("w", 50))))
			}
			if shut {
				s.Log().SetGate(func() error { return closed })
			}
			return nil
		}
	}
	for range 1000 {
		if err := s.Update(write(true)); err != closed {
			t.Fatalf("behind a gate that closed: %v", err)
		}
		s.Log().SetGate(nil)
	}
	if after := digest(t, s); after != before {
		t.Error("something has changed")
	}
	if nowUsed, nowDead := kv.SlabBytes(s); nowUsed-nowDead != used-dead || nowUsed > 2*used+1<<20 {
		t.Errorf("%d bytes used, %d dead; before %d, %d", nowUsed, nowDead, used, dead)
	}
	s.Log().SetGate(func() error { return closed })
	err := s.Update(func(*kv.Tx) error { t.Error("called behind a closed gate"); return nil })
	if err != closed || s.Rename(key(0), "k") != closed || s.Copy(key(0), "k") != closed {
		t.Errorf("behind a closed gate: %v", err)
	}
	if _, err := s.DeletePrefix("none"); err != closed {
		t.Errorf("DeletePrefix behind a closed gate: %v", err)
	}
	must(t, s.View(func(tx *kv.Tx) error { _, err := tx.Get(key(0)); return err }))
	s.Log().SetGate(nil)
	s.Log().SetSettler(func(int64) error { return late })
	if err := s.Update(write(false)); err != late {
		t.Errorf("a late acknowledgement: %v", err)
	}
	wantValue(t, s, key(198), strings.Repeat("w", 50)) // it stands
	if err := s.Rename(key(0), "k"); err != late {
		t.Errorf("Rename: %v", err)
	}
	if n, err := s.DeletePrefix("k"); err != late || n != 150 || s.Len() != 0 {
		t.Errorf("DeletePrefix: %d, %v", n, err)
	}
	wantTrueDigest(t, s)
}
