package kv_test

import (
	"fmt"
	"iter"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/kv"
)

// records returns how many records the store's log has got since an offset, and the
// kind of the last one.
func records(tb testing.TB, s *kv.Store, since int64) (n int, kind byte) {
	tb.Helper()
	r, err := s.Log().NewReader(since)
	must(tb, err)
	for {
		b, err := r.Next(s.Log().End())
		must(tb, err)
		if b == nil {
			return n, kind
		}
		for len(b) > 0 {
			payload, rest, err := backlog.CutRecord(b)
			must(tb, err)
			n, kind, b = n+1, payload[0], rest
		}
	}
}

// Everything a transaction can write, what it sees of that itself, and what comes of it
// here, on a follower, and when the records are applied again.
func TestUpdate(t *testing.T) {
	s, to := open(t, nil), open(t, nil)
	to.SetFollower(true)
	f := followEmpty(t, s, to)
	set(t, s, "a", "1")
	set(t, s, "b", "2", kv.TTL(time.Hour))
	set(t, s, "c", "3")
	set(t, s, "n", "41", kv.TTL(time.Hour))
	set(t, s, "keep", "x", kv.TTL(time.Hour))
	before := s.Position()
	must(t, s.Update(func(tx *kv.Tx) error {
		want := func(key, value string, ttl bool) {
			t.Helper()
			v, err := tx.Get(key)
			has, _ := tx.Has(key)
			left, _ := tx.TTL(key)
			if (err == nil) != (value != "") || string(v) != value || has != (value != "") || has && (left != kv.NoTTL) != ttl {
				t.Errorf("%q = %q, %v, %v, %v", key, v, err, has, left)
			}
		}
		value := []byte("new")
		must(t, tx.Set("a", value))
		copy(value, "old") // the transaction has a copy
		want("a", "new", false)
		want("b", "2", true)
		ok, err := tx.Persist("b")
		if want("b", "2", false); !ok || err != nil {
			t.Errorf("Persist: %v, %v", ok, err)
		}
		if ok, err = tx.Persist("b"); ok || err != nil {
			t.Errorf("Persist twice: %v, %v", ok, err)
		}
		if ok, err = tx.Delete("c"); !ok || err != nil {
			t.Errorf("Delete: %v, %v", ok, err)
		}
		want("c", "", false)
		if ok, err = tx.Delete("c"); ok || err != nil {
			t.Errorf("Delete twice: %v, %v", ok, err)
		}
		if n, err := tx.Add("n", 1); n != 42 || err != nil {
			t.Errorf("Add: %v, %v", n, err)
		}
		want("n", "42", true)
		if n, err := tx.Add("n2", -1); n != -1 || err != nil {
			t.Errorf("Add: %v, %v", n, err)
		}
		must(t, tx.Set("keep", []byte("y"), kv.KeepTTL()))
		want("keep", "y", true)
		must(t, tx.Set("gone", []byte("y"), kv.TTL(time.Hour)))
		must(t, tx.Set("gone", []byte("y"), kv.ExpireAt(time.Now().Add(-time.Hour))))
		want("gone", "", false)
		if err := tx.Set("a", nil, kv.IfAbsent()); err != kv.ErrExists {
			t.Errorf("IfAbsent: %v", err)
		}
		if err := tx.Set("c", nil, kv.IfPresent()); err != kv.ErrNotFound {
			t.Errorf("IfPresent: %v", err)
		}
		must(t, tx.Set("new", []byte("z"), kv.IfAbsent(), kv.TTL(time.Hour)))
		if ok, err = tx.Expire("a", time.Hour); !ok || err != nil {
			t.Errorf("Expire: %v, %v", ok, err)
		}
		want("a", "new", true)
		if ok, err = tx.Expire("missing", time.Hour); ok || err != nil {
			t.Errorf("Expire of nothing: %v, %v", ok, err)
		}
		wantValue(t, s, "a", "1") // not yet
		return nil
	}))
	if n, kind := records(t, s, before.Offset); n != 1 || kind != 7 {
		t.Errorf("%d records, the last of kind %d", n, kind)
	}
	f.catchUp(t)
	want := map[string]string{"a": "new", "b": "2", "n": "42", "n2": "-1", "keep": "y", "new": "z"}
	for _, s := range []*kv.Store{s, to} {
		if got := contents(s); !maps.Equal(got, want) {
			t.Errorf("contents: %v", got)
		}
	}
	wantSame(t, s, to)
	r, err := s.Log().NewReader(before.Offset)
	must(t, err)
	record, err := r.Next(s.Log().End())
	must(t, err)
	once := digest(t, to)
	must(t, to.Apply(to.Position(), record))
	if again := digest(t, to); again.Sum != once.Sum || again.Keys != once.Keys {
		t.Errorf("applied again: %+v, once %+v", again, once)
	}
}

// A write to one key is logged as if no transaction had been about it, and none not at
// all.
func TestUpdateLogsPlainRecords(t *testing.T) {
	for name, c := range map[string]struct {
		fn   func(*kv.Tx) error
		n    int
		kind byte
	}{
		"nothing":           {func(tx *kv.Tx) error { return nil }, 0, 0},
		"a read":            {func(tx *kv.Tx) error { _, err := tx.Get("k"); return err }, 0, 0},
		"a missing delete":  {func(tx *kv.Tx) error { _, err := tx.Delete("missing"); return err }, 0, 0},
		"here and gone":     {func(tx *kv.Tx) error { _, err := tx.Add("m", 1); tx.Delete("m"); return err }, 0, 0},
		"a put":             {func(tx *kv.Tx) error { return tx.Set("k", []byte("w")) }, 1, 1},
		"a put, a deadline": {func(tx *kv.Tx) error { return tx.Set("k", []byte("w"), kv.TTL(time.Hour)) }, 1, 2},
		"twice the same":    {func(tx *kv.Tx) error { tx.Set("k", []byte("x")); return tx.Set("k", []byte("w")) }, 1, 1},
		"a delete":          {func(tx *kv.Tx) error { _, err := tx.Delete("k"); return err }, 1, 3},
		"a deadline":        {func(tx *kv.Tx) error { _, err := tx.Expire("k", time.Hour); return err }, 1, 5},
		"two":               {func(tx *kv.Tx) error { tx.Set("l", nil); return tx.Set("k", []byte("w")) }, 1, 7},
	} {
		s := open(t, nil)
		set(t, s, "k", "v")
		before := s.Position()
		must(t, s.Update(c.fn))
		if n, kind := records(t, s, before.Offset); n != c.n || kind != c.kind {
			t.Errorf("%s: %d records, of kind %d", name, n, kind)
		}
		wantTrueDigest(t, s)
	}
}

// A function may use the store that it is a transaction of.
func TestUpdateWithinUpdate(t *testing.T) {
	s := open(t, nil)
	runs := 0
	must(t, s.Update(func(tx *kv.Tx) error {
		runs++
		must(t, tx.Set("outer", []byte("1")))
		must(t, s.Update(func(tx *kv.Tx) error { return tx.Set("inner", []byte("1")) }))
		return s.View(func(tx *kv.Tx) error { _, err := tx.Get("inner"); return err })
	}))
	if runs != 1 || s.Len() != 2 {
		t.Errorf("%d runs, %d keys", runs, s.Len())
	}
}

// An iteration shows exactly one moment, and the transaction's own writes up to there.
func TestTxIterates(t *testing.T) {
	synctest.Test(t, testTxIterates)
}

func testTxIterates(t *testing.T) {
	s := open(t, nil)
	for _, k := range []string{"a:1", "a:2", "a:3", "b:1"} {
		set(t, s, k, "old")
	}
	set(t, s, "a:expired", "old", kv.ExpireAt(time.Now().Add(time.Millisecond)))
	s.SetFollower(true) // nobody deletes the key, it is only hidden: that would be a conflict
	time.Sleep(time.Millisecond)
	runs := 0
	must(t, s.Update(func(tx *kv.Tx) error {
		runs++
		must(t, tx.Set("a:1", []byte("new")))
		must(t, tx.Set("a:4", []byte("new")))
		must(t, tx.Set("b:2", []byte("new")))
		_, err := tx.Delete("a:2")
		must(t, err)
		got := map[string]string{}
		for k, v := range tx.Prefix("a:") {
			got[k] = string(v)
			must(t, tx.Set(k, []byte("seen"))) // not shown by this loop
			must(t, tx.Set(k+":more", []byte("x")))
		}
		if want := map[string]string{"a:1": "new", "a:3": "old", "a:4": "new"}; !maps.Equal(got, want) {
			t.Errorf("%v", got)
		}
		if v, err := tx.Get("b:1"); string(v) != "old" || err != nil {
			t.Errorf("%q, %v", v, err)
		}
		if runs == 1 {
			set(t, s, "c", "anything is a conflict now")
			if v, err := tx.Get("b:1"); string(v) != "old" || err != nil {
				t.Errorf("%q, %v", v, err)
			}
		}
		return nil
	}))
	if runs != 2 || s.Len() != 9 {
		t.Errorf("%d runs, %d keys", runs, s.Len())
	}
	// A range cannot say that what was read before is out of date: it ends the function.
	runs, deferred := 0, 0
	must(t, s.Update(func(tx *kv.Tx) error {
		defer func() { deferred++ }()
		_, err := tx.Get("c")
		must(t, err)
		if runs++; runs == 1 {
			set(t, s, "c", "changed")
		}
		n := 0
		for range tx.All() {
			n++
		}
		if n != s.Len() || runs == 1 {
			t.Errorf("run %d: %d keys", runs, n)
		}
		return nil
	}))
	if runs != 2 || deferred != 2 || kv.Views(s) != 0 {
		t.Errorf("%d runs, %d deferred calls, %d views", runs, deferred, kv.Views(s))
	}
}

// Time counts as a writer: what was there when it was read and is not at the end is a
// conflict.
func TestTxDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, nil)
		set(t, s, "lock", "me", kv.TTL(time.Second))
		runs := 0
		must(t, s.Update(func(tx *kv.Tx) error {
			runs++
			held, err := tx.Has("lock")
			must(t, err)
			if left, err := tx.TTL("lock"); held && (left != time.Second || err != nil) {
				t.Errorf("TTL %v, %v", left, err)
			}
			if runs == 1 {
				time.Sleep(2 * time.Second)
				if _, err := tx.Get("other"); err != kv.ErrConflict {
					t.Errorf("Get after the deadline: %v", err)
				}
			}
			return tx.Set("held", []byte(fmt.Sprint(held)))
		}))
		wantValue(t, s, "held", "false")
		runs = 0
		set(t, s, "lock", "me", kv.TTL(time.Second))
		must(t, s.Update(func(tx *kv.Tx) error {
			n := 0
			for range tx.All() {
				n++
			}
			if runs++; runs == 1 {
				s.SetFollower(true) // nobody deletes the key, it is only hidden
				time.Sleep(2 * time.Second)
			}
			return tx.Set("n", []byte(fmt.Sprint(n)))
		}))
		wantValue(t, s, "n", "1")
		s.SetFollower(false)
		time.Sleep(time.Second)
		must(t, s.Update(func(tx *kv.Tx) error {
			must(t, tx.Set("short", []byte("v"), kv.TTL(time.Second)))
			return tx.Set("shorter", []byte("v"), kv.TTL(time.Millisecond))
		}))
		before := s.Position()
		time.Sleep(3 * time.Second)
		if n, kind := records(t, s, before.Offset); n != 2 || kind != 4 {
			t.Errorf("%d records, the last of kind %d", n, kind)
		}
	})
}

// What a transaction has read of its own writes stays as it is when others have the room in which
// those were.
func TestUpdateKeepsWhatItReadOfItsOwn(t *testing.T) {
	first := func(seq iter.Seq2[string, []byte]) (key string, value []byte) {
		for key, value = range seq {
			break
		}
		return key, value
	}
	for name, read := range map[string]func(tx *kv.Tx) (string, []byte){
		"Get": func(tx *kv.Tx) (string, []byte) {
			value, err := tx.Get("key")
			must(t, err)
			return "key", value
		},
		"All":      func(tx *kv.Tx) (string, []byte) { return first(tx.All()) },
		"Range":    func(tx *kv.Tx) (string, []byte) { return first(tx.Range("", "")) },
		"Backward": func(tx *kv.Tx) (string, []byte) { return first(tx.Backward("", "")) },
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, nil)
			var key string
			var value []byte
			must(t, s.Update(func(tx *kv.Tx) error {
				must(t, tx.Set("key", []byte("value")))
				key, value = read(tx)
				return nil
			}))
			for range 100 { // the race detector lets a pool lose some
				must(t, s.Update(func(tx *kv.Tx) error { return tx.Set("kex", []byte("walue")) }))
			}
			if key != "key" || string(value) != "value" {
				t.Errorf("it read %q = %q", key, value)
			}
		})
	}
}
