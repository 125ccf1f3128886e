package repl_test

import (
	"testing"

	"github.com/emberkv/ember/internal/leakcheck"
	"github.com/emberkv/ember/internal/racebubble"
)

// TestMain fails the run when a goroutine of this package outlives the tests.
func TestMain(m *testing.M) {
	racebubble.OneProcessor()
	leakcheck.Main(m)
}
