//go:build !race

package sentinel_test

const thinning = 1
