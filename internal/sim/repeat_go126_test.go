//go:build go1.26

package sim_test

import (
	"testing"
	"testing/cryptotest"
)

// repeatable makes what is random by itself, as histories are, come from the seed.
func repeatable(t *testing.T, seed uint64) { cryptotest.SetGlobalRandom(t, seed) }
