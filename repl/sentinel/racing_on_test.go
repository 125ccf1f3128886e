//go:build race

package sentinel_test

import "time"

// thinning is how much less of what is enumerated is tried under the race detector.
const thinning = 7

// someTime is for how long long round trips are watched.
const someTime = 3 * time.Minute

// flapTime is for how long the master changes every second.
const flapTime = 5 * time.Second
