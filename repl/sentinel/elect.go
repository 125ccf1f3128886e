package sentinel

import (
	"fmt"
	"time"

	"github.com/emberkv/ember/repl"
)

// scene returns what the voter has to be told.
func (d *desk) scene(now time.Time) scene {
	return scene{
		now: now, reign: d.view.reign.Epoch, peers: d.view.others(), quorum: d.opts.Quorum,
		promised: d.promise.remaining(now), leading: d.fail.leads(),
	}
}

// disowned reports whether the master is there, and does not hold the lease, and this sentinel may not grant
// it, as it has voted for its end. Then a leader is needed who promotes it anew.
func (d *desk) disowned() bool {
	m, reign := d.view.master(), d.view.reign.Epoch
	return m != nil && m.linked && !m.down() && m.report != nil && m.report.Role == repl.RoleMaster && m.report.Supervised &&
		m.report.Lineage.Epoch == reign && m.report.Lease.Remaining == 0 && !m.report.HandingOver &&
		!d.voter.mayGrant(reign.Counter) && !d.view.led() && !d.fail.busy()
}

// elect has the voter stand, and do what is due, while the master is objectively down, or nobody's, or
// votes are wanted for something else.
func (d *desk) elect(now time.Time) {
	if d.voter.ballot.epoch < d.view.epoch {
		d.voter = d.voter.overheard(d.view.epoch, now)
		d.view.tell(EventNewEpoch, Instance{}, fmt.Sprint(d.view.epoch))
	}
	s := d.scene(now)
	if d.voter.campaign.aim == toReplace {
		if d.view.downSince.IsZero() && !d.disowned() {
			d.voter = d.voter.withdraw()
			return
		}
		d.voter = d.voter.stand(s)
	}
	next := d.voter.next()
	unsaved := !next.IsZero() && now.Before(d.saveAt) // there is no vote without the store
	if !unsaved {
		unsaved = !d.take(d.voter.tick, s)
	}
	if unsaved {
		d.wake(d.saveAt)
		d.dismiss(errNotSaved)
	}
	d.wake(d.voter.next())
}

// dismiss ends a candidacy that was demanded, and says why to whoever has demanded it.
func (d *desk) dismiss(why error) {
	switch d.voter.campaign.aim {
	case toReplace:
		return
	case toOust:
		d.answer(why)
	}
	d.voter.campaign = campaign{}
}

// take does what the voter wants done that it would become by a step. It returns false if the
// step cannot be saved: then it was not taken.
func (d *desk) take(step func(scene) (voter, outcome), s scene) bool {
	next, out := step(s)
	before := d.voter
	if d.voter = next; out.save && !d.save(s.now) {
		d.voter = before
		return false
	}
	d.view.hear(next.ballot.epoch)
	if next.ballot.votedIn != before.ballot.votedIn {
		d.tellVote(next.ballot, out.aim)
	}
	for _, id := range out.to {
		d.askVote(id, out.ask, s.now)
	}
	switch {
	case out.elected != 0:
		d.elected(out, s.now)
		return true
	case out.lost != 0 && out.aim != toRaise:
		d.view.tellIn(EventAbortNotElected, d.view.reign.instance(), out.lost, "")
	}
	if before.campaign.aim == toOust && next.campaign.aim != toOust {
		d.answer(unelected(out))
	}
	return true
}

// unelected returns why a candidacy that was demanded has ended without an election.
func unelected(out outcome) error {
	if out.lost != 0 {
		return ErrNotElected
	}
	return ErrSuperseded // by another master, or a sentinel that is about to promote one has this sentinel's vote
}

// elected does what the votes were wanted for.
func (d *desk) elected(out outcome, now time.Time) {
	switch out.aim {
	case toReplace:
		d.obey(d.fail.begin(now, d.view, out.elected), now)
	case toOust:
		d.obey(d.fail.demand(now, d.view, out.elected), now)
	case toRaise:
		d.order(d.view.reign.ID, &repl.Order{Kind: repl.OrderPromote, Epoch: out.elected}, func(error, time.Time) {})
	}
}

// tellVote tells of a vote that was given.
func (d *desk) tellVote(b ballot, a aim) {
	whom := Instance{Type: InstanceSentinel, ID: b.votedFor, Name: d.opts.Name, Addr: d.view.addr}
	if p := d.view.peers[b.votedFor]; p != nil {
		whom = p.instance()
	}
	if b.votedFor == d.view.self && a != toRaise {
		d.view.tellIn(EventTryFailover, d.view.reign.instance(), b.votedIn, "")
	}
	d.view.tellIn(EventVoteForLeader, whom, b.votedIn, fmt.Sprintf("%s %d", b.votedFor, b.votedIn))
}

// askVote asks a peer for its vote.
func (d *desk) askVote(id repl.NodeID, a ask, now time.Time) {
	l := d.lineOf(id)
	if l == nil {
		return
	}
	d.call(l, a.append(nil), now, func(answer []byte, now time.Time) {
		r, err := parseReply(answer)
		if err != nil {
			d.log.Warn("peer's vote", "addr", l.addr, "err", err)
			return
		}
		d.take(func(s scene) (voter, outcome) { return d.voter.answered(id, r, s) }, d.scene(now))
	})
}

// vote answers a peer who asks for this sentinel's.
func (d *desk) vote(from repl.NodeID, a ask, now time.Time) (reply, error) {
	if now.Before(d.saveAt) {
		return reply{}, errNotSaved
	}
	var r reply
	saved := d.take(func(s scene) (voter, outcome) {
		next, answer, out := d.voter.asked(from, a, s)
		r = answer
		return next, out
	}, d.scene(now))
	if !saved {
		return reply{}, errNotSaved
	}
	return r, nil
}
