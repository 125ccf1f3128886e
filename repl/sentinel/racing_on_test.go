//go:build race

package sentinel_test

// thinning is how much less of what is enumerated is tried under the race detector.
const thinning = 7
