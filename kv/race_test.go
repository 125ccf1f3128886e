//go:build race

package kv_test

// raceEnabled thins out what one goroutine goes through case by case: the race detector,
// which makes each case five to ten times as slow, has seen all that it can see in some of
// them. The plain run goes through all.
const raceEnabled = true
