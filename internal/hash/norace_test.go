//go:build !race

package hash_test

const sample = 1
