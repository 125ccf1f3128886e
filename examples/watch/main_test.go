package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/emberkv/ember/internal/leakcheck"
	"github.com/emberkv/ember/kv"
)

func TestMain(m *testing.M) { leakcheck.Main(m) }

// The program's own checks are the test: it fails when the view differs.
func TestRun(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), &out, 100*time.Millisecond, logBytes/4); err != nil {
		t.Fatalf("%v, after\n%s", err, &out)
	}
	if n := strings.Count(out.String(), "are equal"); n != 5 || !strings.Contains(out.String(), "resets: [trimmed]") {
		t.Errorf("compared %d times:\n%s", n, &out)
	}
}

// A view follows every kind of event, and is found to differ when it does.
func TestView(t *testing.T) {
	s := kv.New(nil)
	defer s.Close()
	v, w := newView(), newWatcher(s)
	take := func(e kv.Event) {
		t.Helper()
		if err := v.apply(e); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range []string{"score/red/1", "score/red/2", "score/blue/1", "score/blue/2"} {
		take(kv.Event{Kind: kv.EventPut, Key: key, Value: []byte("7")})
	}
	take(kv.Event{Kind: kv.EventPut, Key: "score/blue/2", Value: []byte("9")})
	take(kv.Event{Kind: kv.EventDelete, Key: "score/red/1"})
	if got, want := v.String(), "blue 16  red 7  | 3 players, first: blue/2 9, blue/1 7, red/2 7"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	take(kv.Event{Kind: kv.EventDeletePrefix, Key: "score/blue/"})
	if v.total != 7 || v.compare(s) == nil {
		t.Errorf("%d points, and no difference from nothing", v.total)
	}
	take(kv.Event{Kind: kv.EventReset})
	if err := v.compare(s); err != nil || v.total != 0 {
		t.Errorf("%d points, %v", v.total, err)
	}
	// Half of a move is noticed.
	if err := w.take(kv.Event{Kind: kv.EventPut, Key: "score/red/1", Value: []byte("1"), Last: true}, true); err == nil {
		t.Error("another total was not noticed")
	}
}
