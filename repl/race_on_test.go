//go:build race

package repl_test

// everyNth thins out what is enumerated, where the race detector makes each case
// five times as slow. A prime, so that no kind of frame is left out.
const everyNth = 11
