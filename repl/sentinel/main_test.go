package sentinel_test

import (
	"testing"

	"github.com/emberkv/ember/internal/leakcheck"
	"github.com/emberkv/ember/internal/racebubble"
)

func TestMain(m *testing.M) {
	racebubble.OneProcessor()
	leakcheck.Main(m)
}
