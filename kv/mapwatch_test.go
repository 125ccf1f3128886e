package kv_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/kv"
)

// watchMap writes down a map's events, as "kind key value" or an error, until the context
// ends.
func watchMap[V any](ctx context.Context, m *kv.Map[string, V], from backlog.Position) (events []string) {
	for e, err := range m.Watch(ctx, from) {
		switch {
		case errors.Is(err, context.Canceled):
			return events
		case err != nil:
			events = append(events, fmt.Sprintf("%v %q: %v", e.Kind, e.Key, err))
		case e.Kind == kv.EventPut:
			events = append(events, fmt.Sprintf("%v %s %v", e.Kind, e.Key, e.Value))
		default:
			events = append(events, fmt.Sprintf("%v %s", e.Kind, e.Key))
		}
	}
	return events
}

// watching returns what a watcher of a map is handed while f runs.
func watching[V any](t *testing.T, m *kv.Map[string, V], f func()) (events []string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		events = watchMap(ctx, m, backlog.Position{})
	}()
	synctest.Wait()
	f()
	time.Sleep(time.Minute)
	synctest.Wait()
	cancel()
	<-done
	return events
}

func TestMapWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, nil)
		m := newMap[string, int](t, s, "n:", nil)
		must(t, m.Set("there", 1))
		set(t, s, "other", "x")
		got := watching(t, m, func() {
			must(t, m.Set("new", 2))
			must(t, m.Set("new", 3, kv.TTL(time.Second)))
			_, err := m.Delete("there")
			must(t, err)
			set(t, s, "other", "y")
			set(t, s, "n:bad", "no number")
			must(t, m.Set("after", 4))
			time.Sleep(2 * time.Second)
			_, err = m.Clear()
			must(t, err)
		})
		want := []string{
			"put there 1", "synced ", "put new 2", "put new 3", "delete there",
			`put "bad": kv: decode value of "n:bad": invalid character 'o' in literal null (expecting 'u')`,
			"put after 4", "expire new", "delete prefix ",
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q\nwant\n%q", got, want)
		}
	})
}

// What stands for a value that is not there is none to those who watch, either; and the
// value comes without what the map has put before it.
func TestMapWatchLoads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, nil)
		src := &slow{}
		m := newMap(t, s, "p:", &kv.MapOptions[string, string]{Load: src.load, NegativeTTL: 2 * time.Second, ErrorTTL: time.Second, RefreshAfter: time.Hour})
		got := watching(t, m, func() {
			wantLoad(t, m, "k", "k 1")
			src.err = kv.ErrNotFound
			wantLoad(t, m, "none", "")
			src.err = errors.New("mine")
			wantLoadError(t, m, "fails", src.err)
			set(t, s, "p:bad", "\x09")
		})
		want := []string{
			"synced ", "put k k 1", "delete none", "delete fails",
			`put "bad": kv: decode value of "p:bad": not written by a map with a loader`,
			"expire fails", "expire none",
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q\nwant\n%q", got, want)
		}
		for e, err := range m.Watch(t.Context(), backlog.Position{}) {
			if err == nil && e.Kind == kv.EventPut {
				if e.Event.Key != "p:k" || string(e.Event.Value) != "k 1" {
					t.Errorf("%+v", e)
				}
				break
			}
		}
	})
}

func TestMapCovers(t *testing.T) {
	s := open(t, nil)
	m := newMap[string, int](t, s, "n:", nil)
	e := kv.MapEvent[string, int]{Event: kv.Event{Kind: kv.EventDeletePrefix, Key: "n:a"}}
	for key, want := range map[string]bool{"a": true, "ab": true, "b": false, "": false} {
		if got := m.Covers(e, key); got != want {
			t.Errorf("Covers(%q) = %v", key, got)
		}
	}
	e.Kind = kv.EventDelete
	if m.Covers(e, "a") {
		t.Error("a delete covers others")
	}
}
