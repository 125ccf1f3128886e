package sentinel

import "time"

// A sentinel that is set up with a copy of another's state has its id. Nodes serve one link of an id, so
// the two end each other's lines. Each warns of it; more it cannot do, for nobody can tell which is the copy.

// tellTwinEvery is how often it is told that another sentinel has the same id.
const tellTwinEvery = time.Minute

// A rivals counts how often within a minute a newer link of the same id took the place of a line. Once proves
// nothing: a sentinel that finds a node at two addresses has two links to it for a moment.
type rivals struct {
	since time.Time
	seen  int
}

// add counts one more, and reports whether there are so many that they are another sentinel's.
func (r *rivals) add(now time.Time) bool {
	if now.After(r.since.Add(time.Minute)) {
		*r = rivals{since: now}
	}
	r.seen++
	return r.seen >= 3
}

// replaced notes that the node at the end of l has ended it for a newer link of the same id.
func (d *desk) replaced(l *line, why error, now time.Time) {
	if !l.rivals.add(now) || !now.After(d.twinTold.Add(tellTwinEvery)) {
		return
	}
	d.twinTold = now
	d.log.Warn("another sentinel has this one's id, and each may give a vote in the same epoch: stop the one whose state is a copy, remove that, and start it again",
		"id", d.view.self, "err", why)
}
