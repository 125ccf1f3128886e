package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/emberkv/ember/internal/leakcheck"
)

func TestMain(m *testing.M) { leakcheck.Main(m) }

// The story checks itself: it ends with an error when something was lost, or somebody took
// a copy that nobody needed.
func TestRun(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), &out); err != nil {
		t.Fatalf("%v, after\n%s", err, &out)
	}
	for text, n := range map[string]int{"it took": 2, "none failed": 3, "a says: repl: handover to c": 1, "a has stepped down": 1} {
		if got := strings.Count(out.String(), text); got != n {
			t.Errorf("%q stands there %d times, want %d:\n%s", text, got, n, &out)
		}
	}
}
