//go:build !go1.26

package sim_test

import "testing"

// repeatable cannot do what it says before Go 1.26: a seed gives the same faults at the
// same instants, in histories of other names.
func repeatable(*testing.T, uint64) {}
