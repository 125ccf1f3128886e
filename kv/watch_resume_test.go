package kv_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/rdb"
)

// Records as the log has them, by hand.

func putRecord(key, value string) []byte {
	b := make([]byte, rdb.EntrySize(len(key), len(value), 0))
	return b[:rdb.PutEntry(b, key, []byte(value), 0)]
}

func keyRecord(kind byte, key string) []byte {
	return backlog.AppendRecord(nil, append([]byte{kind}, key...))
}

// randomRecord returns a record about few keys, and what a watcher of everything is to
// be told.
func randomRecord(r *rand.Rand, n int) (record []byte, events []string) {
	k := func() string { return []string{"a", "ab", "abc", "b", "ba"}[r.IntN(5)] }
	key, value := k(), fmt.Sprint(n)
	switch r.IntN(8) {
	case 0:
		return deleteRecord(key), []string{"delete " + key}
	case 1:
		return keyRecord(4, key), []string{"expire " + key}
	case 2:
		return evictedRecord(key), []string{"evict " + key}
	case 3:
		return prefixRecord(key[:1], key[1:], "zz"), []string{"delete prefix " + key[:1]}
	case 4, 5:
		other := k() + "!"
		return transaction(putRecord(key, value), deleteRecord(other), putRecord("c", value)),
			[]string{"put " + key + "=" + value, "delete " + other, "put c=" + value}
	}
	return putRecord(key, value), []string{"put " + key + "=" + value}
}

// From the position of every Last event exactly what followed it is handed out, for
// every prefix, on the node that wrote it, on one that follows, and on both after a
// promotion.
func TestWatchResumesAnywhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, to := open(t, nil), open(t, nil)
		to.SetFollower(true)
		f := followEmpty(t, s, to)
		start := s.Position()
		r := rand.New(rand.NewPCG(1, 3))
		var all []string // of a watcher of everything
		for n := range 60 {
			record, events := randomRecord(r, n)
			at := s.Position()
			must(t, s.Apply(at, record))
			all = append(all, events...)
		}
		f.catchUp(t)
		for _, store := range []*kv.Store{s, to} {
			if got := eventsFrom(t, store, "", start); !slices.Equal(words(got), all) {
				t.Fatalf("handed out\n%q, want\n%q", words(got), all)
			}
		}
		for _, prefix := range []string{"", "a", "ab", "b", "ba", "c", "nothing"} {
			resumeAnywhere(t, s, prefix, start, s)
			resumeAnywhere(t, s, prefix, start, to)
		}
		// A promotion: the log goes on in another history.
		to.SetFollower(false)
		to.Log().Fork(backlog.NewHistory())
		set(t, to, "abd", "behind the fork")
		for _, prefix := range []string{"", "ab", "c"} {
			resumeAnywhere(t, s, prefix, start, to)
			resumeAnywhere(t, to, prefix, start, to)
		}
		// Positions up to the fork are named so that who does not know the new history
		// understands them.
		for _, e := range eventsFrom(t, to, "", start) {
			if old := e.Position.Offset <= s.Position().Offset; old != (e.Position.History == start.History) {
				t.Errorf("%s at %v, the fork is at %d", describe(e), e.Position, s.Position().Offset)
			}
		}
	})
}

// resumeAnywhere watches from to its end, and then on from every Last event of it.
func resumeAnywhere(t *testing.T, from *kv.Store, prefix string, start backlog.Position, to *kv.Store) {
	t.Helper()
	all := eventsFrom(t, from, prefix, start)
	want := words(eventsFrom(t, to, prefix, start))
	if prefix == "nothing" && len(all) > 0 || prefix != "nothing" && len(all) < 3 {
		t.Fatalf("prefix %q: %d events", prefix, len(all))
	}
	for i, e := range all {
		more := i+1 < len(all) && all[i+1].Position == e.Position
		if e.Last == more || e.Kind == kv.EventReset {
			t.Fatalf("prefix %q, event %d, %s: another one of the same record: %v", prefix, i, describe(e), more)
		}
		if !e.Last {
			continue
		}
		if got := words(eventsFrom(t, to, prefix, e.Position)); !slices.Equal(got, want[i+1:]) {
			t.Fatalf("prefix %q resumed behind event %d, %s:\n%q, want\n%q", prefix, i, describe(e), got, want[i+1:])
		}
	}
}

// eventsFrom returns what there is from a position to EventSynced, without it.
func eventsFrom(t *testing.T, s *kv.Store, prefix string, from backlog.Position) (events []kv.Event) {
	t.Helper()
	for e, err := range s.Watch(t.Context(), prefix, from) {
		must(t, err)
		if e.Kind == kv.EventSynced {
			if e.Position != s.Position() || !e.Last {
				t.Fatalf("synced at %v, the store is at %v", e.Position, s.Position())
			}
			break
		}
		if !strings.HasPrefix(e.Key, prefix) && (e.Kind != kv.EventDeletePrefix || !strings.HasPrefix(prefix, e.Key)) {
			t.Fatalf("unwanted: %s", describe(e))
		}
		events = append(events, e)
	}
	return events
}

// words returns events without whether they are Last.
func words(events []kv.Event) (s []string) {
	for _, e := range events {
		s = append(s, strings.TrimSuffix(describe(e), " *"))
	}
	return s
}

// A position that is not reached yet is waited for, and nothing is missed then; unless
// it turns out to be lost in a fork.
func TestWatchWaitsForItsPosition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, to := open(t, nil), open(t, nil)
		to.SetFollower(true)
		f := followEmpty(t, s, to)
		set(t, s, "k", "1")
		from := s.Position()

		events := make(chan kv.Event)
		go func() {
			for e, err := range to.Watch(t.Context(), "", from) {
				if err != nil {
					break
				}
				events <- e
			}
			close(events)
		}()
		synctest.Wait()
		select {
		case e := <-events:
			t.Fatalf("%s before the position is reached", describe(e))
		default:
		}
		set(t, s, "k", "2")
		f.catchUp(t)
		// The one before from is not among them.
		if got := []string{describe(<-events), describe(<-events)}; !slices.Equal(got, []string{"put k=2 *", "synced *"}) &&
			!slices.Equal(got, []string{"synced *", "put k=2 *"}) {
			t.Fatalf("%q", got)
		}

		// The same of a position that the other node never comes to.
		set(t, s, "k", "3")
		w := watch(t, to, "", s.Position())
		to.Log().Fork(backlog.NewHistory())
		to.SetFollower(false)
		w.want("reset: ahead of the fork", "put k=2", "synced *")
	})
}

// What a watch cannot go on from is answered by a reset with the reason, and contents.
func TestWatchResets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, &kv.Options{LogBytes: 4 << 10})
		begin := s.Position()
		set(t, s, "k", "long enough to have an inside")
		inside := s.Position()
		inside.Offset -= 3
		watch(t, s, "", inside).want("reset: inside a record", "put k=long enough to have an inside", "synced *")
		unknown := backlog.Position{History: backlog.NewHistory(), Offset: 5}
		watch(t, s, "x", unknown).want("reset: other history", "synced *")
		unknown.Offset = 0
		watch(t, s, "x", unknown).want("reset: other history", "synced *")
		for i := range 200 {
			set(t, s, "x", strings.Repeat("x", i))
		}
		watch(t, s, "k", begin).want("reset: trimmed", "put k=long enough to have an inside", "synced *")

		old := s.Position()
		s.Log().Fork(backlog.NewHistory())
		set(t, s, "x", "y")
		w := watch(t, s, "x", old)
		w.want("put x=y *", "synced *")
		old.Offset++
		e := watch(t, s, "x", old).want("reset: ahead of the fork")
		if e.Last || e.Position != s.Position() {
			t.Errorf("reset at %v, last: %v; the store is at %v", e.Position, e.Last, s.Position())
		}
	})
}

func TestWatchRefuses(t *testing.T) {
	s, none := open(t, nil), open(t, &kv.Options{LogBytes: -1})
	var invalid *kv.InvalidError
	for _, w := range []*watcher{
		watch(t, s, "", backlog.Position{Offset: -1}),
		watch(t, none, "", backlog.Position{}),
	} {
		if e, err, _ := w.next(); !errors.As(err, &invalid) {
			t.Errorf("%s, %v", describe(e), err)
		}
	}
	must(t, s.Log().AppendAt(s.Position(), keyRecord(99, "k")))
	w := watch(t, s, "", backlog.Position{History: s.Position().History})
	w.wantError(kv.ErrRecord)
}

// A record that cannot be decoded ends the watches that come by it, and only those.
func TestWatchGoesOnBehindARecordThatIsNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, nil)
		level, slow := watch(t, s, "", s.Position()), watch(t, s, "", s.Position())
		level.want("synced *")
		slow.want("synced *")
		synctest.Wait()
		must(t, s.Log().AppendAt(s.Position(), keyRecord(99, "k")))
		set(t, s, "k", "1")
		level.wantError(kv.ErrRecord)

		w := watch(t, s, "", backlog.Position{})
		w.want("put k=1", "synced *")
		time.AfterFunc(time.Second, func() { s.Set("k", []byte("2")) })
		w.want("put k=2 *")
		slow.wantError(kv.ErrRecord)
	})
}

// A node that takes a full copy tells those who cannot go on, and only those. What is
// handed out afterwards is what the copy has.
func TestWatchAcrossFullCopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, to := open(t, nil), open(t, nil)
		set(t, to, "own", "1")
		set(t, s, "k", "1")
		w := watch(t, to, "", backlog.Position{})
		idle := watch(t, to, "nothing", to.Position())
		w.want("put own=1", "synced *")
		idle.want("synced *")

		f := fullCopy(t, s, to)
		w.want("reset: other history", "put k=1", "synced *")
		idle.want("reset: other history", "synced *")
		set(t, s, "k", "2")
		f.catchUp(t)
		last := w.want("put k=2 *")

		// A second copy of what the node has already: its watchers are where the
		// copy's log begins, or behind, and need not begin again.
		fullCopy(t, s, to)
		set(t, s, "k", "3")
		f = follow(t, s, to)
		f.catchUp(t)
		w.want("put k=3 *")

		// One that is behind has to.
		set(t, s, "k", "4")
		fullCopy(t, s, to)
		watch(t, to, "", last.Position).want("reset: trimmed", "put k=4", "synced *")
		w.want("reset: trimmed", "put k=4", "synced *")

		// Contents that were restored are not continued either, nor dropped ones.
		restoreFromSnapshot(t, s)
		ws := watch(t, s, "", backlog.Position{})
		ws.want("put k=4", "synced *")
		restoreFromSnapshot(t, s)
		ws.want("reset: trimmed", "put k=4", "synced *")
		must(t, s.Drop(rdb.Header{}))
		ws.want("reset: other history", "synced *")
	})
}

// A word from time to time keeps the position fresh that a program resumes from, though
// nothing happens to its keys.
func TestWatchKeepsPositionFresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, nil)
		w := watch(t, s, "quiet", backlog.Position{})
		e := w.want("synced *")
		const bytes = 10 << 20
		go func() {
			for value := make([]byte, 10_000); s.Position().Offset < bytes; {
				must(t, s.Set("loud", value))
			}
			set(t, s, "quiet", "1")
		}()
		words := 0
		for last := e.Position.Offset; ; last = e.Position.Offset {
			e = w.event()
			if behind := e.Position.Offset - last; behind > 2<<20+1<<18 {
				t.Fatalf("%s %d bytes after the event before it", describe(e), behind)
			}
			if e.Kind == kv.EventPut {
				break
			}
			words++
		}
		if words < 4 || words > 11 {
			t.Fatalf("%d words in %d bytes", words, bytes)
		}
	})
}

// On a node that follows nothing is handed out before it is applied.
func TestWatchEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, nil)
		ahead := s.Position()
		ahead.Offset = 1 << 40
		for _, from := range []backlog.Position{{}, s.Position(), ahead} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			var err error
			for _, err = range s.Watch(ctx, "", from) {
			}
			if err != context.DeadlineExceeded {
				t.Errorf("from %v: %v", from, err)
			}
			cancel()
		}
	})
}

// Watchers of a node that takes one full copy after another, follows in between, and is
// written to all the while, end with what the node has.
func TestWatchWhileCopied(t *testing.T) {
	s, to := open(t, nil), open(t, nil)
	var watching, writing sync.WaitGroup
	prefixes := []string{"", "key:", key(3)[:14], key(7)}
	for _, prefix := range prefixes {
		for range 3 {
			watching.Go(func() {
				v, synced, ended := view{}, false, false
				for e, err := range to.Watch(t.Context(), prefix, backlog.Position{}) {
					if err != nil {
						t.Error(err)
						return
					}
					v.apply(e)
					switch {
					case e.Kind == kv.EventReset:
						synced = false
					case e.Kind == kv.EventSynced:
						synced = true
					case e.Key == prefix+"~end":
						ended = true
					}
					if ended && synced {
						break
					}
				}
				want := withPrefix(to, prefix)
				maps.DeleteFunc(v, func(k, _ string) bool { return strings.HasSuffix(k, "~end") })
				maps.DeleteFunc(want, func(k, _ string) bool { return strings.HasSuffix(k, "~end") })
				if !maps.Equal(v, want) {
					t.Errorf("prefix %q: %d keys, want %d", prefix, len(v), len(want))
				}
			})
		}
	}
	for round := range 20 {
		writing.Go(func() {
			r := rand.New(rand.NewPCG(uint64(round), 4))
			for i := range 300 {
				if set(t, s, key(r.IntN(100)), strconv.Itoa(i)); i%10 == 0 {
					_, err := s.Delete(key(r.IntN(100)))
					must(t, err)
				}
			}
		})
		f := fullCopy(t, s, to)
		f.catchUp(t)
		writing.Wait()
		f.catchUp(t)
		if round%5 == 4 {
			restoreFromSnapshot(t, s) // and so the next copy is of another history
		}
	}
	f := fullCopy(t, s, to)
	for _, prefix := range prefixes {
		set(t, s, prefix+"~end", "")
	}
	f.catchUp(t)
	watching.Wait()
}
