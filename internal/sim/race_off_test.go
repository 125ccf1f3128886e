//go:build !race

package sim_test

import "time"

const (
	someSeeds = 4
	someTime  = time.Hour
)
