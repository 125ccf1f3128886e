//go:build race

package rdb_test

// raceEnabled thins out the longest loops: under the race detector they take ten
// times as long, and code that runs on one goroutine has nothing to show it.
const raceEnabled = true
