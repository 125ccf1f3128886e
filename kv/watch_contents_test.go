package kv_test

import (
	"bytes"
	"errors"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/kv"
)

// Every key of a prefix is among the contents once, with its deadline, unless that has
// passed; with an index and without, in pages that are full of keys and of bytes.
func TestWatchContents(t *testing.T) {
	withAndWithout(t, func(t *testing.T, opts *kv.Options) {
		synctest.Test(t, func(t *testing.T) {
			s := open(t, opts)
			for i := range 2000 {
				set(t, s, key(i), "v")
				set(t, s, "\xff"+strings.Repeat("\xff", i%30)+key(i), "v", kv.TTL(time.Hour))
				set(t, s, "passes:"+key(i), "v", kv.TTL(time.Duration(1+i%2)*time.Minute))
			}
			for i := range 20 {
				must(t, s.Set("large:"+key(i), bytes.Repeat([]byte{byte(i)}, 20_000)))
			}
			s.SetFollower(true) // nothing is deleted any more
			time.Sleep(time.Minute)
			for _, prefix := range []string{"", "k", key(1000)[:13], key(7), "large:", "passes:", "\xff", "\xff\xff\xff", "none"} {
				wantContents(t, s, prefix)
			}
		})
	})
}

func wantContents(t *testing.T, s *kv.Store, prefix string) {
	t.Helper()
	v := view{}
	for e, err := range s.Watch(t.Context(), prefix, backlog.Position{}) {
		must(t, err)
		if e.Kind == kv.EventSynced {
			break
		}
		ttl, err := s.TTL(e.Key)
		if want := time.Now().Add(ttl); err != nil || ttl == kv.NoTTL && !e.Deadline.IsZero() || ttl != kv.NoTTL && !e.Deadline.Equal(want) {
			t.Fatalf("%s, with %v to live, %v", describe(e), ttl, err)
		}
		if _, twice := v[e.Key]; twice || e.Kind != kv.EventPut || e.Last || e.Position != s.Position() {
			t.Fatalf("%s at %v, twice: %v", describe(e), e.Position, twice)
		}
		v.apply(e)
	}
	want := withPrefix(s, prefix)
	if (len(want) == 0) != (prefix == "none") {
		t.Fatalf("%d keys with %q", len(want), prefix)
	}
	wantSameView(t, v, want)
}

// Contents that have become of no use, because the log has gone too far to go on from
// them, begin again. What was written meanwhile is in them then.
func TestWatchContentsBeginAgain(t *testing.T) {
	withAndWithout(t, func(t *testing.T, opts *kv.Options) {
		s := open(t, &kv.Options{LogBytes: 64 << 10, Ordered: opts != nil})
		for i := range 1000 {
			set(t, s, key(i), "old")
		}
		for _, prefix := range []string{"", "key:"} {
			w, v := watch(t, s, prefix, backlog.Position{}), view{}
			v.apply(w.event())
			for i := range 5000 {
				set(t, s, key(i%1000), "new")
			}
			wantNoViews(t, s)
			for e := w.event(); e.Kind != kv.EventReset; e = w.event() {
				if len(v) > 400 {
					t.Fatal("contents that are of no use go on")
				}
				v.apply(e)
			}
			clear(v)
			for e := w.event(); e.Kind != kv.EventSynced; e = w.event() {
				v.apply(e)
			}
			wantSameView(t, v, withPrefix(s, prefix))
			set(t, s, "key:", prefix)
			w.want("put key:=" + prefix + " *")
		}
	})
}

// wantNoViews fails unless the store comes to hold no snapshot.
func wantNoViews(t *testing.T, s *kv.Store) {
	t.Helper()
	for begun := time.Now(); kv.Views(s) > 0; runtime.Gosched() {
		if time.Since(begun) > time.Minute {
			t.Fatalf("%d views of shards are held", kv.Views(s))
		}
	}
}

// A record of several keys is several events, and all of it can be read when the first
// is handed out.
func TestWatchTransactions(t *testing.T) {
	s, to := open(t, nil), open(t, nil)
	to.SetFollower(true)
	f := followEmpty(t, s, to)
	from := s.Position()
	keys := []string{"a:1", "a:2", "b:1"}
	const rounds = 300
	var writer sync.WaitGroup
	defer writer.Wait()
	writer.Go(func() {
		for range rounds {
			addAll(t, s, keys)
			f.catchUp(t)
		}
	})
	for _, store := range []*kv.Store{s, to} {
		all, a := watch(t, store, "", from), watch(t, store, "a:", from)
		for round := range rounds {
			for i := range keys {
				e := all.change()
				if e.Last != (i == 2) || e.Kind != kv.EventPut {
					t.Fatalf("part %d: %s", i, describe(e))
				}
				wantAtLeast(t, store, keys, round+1)
			}
			if e1, e2 := a.change(), a.change(); e1.Last || !e2.Last || e1.Position != e2.Position {
				t.Fatalf("%s, %s", describe(e1), describe(e2))
			}
		}
	}
	writer.Wait()

	w, b := watch(t, s, "", s.Position()), watch(t, s, "b", s.Position())
	n, err := s.DeletePrefix("a:")
	must(t, err)
	if n != 2 {
		t.Fatalf("%d keys deleted", n)
	}
	must(t, s.Rename("b:1", "c:1"))
	w.want("delete prefix a: *")
	if first, second := w.change(), w.change(); first.Last || !second.Last || first.Kind == second.Kind {
		t.Fatalf("rename: %s, %s", describe(first), describe(second))
	}
	b.want("delete b:1 *", "synced *")
}

// addAll adds 1 to all keys at once.
func addAll(t *testing.T, s *kv.Store, keys []string) {
	err := s.Update(func(tx *kv.Tx) error {
		for _, k := range keys {
			if _, err := tx.Add(k, 1); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// wantAtLeast fails unless each key's number is n or more.
func wantAtLeast(t *testing.T, s *kv.Store, keys []string, n int) {
	t.Helper()
	for _, k := range keys {
		value, err := s.Get(k)
		if got, _ := strconv.Atoi(string(value)); err != nil || got < n {
			t.Fatalf("%s is %q, %v, when it was said to be %d", k, value, err, n)
		}
	}
}

// Whatever a store applies, its watchers understand: no bytes are refused by one and
// not by the other, and none make a watcher panic.
func FuzzWatch(f *testing.F) {
	put := appendEntry(nil, "key", "value", 1<<40)[1:]
	for _, payload := range [][]byte{
		nil, put, {3, 'k'}, {3}, {4, 'k'}, {5, 0, 0, 0, 0, 0, 0, 0, 0, 'k'}, {5, 1}, {6}, {6, 6}, {9, 'k'}, {10, 'k'},
		transaction(append([]byte{byte(len(put))}, put...), deleteRecord("k"))[1:], {7}, {7, 0}, {7, 1, 6}, {7, 2, 7, 7},
		prefixRecord("pre", "fix", "")[1:], prefixRecord("", "k")[1:], {8}, {8, 200}, {8, 0},
	} {
		f.Add(payload)
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		s := kv.New(nil)
		defer s.Close()
		record := backlog.AppendRecord(nil, payload)
		from := s.Position()
		applied := s.Apply(from, record)
		if applied != nil { // then it is only logged
			must(t, s.Log().AppendAt(from, record))
		}
		var events []kv.Event
		var watched error
		for e, err := range s.Watch(t.Context(), "", from) {
			if watched = err; err != nil || e.Kind == kv.EventSynced {
				break
			}
			if events = append(events, e); e.Position != s.Position() {
				t.Fatalf("%s at %v, the store is at %v", describe(e), e.Position, s.Position())
			}
		}
		switch {
		case applied == nil && (watched != nil || len(events) == 0 || !events[len(events)-1].Last):
			t.Fatalf("applied, and then %v, %d events", watched, len(events))
		case watched != nil && !errors.Is(watched, kv.ErrRecord):
			t.Fatal(watched)
		}
	})
}
