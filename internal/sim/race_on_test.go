//go:build race

package sim_test

import "time"

// Under the race detector an hour takes some half a minute: less of it by default.
const (
	someSeeds = 2
	someTime  = 10 * time.Minute
)
