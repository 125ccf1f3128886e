//go:build race

package sentinel

// The race detector makes each state ten times as slow.
var explorations = []exploration{{letters: 12, timers: 1, restarts: 1}, {letters: 7, timers: 1, demands: 1, handovers: 1}}

const (
	driftSeeds = 5
	driftStep  = 7
)
