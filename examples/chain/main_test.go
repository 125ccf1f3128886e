package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/emberkv/ember/internal/leakcheck"
)

func TestMain(m *testing.M) { leakcheck.Main(m) }

// The story checks itself: it ends with an error when two nodes differ. What it says of
// copies is checked here.
func TestRun(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), &out, 500); err != nil {
		t.Fatalf("%v, after\n%s", err, &out)
	}
	if n := strings.Count(out.String(), "all equal"); n != 8 {
		t.Errorf("compared %d times:\n%s", n, &out)
	}
	for _, line := range strings.Split(out.String(), "\n") {
		f := strings.Fields(line)
		if len(f) == 9 && f[1] == "replica" && (f[7] > "1" || f[0] == "a" && f[7] != "0") {
			t.Errorf("too many copies: %s", line)
		}
	}
}
