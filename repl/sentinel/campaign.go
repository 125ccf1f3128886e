package sentinel

import (
	"slices"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/repl"
)

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
// out, and its rest and its loyalty to another are over. The caller's part is that the
// master of s.reign is objectively down. It may be called again at any time; a candidacy that
// there is goes on.
func (v voter) stand(s scene) voter {
	if v.campaign.stage != idle || s.leading || v.ballot.epoch >= backlog.MaxCounter {
		return v
	}
	begins := later(s.now.Add(s.promised), later(v.rest, v.loyal)).Add(v.random(v.pace.delay))
	v.campaign = campaign{stage: waiting, reign: s.reign, begins: begins}
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

// elected ends v's campaign. How many were in vain is forgotten when the master is heard: what
// this one is good for is not known yet.
func (v voter) elected() (voter, uint64) {
	v.campaign = campaign{}
	return v, v.ballot.votedIn
}
