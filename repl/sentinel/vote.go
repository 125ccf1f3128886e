package sentinel

import (
	"slices"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/repl"
)

// A ballot is what a voter must not forget, or it would vote twice in one epoch.
type ballot struct {
	epoch    uint64      // the highest counter that it has heard of
	votedIn  uint64      // the newest epoch in which it has voted, at most epoch; 0 for none
	votedFor repl.NodeID // for whom
}

// A scene is what a voter has to be told, at the moment, of the rest of its sentinel.
type scene struct {
	now      time.Time
	reign    backlog.Epoch // of the newest master that it knows
	peers    []repl.NodeID // all other sentinels that it knows
	quorum   int
	promised time.Duration // until its promises to masters have run out: it gives no vote before
	leading  bool          // it leads a failover that is under way
}

// An outcome is what a step of a voter asks for. If save is true the voter that the step has
// returned must be saved before anything else is done; if that fails, the one before the step
// stays, and nothing of the outcome happens: nobody is told of a vote that a restart forgets.
type outcome struct {
	save    bool
	ask     ask           // what to ask the peers in to
	to      []repl.NodeID // nil: nobody
	elected uint64        // the epoch in which this sentinel leads now, or 0
	lost    uint64        // the epoch in which it was not elected in time, or 0
}

// A voter is one sentinel's part in elections. It is a value: a step leaves it as it is and
// returns the next. It has no clock, no goroutine and no link; chance comes from its seed.
//
//	         stand          tick                     enough answers
//	resting -------> waiting ----> campaigning ------------------> elected
//	   ^                |               |
//	   +----------------+---------------+ voted for another, out of time, withdrawn
//
// What it guarantees: it votes once in an epoch, and never in a lower one than before. So
// as any two majorities of sentinels have one in common, at most one is elected in an epoch.
type voter struct {
	self   repl.NodeID
	ballot ballot
	pace   pace

	campaign campaign
	rest     time.Time // it does not stand before, after a failover in vain
	loyal    time.Time // until then whom it voted for may be about to promote
	tries    int       // elections that it has stood in since the last that came to something
	seed     uint64
}

// A campaign is a candidacy. The zero campaign is none.
type campaign struct {
	stage   stage
	reign   backlog.Epoch // whose end it is about
	begins  time.Time     // when it waits
	ends    time.Time     // when it is lost, and
	askAt   time.Time     // when the peers are asked again, that
	asks    int           // many times so far
	answers []answer      // one from each peer; never changed, but replaced
}

type stage uint8

const (
	idle stage = iota
	waiting
	campaigning
)

// An answer is what is known of one peer's vote.
type answer struct {
	from    repl.NodeID
	verdict verdict
	known   int       // sentinels that it knows, itself included
	again   time.Time // when it may be asked again, for notYet
}

// newVoter returns a voter that has voted as b says.
func newVoter(self repl.NodeID, b ballot, downAfter time.Duration, seed uint64) voter {
	b.epoch = max(b.epoch, b.votedIn)
	return voter{self: self, ballot: b, pace: paceOf(downAfter), seed: seed}
}

// heard returns v after it has heard of an epoch, of whomever. It need not be saved: the
// vote is what counts, and a candidate that has forgotten an epoch is told.
func (v voter) heard(epoch uint64) voter {
	v.ballot.epoch = max(v.ballot.epoch, min(epoch, backlog.MaxCounter))
	return v
}

// next returns when tick wants to be called; zero if it need not be.
func (v voter) next() time.Time {
	switch c := v.campaign; c.stage {
	case waiting:
		return c.begins
	case campaigning:
		if c.askAt.Before(c.ends) {
			return c.askAt
		}
		return c.ends
	}
	return time.Time{}
}

// stand makes v a candidate, after a random delay, and not before its promises have run
// out, and its rest and its loyalty to another are over. The caller's part is that the master of s.reign is objectively
// down. It may be called again at any time; a candidacy that there is goes on.
func (v voter) stand(s scene) voter {
	if v.campaign.stage != idle || s.leading || v.ballot.epoch >= backlog.MaxCounter {
		return v
	}
	begins := later(s.now.Add(s.promised), later(v.rest, v.loyal)).Add(v.random(v.pace.delay))
	v.campaign = campaign{stage: waiting, reign: s.reign, begins: begins}
	return v
}

// claim takes the next epoch for a failover without an election. It must be saved, as a vote.
func (v voter) claim() voter {
	v.ballot.epoch++
	v.ballot.votedIn, v.ballot.votedFor = v.ballot.epoch, v.self
	v.campaign = campaign{}
	return v
}

// withdraw ends a candidacy for which there is no reason any more, and forgets how many
// were in vain.
func (v voter) withdraw() voter {
	v.campaign, v.tries = campaign{}, 0
	return v
}

// retire has v, who led a failover that came to nothing, wait before it stands again: a
// random time, that doubles.
func (v voter) retire(s scene) voter {
	v.campaign = campaign{}
	v.rest = s.now.Add(v.timeout())
	v.tries++
	return v
}

// mayGrant reports whether a master that began to write in epoch may be granted a lease. It
// may not for some time after a vote for one above it: the vote was given to replace it,
// and a promise to it would keep the next one from its lease.
func (v voter) mayGrant(epoch uint64, now time.Time) bool {
	return v.ballot.votedIn <= epoch || v.campaign.stage != campaigning && !now.Before(v.loyal)
}

// tick does what is due at s.now.
func (v voter) tick(s scene) (voter, outcome) {
	c := &v.campaign
	switch {
	case c.stage == idle, s.now.Before(v.next()):
		return v, outcome{}
	case s.leading || c.reign != s.reign:
		v.campaign = campaign{}
		return v, outcome{}
	case c.stage == waiting && s.promised > 0:
		c.begins = s.now.Add(s.promised + v.random(v.pace.delay))
		return v, outcome{}
	case c.stage == waiting:
		return v.begin(s)
	case !s.now.Before(c.ends):
		lost := v.ballot.votedIn
		v.campaign = campaign{}
		v.tries++
		return v, outcome{lost: lost}
	}
	return v.askAgain(s)
}

// begin begins the campaign that v waited for: in a new epoch, with a vote for itself.
func (v voter) begin(s scene) (voter, outcome) {
	if v.ballot.epoch >= backlog.MaxCounter {
		v.campaign = campaign{}
		return v, outcome{}
	}
	v.ballot.epoch++
	v.ballot.votedIn, v.ballot.votedFor = v.ballot.epoch, v.self
	v.campaign = campaign{stage: campaigning, reign: s.reign, ends: s.now.Add(v.timeout())}
	v, out := v.askAgain(s)
	out.save = true
	if v.wins(s) {
		v, out.elected = v.elected()
		out.to = nil
	}
	return v, out
}

// askAgain asks all peers whose answer is not final.
func (v voter) askAgain(s scene) (voter, outcome) {
	c := &v.campaign
	out := outcome{ask: ask{Epoch: v.ballot.votedIn, Reign: s.reign}}
	for _, id := range s.peers {
		a, _ := c.answer(id)
		if a.verdict == unanswered || a.verdict == notYet && !s.now.Before(a.again) {
			out.to = append(out.to, id)
		}
	}
	c.askAt = s.now.Add(v.pace.again(c.asks))
	c.asks++
	for _, a := range c.answers { // and whoever asked for patience, as soon as that is over
		if a.verdict == notYet && a.again.After(s.now) && a.again.Before(c.askAt) {
			c.askAt = a.again
		}
	}
	return v, out
}

// answered takes in a peer's answer to an ask. Those to earlier campaigns change nothing
// but the epoch.
func (v voter) answered(from repl.NodeID, r reply, s scene) (voter, outcome) {
	v = v.heard(r.Epoch)
	if v.campaign.stage != campaigning || r.To != v.ballot.votedIn || !slices.Contains(s.peers, from) {
		return v, outcome{}
	}
	if r.Verdict == lowerEpoch && r.Epoch > r.To {
		// It was hopeless, and says nothing against the next, for which there is no need to
		// wait.
		v.campaign = campaign{}
		return v.stand(s), outcome{}
	}
	c := &v.campaign
	was, i := c.answer(from)
	if was.verdict == granted {
		return v, outcome{} // a vote is not taken back; this answer was under way for longer
	}
	a := answer{from: from, verdict: r.Verdict, known: r.Known, again: s.now.Add(r.Wait)}
	c.answers = slices.Clone(c.answers)
	if i < 0 {
		c.answers = append(c.answers, a)
	} else {
		c.answers[i] = a
	}
	if a.verdict == notYet && a.again.Before(c.askAt) {
		c.askAt = a.again
	}
	if !v.wins(s) {
		return v, outcome{}
	}
	v, epoch := v.elected()
	return v, outcome{elected: epoch}
}

// answer returns what is known of a peer's vote, and where it is in c.answers, or -1.
func (c *campaign) answer(from repl.NodeID) (answer, int) {
	i := slices.IndexFunc(c.answers, func(a answer) bool { return a.from == from })
	if i < 0 {
		return answer{}, -1
	}
	return c.answers[i], i
}

// wins reports whether v has the votes: a majority of all sentinels, as the one that knows
// most of them counts them, it or one of its voters, and as many as the quorum.
func (v voter) wins(s scene) bool {
	votes, known := 1, 1+len(s.peers)
	for _, a := range v.campaign.answers {
		if a.verdict == granted {
			votes++
			known = max(known, a.known)
		}
	}
	return votes >= max(s.quorum, known/2+1)
}

func (v voter) elected() (voter, uint64) {
	v.campaign, v.tries = campaign{}, 0
	return v, v.ballot.votedIn
}

// asked answers a peer's ask for a vote.
func (v voter) asked(from repl.NodeID, a ask, s scene) (voter, reply, outcome) {
	r := reply{To: a.Epoch, Known: 1 + len(s.peers)}
	granting := v
	switch {
	case a.Epoch < v.ballot.epoch:
		r.Verdict = lowerEpoch
		if v.ballot.votedIn == a.Epoch && v.ballot.votedFor == from {
			r.Verdict = granted // told again, for the first answer may be lost
		}
	case a.Epoch == v.ballot.votedIn:
		r.Verdict = taken
		if v.ballot.votedFor == from {
			r.Verdict = granted
		}
	case a.Reign.Compare(s.reign) < 0:
		r.Verdict = oldReign
	default:
		if r.Wait = v.patience(from, s); r.Wait > 0 {
			r.Verdict = notYet
			if v.campaign.stage == waiting { // it is to have its chance
				v.campaign.begins = later(v.campaign.begins, s.now.Add(r.Wait+v.pace.delay))
			}
			break
		}
		granting = v.vote(from, a.Epoch, s)
		r.Verdict, r.Epoch = granted, granting.ballot.epoch
		return granting, r, outcome{save: true}
	}
	r.Epoch = v.ballot.epoch
	return v, r, outcome{}
}

// patience returns for how long v gives nobody a vote, but perhaps the one whom it gave the
// last.
func (v voter) patience(from repl.NodeID, s scene) time.Duration {
	wait := s.promised
	if v.ballot.votedFor != from {
		wait = max(wait, v.loyal.Sub(s.now))
	}
	if s.leading {
		wait = max(wait, v.pace.delay)
	}
	return max(wait, 0)
}

// vote gives from the vote in epoch.
func (v voter) vote(from repl.NodeID, epoch uint64, s scene) voter {
	v.ballot = ballot{epoch: epoch, votedIn: epoch, votedFor: from}
	v.campaign = campaign{}
	v.loyal = s.now.Add(2 * v.pace.base)
	return v
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
