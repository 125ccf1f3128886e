package repl

import (
	"fmt"
	"math"
	"sync/atomic"
	"time"
)

// nearness knows whether Options.MinReplicas followers are within Options.MaxLag.
//
// Each heartbeat is a question: have you applied what there was when this was sent? The
// ack that echoes it and has applied as much is the answer, and makes the follower as
// good as it was at that moment: its asOf. Its lag is the time since. That an ack has
// arrived lately would not do: it may have lain in a buffer for long, or be of a
// follower that is minutes behind.
//
// All that the gate looks at is one number, the moment at which too few are near unless
// one of them acks again.
type nearness struct {
	origin  time.Time     // moments are durations since then
	maxLag  time.Duration // of the options
	until   atomic.Int64  // writes are let in up to this moment
	refusal error         // made once: the gate must not allocate
	news    *gateNews     // nil when nobody is to be told
}

// never is the asOf of those who have not confirmed anything.
const never = math.MinInt64 / 2

func (n *nearness) init(o *Options) {
	n.origin, n.maxLag = time.Now(), o.MaxLag
	n.until.Store(never)
	n.refusal = fmt.Errorf("%w: want %d within %v", ErrNotEnoughReplicas, o.MinReplicas, o.MaxLag)
}

// now returns the present moment.
func (n *nearness) now() time.Duration { return time.Since(n.origin) }

// confirmed notes as of when enough followers have confirmed.
func (n *nearness) confirmed(asOf int64) {
	until, now := asOf+int64(n.maxLag), int64(n.now())
	if was := n.until.Swap(until); n.news != nil && (was >= now) != (until >= now) {
		n.news.ring()
	}
}

// left returns for how long enough followers are near, if none of them is heard of again.
func (n *nearness) left() time.Duration { return time.Duration(n.until.Load()) - n.now() + 1 }

// tooFew returns the error for a write that comes now, if too few followers are near.
// It is for the gate: it runs under the log's lock.
func (n *nearness) tooFew() error {
	if int64(n.now()) > n.until.Load() {
		return n.refusal
	}
	return nil
}

// A question is what a heartbeat asks.
type question struct {
	seq uint64
	at  time.Duration // taken before end: whatever was written before it, end covers
	end int64
}

// maxQuestions is how many are open on a link. They are not closer to each other than
// makes the oldest older than Options.MaxLag when there is no more room; then it is
// dropped, as its answer would be of no use.
const (
	maxQuestions      = 16
	questionsInMaxLag = maxQuestions - 2
)

// questions are those of a link that are not answered, the oldest first.
type questions struct {
	open [maxQuestions]question
	n    int
}

// ask adds q, unless it comes too soon after the one before.
func (s *questions) ask(q question, maxLag time.Duration) {
	if s.n > 0 && q.at-s.open[s.n-1].at < maxLag/questionsInMaxLag {
		return
	}
	if s.n == maxQuestions {
		copy(s.open[:], s.open[1:])
		s.n--
	}
	s.open[s.n] = q
	s.n++
}

// answer returns as of when a follower that says a is good, and never if that was not
// asked.
func (s *questions) answer(a ack) time.Duration {
	n := 0
	for n < s.n && s.open[n].seq <= a.echo && s.open[n].end <= a.applied {
		n++
	}
	if n == 0 {
		return never
	}
	asOf := s.open[n-1].at
	s.n = copy(s.open[:], s.open[n:s.n])
	return asOf
}
