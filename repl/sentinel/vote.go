package sentinel

import (
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
	aim     aim           // of the campaign that has begun, is won, or is lost
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
	rest     time.Time // it does not stand before, after a failover or an election in vain, or another's epoch
	loyal    time.Time // until then whom it voted for may be about to promote
	counts   time.Time // until then it may not know how many sentinels there are: since its start, or Sentinel.Reset
	wanted   time.Time // until then somebody asks for a vote that a promise stands against
	tries    int       // elections, and failovers that it led, in vain since the master was heard
	seed     uint64
}

// newVoter returns a voter that has voted as b says.
func newVoter(self repl.NodeID, b ballot, downAfter time.Duration, seed uint64) voter {
	b.epoch = max(b.epoch, b.votedIn)
	return voter{self: self, ballot: b, pace: paceOf(downAfter), seed: seed}
}

// maxLeap is how far above all epochs that are known one is believed of a peer. There is one for each
// election; and as there is none above [backlog.MaxCounter], one wrong word would end all elections for ever.
const maxLeap = 1 << 20

// leap returns what is known after a peer has told of an epoch.
func leap(known, told uint64) uint64 { return max(known, min(told, known+maxLeap)) }

// heard returns v after it has heard of an epoch, of whomever. It need not be saved: the
// vote is what counts, and a candidate that has forgotten an epoch is told. Nor does it stand
// against a vote in a lower one: a sentinel that tells of ever higher ones would have none elected.
func (v voter) heard(epoch uint64) voter {
	v.ballot.epoch = max(v.ballot.epoch, min(epoch, backlog.MaxCounter))
	return v
}

// overheard is heard for an epoch in which v was not asked for its vote. Whoever has begun that is asking
// just now, or is elected already: it is to have its chance. If v began the next one it would vote for itself
// in that, and lease nothing to the master that comes of the other. But it waits for no more than
// maxOverheard of them: elections that come to nothing, or are none, must not keep it from standing for ever.
func (v voter) overheard(epoch uint64, now time.Time) voter {
	v = v.heard(epoch)
	if c := &v.campaign; c.stage == waiting && !c.aim.anyway() {
		if c.begins.Before(now.Add(v.pace.delay)) && c.overheard < maxOverheard {
			c.begins = later(c.begins, now).Add(v.pace.delay) // as far from others' as it was
			c.overheard++
		}
	} else if c.stage == idle {
		v.rest = later(v.rest, now.Add(v.pace.delay)) // the same news may have it stand
	}
	return v
}

// lowest returns the lowest epoch in which anybody may be elected to end, or renew, the reign. The
// one right above it is left to the master, which may be handing over just now, in an epoch that nobody
// votes about: so that it is not the same as one that is voted about, and below it. Of others that
// a node begins by itself this cannot be said: nobody knows how many times one was promoted by hand.
func lowest(reign backlog.Epoch) uint64 { return reign.Counter + 2 }

// mayGrant reports whether a master that began to write in epoch may be granted a lease. It
// may not after a vote for one above it, for ever: whoever was voted for may have an order
// under way by which a node is promoted that lacks what the master would write from now
// on, and its replicas acknowledge. The master has to be promoted anew, in an epoch above.
func (v voter) mayGrant(epoch uint64) bool { return v.ballot.votedIn <= epoch }

// asked answers a peer's ask for a vote.
func (v voter) asked(from repl.NodeID, a ask, s scene) (voter, reply, outcome) {
	r := reply{To: a.Epoch, Known: 1 + len(s.peers)}
	granting := v
	switch {
	case a.Epoch < v.ballot.votedIn:
		r.Verdict = lowerEpoch
	case a.Epoch == v.ballot.votedIn:
		switch r.Verdict = taken; v.ballot.votedFor {
		case from:
			r.Verdict = granted // told again, for the first answer may be lost
		case v.self:
			r.Wait = max(v.campaign.ends.Sub(s.now), time.Microsecond)
		}
	case a.Reign.Compare(s.reign) < 0:
		r.Verdict = oldReign
	case a.Epoch < lowest(a.Reign), a.Epoch > v.ballot.epoch+maxLeap:
		r.Verdict = lowerEpoch
	default:
		if r.Wait = v.patience(from, a, s); r.Wait > 0 {
			r.Verdict = notYet
			v.wanted = later(v.wanted, s.now.Add(r.Wait+2*v.pace.base))
			v.giveWay(s.now.Add(r.Wait + v.pace.delay))
			break
		}
		granting = v.vote(from, a.Epoch, s)
		r.Verdict, r.Epoch = granted, granting.ballot.epoch
		return granting, r, outcome{save: true}
	}
	r.Epoch = v.ballot.epoch
	return v, r, outcome{}
}

// giveWay puts a candidacy off that waits, so that another has its chance before at. All who are asked for
// their votes in the same moment do so, and do not stand in the same moment after it.
func (v *voter) giveWay(at time.Time) {
	if c := &v.campaign; c.stage == waiting && c.begins.Before(at) {
		c.begins = at.Add(v.random(v.pace.delay))
	}
}

// patience returns for how long v gives nobody a vote, but perhaps the one whom it gave the
// last.
func (v voter) patience(from repl.NodeID, a ask, s scene) time.Duration {
	wait := s.promised
	if a.Anyway {
		wait = 0
	}
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
	v.ballot = ballot{epoch: max(epoch, v.ballot.epoch), votedIn: epoch, votedFor: from}
	v.campaign = campaign{}
	v.loyal = s.now.Add(2 * v.pace.base)
	v.wanted = time.Time{} // here it is; whoever else wants one asks again
	return v
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
