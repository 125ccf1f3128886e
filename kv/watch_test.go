package kv_test

import (
	"errors"
	"iter"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/kv"
)

// A watcher takes events one at a time.
type watcher struct {
	tb   testing.TB
	next func() (kv.Event, error, bool)
	stop func()
}

func watch(tb testing.TB, s *kv.Store, prefix string, from backlog.Position) *watcher {
	next, stop := iter.Pull2(s.Watch(tb.Context(), prefix, from))
	tb.Cleanup(stop)
	return &watcher{tb, next, stop}
}

// event returns the next event.
func (w *watcher) event() kv.Event {
	w.tb.Helper()
	e, err, ok := w.next()
	if err != nil || !ok {
		w.tb.Fatalf("watch ended: %v", err)
	}
	return e
}

// change returns the next event that is not EventSynced.
func (w *watcher) change() kv.Event {
	w.tb.Helper()
	for {
		if e := w.event(); e.Kind != kv.EventSynced {
			return e
		}
	}
}

// want fails unless the next events are these; see describe.
func (w *watcher) want(events ...string) (last kv.Event) {
	w.tb.Helper()
	for _, want := range events {
		if last = w.event(); describe(last) != want {
			w.tb.Fatalf("%q, want %q", describe(last), want)
		}
	}
	return last
}

// wantError fails unless the watch ends with an error.
func (w *watcher) wantError(want error) {
	w.tb.Helper()
	if e, err, _ := w.next(); !errors.Is(err, want) {
		w.tb.Fatalf("%q, %v, want %v", describe(e), err, want)
	}
	if e, err, ok := w.next(); ok {
		w.tb.Fatalf("%q, %v after the error", describe(e), err)
	}
}

// describe returns an event in words: an asterisk for one that is Last.
func describe(e kv.Event) string {
	s := e.Kind.String()
	switch e.Kind {
	case kv.EventPut:
		s += " " + e.Key + "=" + string(e.Value)
	case kv.EventReset:
		s += ": " + e.Reason.String()
	case kv.EventSynced:
	default:
		s += " " + e.Key
	}
	if !e.Deadline.IsZero() {
		s += " until " + strconv.FormatInt(e.Deadline.UnixMilli(), 10)
	}
	if e.Last {
		s += " *"
	}
	return s
}

// A view is what a consumer makes of events.
type view map[string]string

func (v view) apply(e kv.Event) {
	switch e.Kind {
	case kv.EventPut:
		v[e.Key] = string(e.Value)
	case kv.EventDelete, kv.EventExpire, kv.EventEvict:
		delete(v, e.Key)
	case kv.EventDeletePrefix:
		maps.DeleteFunc(v, func(k, _ string) bool { return strings.HasPrefix(k, e.Key) })
	case kv.EventReset:
		clear(v)
	}
}

// withPrefix returns what a store shows of the keys with a prefix.
func withPrefix(s *kv.Store, prefix string) view {
	v := view{}
	for key, value := range s.Prefix(prefix) {
		v[key] = string(value)
	}
	return v
}

func TestWatchEveryKind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, nil)
		until := time.Now().Add(time.Second)
		ms := strconv.FormatInt(until.UnixMilli(), 10)
		set(t, s, "a", "1")
		set(t, s, "b", "2", kv.ExpireAt(until))

		at := s.Position()
		w := watch(t, s, "", backlog.Position{})
		first := []string{describe(w.event()), describe(w.event())}
		slices.Sort(first)
		if want := []string{"put a=1", "put b=2 until " + ms}; !slices.Equal(first, want) {
			t.Fatalf("contents %q, want %q", first, want)
		}
		if e := w.want("synced *"); e.Position.Offset < at.Offset {
			t.Fatalf("synced at %v, before %v", e.Position, at)
		}
		set(t, s, "a", "4")
		set(t, s, "c", "", kv.ExpireAt(until))
		w.want("put a=4 *", "put c= until "+ms+" *")
		_, err := s.Persist("b")
		must(t, err)
		_, err = s.Expire("b", 2*time.Second)
		must(t, err)
		later := strconv.FormatInt(time.Now().Add(2*time.Second).UnixMilli(), 10)
		_, err = s.Delete("a")
		must(t, err)
		w.want("deadline b *", "deadline b until "+later+" *", "delete a *")
		time.Sleep(time.Second)
		w.want("expire c *")
		must(t, s.Clear())
		if e := w.want("delete prefix  *"); e.Position != s.Position() || e.Behind != 0 {
			t.Fatalf("at %v, %d behind, the store is at %v", e.Position, e.Behind, s.Position())
		}
	})
}

// What an event says can be read when it is handed out, on the node that writes and on
// one that follows.
func TestWatchedCanBeRead(t *testing.T) {
	s, to := open(t, nil), open(t, nil)
	to.SetFollower(true)
	f := followEmpty(t, s, to)
	const writes = 2000
	var writers, others sync.WaitGroup
	for worker := range 2 {
		writers.Go(func() {
			for i := range writes {
				set(t, s, "k"+strconv.Itoa(worker), strconv.Itoa(i))
			}
		})
	}
	for _, store := range []*kv.Store{s, to} {
		others.Go(func() {
			for e, err := range store.Watch(t.Context(), "k", backlog.Position{History: s.Position().History}) {
				if err != nil {
					t.Error(err)
					return
				}
				want, _ := strconv.Atoi(string(e.Value))
				value, err := store.Get(e.Key)
				if got, _ := strconv.Atoi(string(value)); e.Kind == kv.EventPut && (err != nil || got < want) {
					t.Errorf("%q can be read, %v, after the event that it is %d", value, err, want)
					return
				}
				if e.Position.Offset == int64(s.Log().End()) && e.Position.Offset > 0 && want == writes-1 {
					return
				}
			}
		})
	}
	f.catchUp(t)
	writers.Wait()
	f.catchUp(t)
	others.Wait()
}

// Records that a follower has logged and not applied yet are not handed out, though there
// may be many of them at once, and the one in question the last.
func TestWatchedIsApplied(t *testing.T) {
	s := open(t, nil)
	s.SetFollower(true)
	const batches, records = 40, 4000
	var applying, waking sync.WaitGroup
	done := make(chan struct{})
	waking.Go(func() { // whoever waits for the store is woken in the middle, too
		for {
			select {
			case <-done:
				return
			default:
				s.SetClock(0)
				runtime.Gosched()
			}
		}
	})
	w := watch(t, s, "last:", s.Position())
	w.want("synced *")
	applying.Go(func() {
		for n := range batches {
			var b []byte
			for i := range records {
				b = appendEntry(b, key(n*records+i), "v", 0)
			}
			must(t, s.Apply(s.Position(), appendEntry(b, "last:"+key(n), "v", 0)))
		}
	})
	for range batches {
		e := w.change()
		if _, err := s.Get(e.Key); err != nil {
			t.Errorf("%s, and then %v", describe(e), err)
		}
	}
	applying.Wait()
	close(done)
	waking.Wait()
}

// Everything that is in the log comes once and in order, while writers are at work, and
// makes the contents of each prefix out of nothing.
func TestWatchInOrder(t *testing.T) {
	s, to := open(t, nil), open(t, nil)
	to.SetFollower(true)
	f := followEmpty(t, s, to)
	history := s.Position().History
	for i := range 300 {
		set(t, s, key(i), "early")
	}
	f.catchUp(t)

	var wg, writers sync.WaitGroup
	done := make(chan struct{})
	end := func() int64 { // where to stop, when it is known
		select {
		case <-done:
			return s.Position().Offset
		default:
			return -1
		}
	}
	for _, store := range []*kv.Store{s, to} {
		for _, prefix := range []string{"", key(1)[:15], "nothing"} {
			for _, from := range []backlog.Position{{}, {History: history}} {
				wg.Go(func() { watchInOrder(t, store, prefix, from, end) })
			}
		}
	}
	for worker := range 2 {
		writers.Go(func() { writeRandomly(t, s, uint64(worker)) })
	}
	wg.Go(func() { writers.Wait(); close(done) })
	for open := true; open; {
		select {
		case <-done:
			open = false
		default:
			runtime.Gosched()
		}
		f.catchUp(t)
	}
	// Something for everybody, to end by.
	must(t, s.Clear())
	f.catchUp(t)
	wg.Wait()
}

func writeRandomly(t *testing.T, s *kv.Store, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 2))
	for i := range 5000 {
		k := key(r.IntN(300))
		switch r.IntN(8) {
		case 0:
			_, err := s.Delete(k)
			must(t, err)
		case 1:
			_, err := s.Expire(k, time.Hour)
			must(t, err)
		default:
			set(t, s, k, strconv.Itoa(i))
		}
	}
}

// A watcher that is alone at the contents is synced right behind them, however fast the
// writers are.
func TestWatchSyncedBehindContents(t *testing.T) {
	s := open(t, nil)
	set(t, s, "a", "0")
	done := make(chan struct{})
	var writers sync.WaitGroup
	defer writers.Wait()
	defer close(done)
	for worker := range 2 {
		writers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-done:
					return
				default:
					set(t, s, string(rune('a'+worker)), strconv.Itoa(i))
				}
			}
		})
	}
	for range 300 {
		for e, err := range s.Watch(t.Context(), "", backlog.Position{}) {
			must(t, err)
			if e.Kind == kv.EventSynced {
				break
			}
			if e.Last {
				t.Fatalf("before it is synced: %s", describe(e))
			}
		}
	}
}

// watchInOrder watches until the clear at the end, and compares what it saw with the
// log, read as it is.
func watchInOrder(t *testing.T, s *kv.Store, prefix string, from backlog.Position, end func() int64) {
	v, synced, at := view{}, false, from.Offset
	contents := from.IsZero()
	var seen []int64
	for e, err := range s.Watch(t.Context(), prefix, from) {
		if err != nil {
			t.Error(err)
			return
		}
		v.apply(e)
		switch {
		case e.Kind == kv.EventReset, !strings.HasPrefix(e.Key, prefix) && e.Kind != kv.EventSynced && e.Kind != kv.EventDeletePrefix:
			t.Errorf("unwanted: %s", describe(e))
			return
		case e.Kind == kv.EventSynced:
			synced, contents = true, false
			at = max(at, e.Position.Offset)
			if from.IsZero() && len(seen) == 0 {
				from = e.Position
			}
		case contents && !e.Last:
			if e.Kind != kv.EventPut || !from.IsZero() && e.Position != from {
				t.Errorf("among the contents of %v: %s", from, describe(e))
			}
			from, at = e.Position, e.Position.Offset
		case e.Position.Offset <= at || !e.Last:
			t.Errorf("%s at %d, after %d", describe(e), e.Position.Offset, at)
			return
		default:
			contents = false // shared with another watcher, what comes before the EventSynced is newer
			at = e.Position.Offset
			seen = append(seen, at)
		}
		if e.Kind == kv.EventDeletePrefix && e.Position.Offset == end() {
			break
		}
	}
	if !synced || len(v) != 0 {
		t.Errorf("synced: %v; at the end %d keys", synced, len(v))
	}
	want := offsetsOf(t, s, prefix, from.Offset)
	if from.IsZero() { // the contents were shared, and none: nobody says of when
		want = want[max(len(want)-len(seen), 0):]
	}
	if !slices.Equal(seen, want) {
		t.Errorf("prefix %q from %v: %d records seen, the log has %d", prefix, from, len(seen), len(want))
	}
}

// offsetsOf returns where the records end, behind from, that say something about keys
// with a prefix.
func offsetsOf(t *testing.T, s *kv.Store, prefix string, from int64) (ends []int64) {
	r, err := s.Log().NewReader(from)
	must(t, err)
	for {
		at := r.Offset()
		b, err := r.Next(s.Log().End())
		must(t, err)
		if b == nil {
			return ends
		}
		for len(b) > 0 {
			payload, rest, err := backlog.CutRecord(b)
			must(t, err)
			at += int64(len(b) - len(rest))
			b = rest
			if k := map[byte]int{1: 2, 2: 10, 3: 1, 4: 1, 5: 9}[payload[0]]; k == 0 || strings.HasPrefix(string(payload[k:]), prefix) {
				ends = append(ends, at)
			}
		}
	}
}
