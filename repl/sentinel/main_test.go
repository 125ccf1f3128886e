package sentinel_test

import (
	"testing"

	"github.com/emberkv/ember/internal/leakcheck"
)

func TestMain(m *testing.M) { leakcheck.Main(m) }
