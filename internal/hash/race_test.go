//go:build race

package hash_test

// The race detector has nothing to find in a pure function and makes each step
// ten times slower: a sample is enough.
const sample = 8
