//go:build !race

package sentinel_test

import "time"

const thinning = 1

// someTime is for how long long round trips are watched, if nothing else is asked for.
const someTime = 10 * time.Minute

// flapTime is for how long the master changes every second, if nothing else is asked for.
const flapTime = time.Minute
