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
	aim     aim
	reign   backlog.Epoch // whose end it is about
	begins  time.Time     // when it waits
	ends    time.Time     // when it is lost, and
	askAt   time.Time     // when the peers are asked again, that
	asks    int           // many times so far
	answers []answer      // one from each peer; never changed, but replaced

	overheard int // for how many epochs of others it was put off, up to maxOverheard
	raised    int // how often it was begun anew above a peer's epoch, up to maxRaised
}

// Bounds of what a peer can do to a candidacy by epochs that it tells of. An honest one puts it off once or
// twice; a faulty one, by no more than maxOverheard times the delay of a candidacy, and as long again with
// the answers to the first maxRaised asks.
const (
	maxOverheard = 4
	maxRaised    = 2
)

type stage uint8

const (
	idle stage = iota
	waiting
	campaigning
)

// An aim is what a candidate wants the votes for. An epoch in which a sentinel orders a promotion is one
// that a majority has given it, whatever for: or two of them might take the same, each on its side of
// a partition, and the master of a minority, which takes no writes, might end the reign of the one that does.
type aim uint8

const (
	toReplace aim = iota // a master that is down
	toOust               // one that need not be: see Sentinel.Failover
	toRaise              // nobody: the master is to go on in an epoch above one that was heard of
)

// anyway reports whether votes are wanted though promises to the master bind. It is no danger, then: one
// that is to be ousted steps down before another is promoted, or that one gets no lease before the promises are over.
func (a aim) anyway() bool { return a != toReplace }

// An answer is what is known of one peer's vote.
type answer struct {
	from    repl.NodeID
	verdict verdict
	stands  bool      // it has voted for itself
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
	if v.campaign.stage != idle || s.leading || v.nextEpoch(s) > backlog.MaxCounter {
		return v
	}
	begins := later(s.now.Add(s.promised), later(later(v.rest, v.counts), v.loyal)).Add(v.random(v.pace.delay))
	v.campaign = campaign{stage: waiting, reign: s.reign, begins: begins}
	return v
}

// demand makes v a candidate though the master of s.reign need not be down, in place of whatever
// else it stood for. It waits only if whom it has voted for may be about to promote, or it may not know
// how many votes it takes.
func (v voter) demand(a aim, s scene) voter {
	v.campaign = campaign{stage: waiting, aim: a, reign: s.reign, begins: later(later(s.now, v.counts), v.loyal)}
	return v
}

// nextEpoch returns the epoch of the campaign that v begins next.
func (v voter) nextEpoch(s scene) uint64 { return max(v.ballot.epoch+1, lowest(s.reign)) }

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
	case c.stage == waiting && s.promised > 0 && !c.aim.anyway():
		c.begins = s.now.Add(s.promised + v.random(v.pace.delay))
		return v, outcome{}
	case c.stage == waiting:
		return v.begin(s)
	case !s.now.Before(c.ends):
		return v.lose()
	}
	return v.askAgain(s)
}

// begin begins the campaign that v waited for: in a new epoch, with a vote for itself.
func (v voter) begin(s scene) (voter, outcome) {
	next := v.nextEpoch(s)
	if next > backlog.MaxCounter {
		v.campaign = campaign{}
		return v, outcome{}
	}
	v.ballot = ballot{epoch: next, votedIn: next, votedFor: v.self}
	v.campaign = campaign{
		stage: campaigning, aim: v.campaign.aim, reign: s.reign, ends: s.now.Add(v.timeout()),
		overheard: v.campaign.overheard, raised: v.campaign.raised,
	}
	v, out := v.askAgain(s)
	out.save, out.aim = true, v.campaign.aim
	if v.wins(s) {
		v.campaign = campaign{}
		out.elected, out.to = next, nil
	}
	return v, out
}

// askAgain asks all peers whose answer is not final.
func (v voter) askAgain(s scene) (voter, outcome) {
	c := &v.campaign
	out := outcome{ask: ask{Epoch: v.ballot.votedIn, Reign: s.reign, Anyway: c.aim.anyway()}}
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
	v = v.heard(leap(v.ballot.epoch, r.Epoch))
	if v.campaign.stage != campaigning || r.To != v.ballot.votedIn || !slices.Contains(s.peers, from) {
		return v, outcome{}
	}
	if v.campaign.reign != s.reign { // the votes were about the end of one that has ended
		v.campaign = campaign{}
		return v, outcome{}
	}
	if r.Verdict == lowerEpoch && r.Epoch > r.To && v.campaign.raised < maxRaised {
		return v.raise(s), outcome{}
	}
	c := &v.campaign
	was, i := c.answer(from)
	if was.verdict == granted {
		return v, outcome{} // a vote is not taken back; this answer was under way for longer
	}
	a := answer{from: from, verdict: r.Verdict, known: r.Known, again: s.now.Add(r.Wait)}
	a.stands = a.verdict == taken && r.Wait > 0
	c.answers = slices.Clone(c.answers)
	if i < 0 {
		c.answers = append(c.answers, a)
	} else {
		c.answers[i] = a
	}
	if a.verdict == notYet && a.again.Before(c.askAt) {
		c.askAt = a.again
	}
	if v.split(s) {
		return v.dissolve(s)
	}
	if !v.wins(s) {
		return v, outcome{}
	}
	// How many were in vain is forgotten when the master is heard: what this one is good for is not
	// known yet.
	out := outcome{elected: v.ballot.votedIn, aim: c.aim}
	v.campaign = campaign{}
	return v, out
}

// raise begins a campaign anew above the epoch of a peer who has voted in a higher one. It was hopeless if others
// have, too, and says nothing against the next, for which there is no need to wait.
func (v voter) raise(s scene) voter {
	c := v.campaign
	if c.aim != toReplace {
		v = v.demand(c.aim, s)
	} else {
		v.campaign = campaign{}
		v = v.stand(s)
	}
	v.campaign.overheard, v.campaign.raised = c.overheard, c.raised+1
	return v
}

// lose ends a campaign in vain.
func (v voter) lose() (voter, outcome) {
	out := outcome{lost: v.ballot.votedIn, aim: v.campaign.aim}
	v.campaign = campaign{}
	v.tries++
	return v, out
}

// split reports whether so many sentinels have voted for themselves that none of them can
// have a majority any more: the epoch is used up, and there is nothing to wait for. A few
// that begin within a round trip, and the time that it takes to save a vote, do so.
func (v voter) split(s scene) bool {
	others := len(s.peers)
	for _, a := range v.campaign.answers {
		if a.stands && slices.Contains(s.peers, a.from) {
			others--
		}
	}
	return 1+others < (1+len(s.peers))/2+1
}

// dissolve loses a split election before its time. As all who stood learn of it at once, they do not
// stand again at once, but after a random time, that doubles. Another may stand meanwhile, and have this one's vote.
func (v voter) dissolve(s scene) (voter, outcome) {
	v, out := v.lose()
	v.rest = s.now.Add(v.random(min(v.pace.delay<<min(v.tries, 20), v.pace.cap/2)))
	return v, out
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
		if a.verdict == granted && slices.Contains(s.peers, a.from) { // others were removed since
			votes++
			known = max(known, a.known)
		}
	}
	return votes >= max(s.quorum, known/2+1)
}
