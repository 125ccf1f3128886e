package repl

import "time"

// An Outage is a time in which a replica that had streamed from its upstream did not stream.
type Outage struct {
	Began time.Time     `json:"began"`   // when it stopped streaming, by this node's clock
	Took  time.Duration `json:"took_ns"` // until it streamed again; until now if it is not over
	Over  bool          `json:"over"`
	Why   string        `json:"why"` // why that link ended, not why the tries since have failed
}

// outages are those of a replica's link, as long as it is a replica. The upstream's lock guards them.
type outages struct {
	count int64
	total time.Duration // of those that are over
	last  Outage
}

// begin notes that the replica stops streaming.
func (o *outages) begin(now time.Time, why error) {
	o.count++
	o.last = Outage{Began: now, Why: why.Error()}
}

// end notes that it streams, for the first time perhaps.
func (o *outages) end(now time.Time) {
	if o.count == 0 || o.last.Over {
		return
	}
	o.last.Took, o.last.Over = now.Sub(o.last.Began), true
	o.total += o.last.Took
}

// down returns for how long a replica has not streamed that does not, and -1 if it never has.
func (o *outages) down(now time.Time) time.Duration {
	if o.count == 0 {
		return -1
	}
	return now.Sub(o.last.Began)
}

// status shows how many there were, how long they were in all, and the last one, nil before the first.
func (o *outages) status(now time.Time) (count int64, total time.Duration, last *Outage) {
	if o.count == 0 {
		return 0, 0, nil
	}
	shown := o.last
	if total = o.total; !shown.Over {
		shown.Took = now.Sub(shown.Began)
		total += shown.Took
	}
	shown.Began = shown.Began.UTC().Round(0)
	return o.count, total, &shown
}
