package keytree_test

import (
	"testing"

	"github.com/emberkv/ember/internal/leakcheck"
)

// TestMain fails the run when a goroutine of this package outlives the tests.
func TestMain(m *testing.M) { leakcheck.Main(m) }
