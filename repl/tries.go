package repl

import "time"

// The tries of a replica are its links to the upstream, one after the other, and what became of
// them. The upstream's lock guards them.
type tries struct {
	attempts  int64
	retryAt   time.Time // when the next one is due; zero while there is one
	downSince time.Time // up to when the last one that did its work did so: see upstream.working
	outages   outages
	last      failure // of the newest
	told      string  // why the log's last line of this outage says that the link is down
	vain      *target // to whom the last link that was up was, if it ended before the replica had caught up
}

// A failure is why a link or an attempt has ended, and when.
type failure struct {
	err error
	at  time.Time
}

// begin notes a new try.
func (t *tries) begin() {
	t.attempts++
	t.retryAt = time.Time{}
}

func (t *tries) status(s *UpstreamStatus, now time.Time) {
	s.Attempts = t.attempts
	s.Outages, s.OutageTime, s.LastOutage = t.outages.status(now)
	if s.State != LinkStreaming {
		s.Down = t.outages.down(now)
	}
	if !t.retryAt.IsZero() {
		s.NextTry = max(time.Until(t.retryAt), 0)
	}
	if t.last.err != nil {
		s.LastError, s.LastErrorAt = t.last.err.Error(), t.last.at.UTC().Round(0)
	}
}
