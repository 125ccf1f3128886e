package sim_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emberkv/ember/repl"
)

// A tally counts what has happened in a run. One in which too little did has shown
// nothing.
type tally struct {
	writes          int // acknowledged
	refused         int // writes, while too few replicas were near
	looks           int // at all nodes
	faults          int
	kinds           map[string]int
	roles           map[string]int
	lost            int // acknowledged writes that a failover has cost, and that were told of
	fulls, partials atomic.Int64
	slowest         time.Duration // until all were at one position
	settled         int
}

// The floors, for an hour.
const (
	leastWrites   = 10_000
	leastFaults   = 20
	leastKinds    = 6
	leastRoles    = 3
	leastFulls    = 1
	leastPartials = 10
	leastWaits    = 100
)

// sync counts a sync, once: where it arrives.
func (c *tally) sync(with repl.Peer, of *atomic.Int64) {
	if with.Upstream {
		of.Add(1)
	}
}

func (c *tally) fault(kind string) {
	if c.kinds == nil {
		c.kinds = make(map[string]int)
	}
	c.faults++
	c.kinds[kind]++
}

func (c *tally) role(kind string) {
	if c.roles == nil {
		c.roles = make(map[string]int)
	}
	c.roles[kind]++
}

func (c *tally) healed(took time.Duration) {
	c.slowest = max(c.slowest, took)
	c.settled++
}

func (c *tally) changes() (n int) {
	for _, k := range c.roles {
		n += k
	}
	return n
}

// check fails a run that did nothing.
func (c *tally) check(t *testing.T, waits int, lasted time.Duration) {
	t.Helper()
	hours := lasted.Hours()
	for _, f := range []struct {
		what  string
		had   int64
		least float64
	}{
		{"acknowledged writes", int64(c.writes), leastWrites * hours},
		{"faults", int64(c.faults), leastFaults * hours},
		{"kinds of faults", int64(len(c.kinds)), leastKinds},
		{"changes of role", int64(c.changes()), leastRoles * hours},
		{"full copies", c.fulls.Load(), leastFulls * hours},
		{"partial resyncs", c.partials.Load(), leastPartials * hours},
		{"waits", int64(waits), leastWaits * hours},
	} {
		if float64(f.had) < f.least {
			t.Errorf("did nothing: %d %s, want %.0f; %s", f.had, f.what, f.least, c)
		}
	}
}

func (c *tally) String() string {
	return fmt.Sprintf("%d writes, %d refused, %d lost and told of, %d full copies, %d partial resyncs, healed %d times in %v at most; %d faults %v; %d changes of role %v",
		c.writes, c.refused, c.lost, c.fulls.Load(), c.partials.Load(), c.settled, c.slowest, c.faults, c.kinds, c.changes(), c.roles)
}
