package kv_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/kv"
)

// Records in front of one that is none of this package are handed out, however they came
// to be read together; so is half of nothing.
func TestWatchUpToWhatIsNoRecord(t *testing.T) {
	bad := map[string][]byte{
		"unknown kind":     keyRecord(200, "x"),
		"half transaction": transaction(putRecord("x", "1"), keyRecord(200, "y")),
		"empty":            backlog.AppendRecord(nil, nil),
	}
	for name, record := range bad {
		t.Run(name, func(t *testing.T) {
			s := open(t, nil)
			from := s.Position()
			must(t, s.Apply(from, slices.Concat(putRecord("a", "1"), transaction(putRecord("b", "2"), deleteRecord("a")))))
			at := s.Position()
			if _, err := s.Log().Append(slices.Concat(record, putRecord("never", "1"))); err != nil {
				t.Fatal(err)
			}
			var got []string
			var undecoded *kv.RecordError
			for e, err := range s.Watch(context.Background(), "", from) {
				if errors.As(err, &undecoded) {
					break
				}
				must(t, err)
				if e.Kind == kv.EventReset || e.Key == "x" || e.Key == "never" {
					t.Fatalf("%v of %q", e.Kind, e.Key)
				}
				if e.Kind != kv.EventSynced {
					got = append(got, words([]kv.Event{e})...)
				}
			}
			if want := []string{"put a=1", "put b=2", "delete a"}; !slices.Equal(got, want) {
				t.Errorf("handed out %q, want %q", got, want)
			}
			if undecoded == nil || undecoded.Offset != at.Offset {
				t.Errorf("%v, want it to be at %d", undecoded, at.Offset)
			}
		})
	}
}
