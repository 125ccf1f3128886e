//go:build !race

package sentinel

var explorations = []exploration{{letters: 12, timers: 1, restarts: 1}, {letters: 12, timers: 2}, {letters: 7, timers: 1, demands: 1, handovers: 1}}

const (
	driftSeeds = 60
	driftStep  = 1
)
