package kv_test

import (
	"errors"
	"fmt"
	"maps"
	"testing"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/kv"
)

// A watcher, here and on a follower, is handed a write of several keys as one thing: all
// events have its position, and the last one says so.
func TestWatchSeesWholeWrites(t *testing.T) {
	s, to := open(t, nil), open(t, nil)
	to.SetFollower(true)
	f := followEmpty(t, s, to)
	for _, k := range []string{"a", "b", "p:1", "p:2"} {
		set(t, s, k, "v")
	}
	begin := s.Position()
	writes := []struct {
		write func() error
		want  map[string]string
	}{
		{func() error {
			return s.Update(func(tx *kv.Tx) error {
				_, err := tx.Delete("a")
				return errors.Join(err, tx.Set("b", []byte("w")), tx.Set("c", []byte("w")))
			})
		}, map[string]string{"a": "delete", "b": "put w", "c": "put w"}},
		{func() error { return s.Rename("b", "d") }, map[string]string{"b": "delete", "d": "put w"}},
		{func() error { return s.Copy("d", "e") }, map[string]string{"e": "put w"}},
		{func() error { _, err := s.DeletePrefix("p:"); return err }, map[string]string{"p:": "delete prefix"}},
		{s.Clear, map[string]string{"": "delete prefix"}},
	}
	var ends []backlog.Position
	for _, w := range writes {
		must(t, w.write())
		ends = append(ends, s.Position())
	}
	f.catchUp(t)
	for _, s := range []*kv.Store{s, to} {
		n, got := 0, map[string]string{}
		for e, err := range s.Watch(t.Context(), "", begin) {
			must(t, err)
			if e.Kind == kv.EventSynced {
				continue
			}
			got[e.Key] = e.Kind.String()
			if e.Kind == kv.EventPut {
				got[e.Key] += fmt.Sprintf(" %s", e.Value)
			}
			if e.Position != ends[n] {
				t.Fatalf("write %d: an event at %v, want %v", n, e.Position, ends[n])
			}
			if !e.Last {
				continue
			}
			if !maps.Equal(got, writes[n].want) {
				t.Errorf("write %d: %v, want %v", n, got, writes[n].want)
			}
			clear(got)
			if n++; n == len(writes) {
				break
			}
		}
	}
}
