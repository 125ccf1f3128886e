package main

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/emberkv/ember/internal/leakcheck"
)

// TestMain makes the test's executable the program itself when it is started as a node or as
// a sentinel.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == nodeArgument || os.Args[1] == sentinelArgument) {
		os.Exit(start(os.Args[1:]))
	}
	leakcheck.Main(m)
}

// TestStory is the program as a user starts it, except for the time that a master must not
// answer. It fails by itself when a write is missing.
func TestStory(t *testing.T) {
	var out bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	if err := tell(ctx, &out, 500*time.Millisecond); err != nil {
		t.Fatalf("%v, after\n%s", err, &out)
	}
	text := out.String()
	if n := strings.Count(text, "the client was without a master for"); n != 2 {
		t.Errorf("%d switches, want 2:\n%s", n, text)
	}
	if n := strings.Count(text, "writes that were acknowledged"); n != 3 {
		t.Errorf("%d nodes were looked at, want 3:\n%s", n, text)
	}
}
