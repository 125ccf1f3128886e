package repl

import (
	"errors"
	"time"

	"github.com/emberkv/ember/backlog"
)

// A GateChange says that from now on a node lets writes in that it refused before, or
// refuses those that it let in, or refuses them for another reason.
type GateChange struct {
	Err      error            // what a write gets; nil if it is let in
	Was      error            // what it got before; nil if it was let in
	Near     int              // number of replicas within Options.MaxLag
	Refused  time.Duration    // when Err is nil: how long writes were refused; for as long as the node was a replica if Was is an ErrReadOnly
	Position backlog.Position // end of the log
}

// news is told in a goroutine of its own, for the gate is looked at under the log's lock, and
// changes under others. It tells what holds when it is told: of what has come and gone while
// the program was being told something else, nothing.
type gateNews struct {
	node *Node
	bell chan struct{} // capacity 1: a token when the gate may say something else

	told  error // what the program knows; nil for open
	since time.Time
}

// ring is called under any lock.
func (g *gateNews) ring() {
	select {
	case g.bell <- struct{}{}:
	default:
	}
}

// soonest is what timers are set to that are due already. In a bubble of testing/synctest one that
// is set to nothing runs on the goroutine that sets it, and when two goroutines do so at one moment
// the race detector of Go 1.25 and 1.26 ends the process.
const soonest = time.Nanosecond

// run tells of each change until the node is closed. A node begins as one that lets writes in:
// of one that does not, a replica or a master without its replicas, it tells so at once.
func (g *gateNews) run() {
	due := time.NewTimer(soonest)
	defer due.Stop()
	for {
		select {
		case <-g.bell:
		case <-due.C:
		case <-g.node.ctx.Done():
			return
		}
		until, err := g.node.gate.state()
		if until > 0 {
			due.Reset(until)
		}
		if paused := (*backlog.PausedError)(nil); errors.As(err, &paused) || alike(err, g.told) {
			continue // writers that are held up are not refused
		}
		g.tell(err)
	}
}

// alike reports whether the program need not be told b after a: the text says all that there is.
func alike(a, b error) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Error() == b.Error()
}

func (g *gateNews) tell(err error) {
	n := g.node
	c := GateChange{Err: err, Was: g.told, Near: n.nearReplicas(), Position: n.log.Position()}
	switch {
	case err == nil:
		c.Refused = time.Since(g.since)
		n.opts.Logger.Info("writes are let in", "near", c.Near, "position", c.Position, "refused", c.Refused)
	default:
		if g.told == nil || errors.Is(g.told, ErrReadOnly) && !errors.Is(err, ErrReadOnly) {
			g.since = time.Now() // what is refused as a replica nobody misses
		}
		n.opts.Logger.Info("writes are refused", "err", err, "near", c.Near, "position", c.Position)
	}
	g.told = err
	call(n.opts.Events.Gate, c)
}

// nearReplicas returns how many replicas are within Options.MaxLag.
func (n *Node) nearReplicas() (near int) {
	for _, f := range n.presentFeeds() {
		if f.isNear() {
			near++
		}
	}
	return near
}
