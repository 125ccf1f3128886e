package main

import (
	"os"
	"testing"
	"time"

	"github.com/emberkv/ember/internal/leakcheck"
)

// asNode, in the environment, makes the test's executable the program itself, so that
// the nodes of the stories are real processes, and under the race detector when the
// tests are.
const asNode = "EMBER_TEST_AS_NODE"

func TestMain(m *testing.M) {
	if os.Getenv(asNode) != "" {
		main()
	}
	leakcheck.Main(m)
}

// patience is how long something that must happen is waited for: much longer than it
// takes on a busy machine, since only what fails waits to the end.
const patience = 30 * time.Second

// eventually calls f until it returns nil.
func eventually(t *testing.T, f func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("it has not come to that: %v", err)
		}
		<-tick.C
	}
}
