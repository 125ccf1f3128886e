//go:build !race

package repl_test

// everyNth thins out what is enumerated: here nothing is.
const everyNth = 1
