package sentinel

import (
	"fmt"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/repl"
)

// A promotion is what a failover has decided on its way to a new master.
type promotion struct {
	chosen repl.NodeID   // who is promoted
	source repl.NodeID   // the node to get more from, in phaseCatchUp
	not    []repl.NodeID // who are not to be chosen
	stays  bool          // the chosen one is the old master, which is back
	lapsed time.Time     // on demand: when the old master's lease had run out for certain, if that was waited for
	task   task          // of stepDown, catchUp and promote
	waits  bool          // the chosen one has said that it has done as it was told
}

// choose waits until all nodes that can be heard have been, and chooses one of them.
func (f *failover) choose(now time.Time, v *view) {
	if f.masterIsBack(v) {
		f.keep(now, v)
		return
	}
	// One that hangs is waited for until it is down, for it may be the one that has most.
	late := !now.Before(f.since.Add(f.opts.DownAfter))
	for _, n := range v.inOrder() {
		if n.linked && !n.down() && n.sentAt.Before(f.since) && !late {
			return
		}
	}
	c := f.contest(now, v)
	best, refused := c.choose()
	if best == nil {
		if late {
			f.abort(v, EventAbortNoGoodSlave, nil, fmt.Errorf("%w: %s", ErrNoGoodSlave, refused))
		}
		return
	}
	f.chosen = best.id
	f.event(v, EventSelectedSlave, v.instance(best), fmt.Sprintf("priority %d at %s", best.report.Priority, best.report.Position))
	if f.demanded && f.lapsed.IsZero() && !f.resigned(v) {
		f.event(v, EventStateStepDown, f.old.instance(), "")
		f.enter(now, phaseStepDown)
		return
	}
	f.gather(now, v)
}

// keep has the old master, which is back, go on in the epoch of this failover: those who have voted
// in it lease to nobody below.
func (f *failover) keep(now time.Time, v *view) {
	f.event(v, EventAbortMasterBack, f.old.instance(), ErrMasterBack.Error())
	v.told[len(v.told)-1].Err = ErrMasterBack
	f.chosen, f.stays = f.old.ID, true
	f.enter(now, phasePromote)
}

func (f *failover) contest(now time.Time, v *view) *contest {
	c := &contest{now: now, since: later(f.begun, f.lapsed), epoch: f.epoch, not: f.not, view: v}
	if f.demanded {
		c.last = f.old.ID
	}
	return c
}

// masterIsBack reports whether there is no reason for a failover any more.
func (f *failover) masterIsBack(v *view) bool {
	m := v.nodes[f.old.ID]
	return !f.demanded && m != nil && f.contest(f.begun, v).fresh(m) && m.report.Role == repl.RoleMaster &&
		m.report.Lineage.Epoch == f.old.Epoch
}

// writes reports whether the old master is there, as one.
func (f *failover) writes(v *view) bool {
	m := v.nodes[f.old.ID]
	return m != nil && m.linked && !m.down() && m.report != nil && m.report.Role == repl.RoleMaster
}

// resigned reports whether the old master has said, since this failover began, that it is none any more.
func (f *failover) resigned(v *view) bool {
	m := v.nodes[f.old.ID]
	return m != nil && m.linked && f.contest(f.begun, v).fresh(m) && m.report.Role == repl.RoleReplica
}

// stepDown has the old master follow the chosen one, before that is the master: so it writes no more,
// and the chosen one can get all that was written. If it does not do so in time, or cannot be told,
// its lease is waited for to run out, which began before the votes, and nobody who voted renews. Then all are
// heard once more, as up to then it may have written, and its replicas have acknowledged.
func (f *failover) stepDown(now time.Time, v *view) {
	m, n := v.nodes[f.old.ID], v.nodes[f.chosen]
	if f.gone(n) {
		f.another(now)
		return
	}
	late := !now.Before(f.since.Add(f.opts.DownAfter))
	deaf := f.gone(m) || !m.linked || f.task.refused()
	switch {
	case late, deaf && !now.Before(f.begun.Add(f.opts.DownAfter)):
		f.lapsed = now
		f.enter(now, phaseSelect)
	case deaf:
		f.wait(now)
	case f.task.done && m.report.Role == repl.RoleReplica && !m.sentAt.Before(f.task.doneAt):
		f.not = nil // it may be the only one that is left
		f.source = m.id
		f.enter(now, phaseCatchUp)
	default:
		f.give(now, &f.task, m, repl.Order{Kind: repl.OrderFollow, Addr: n.addr})
		f.wait(now)
	}
}

// gather promotes the chosen one, after it has got what another has more.
func (f *failover) gather(now time.Time, v *view) {
	if ahead := f.contest(now, v).ahead(v.nodes[f.chosen]); ahead != nil && ahead.addr != "" {
		f.source = ahead.id
		f.enter(now, phaseCatchUp)
		return
	}
	f.enter(now, phasePromote)
}

// catchUp has the chosen one follow the node that has more, until it has as much. With MinHeard what
// writers were promised depends on it; otherwise it is given up after a while.
func (f *failover) catchUp(now time.Time, v *view) {
	n, source := v.nodes[f.chosen], v.nodes[f.source]
	if f.gone(n) {
		f.another(now)
		return
	}
	patience := f.opts.DownAfter
	if f.opts.MinHeard > 1 {
		patience = f.opts.FailoverTimeout // which ends it before that
	}
	late := !now.Before(f.since.Add(patience))
	switch {
	case !f.gone(source) && further(n.report, source.report) <= 0:
		f.enter(now, phasePromote)
	case f.opts.MinHeard > 1 && f.gone(source):
		f.enter(now, phaseSelect)
	case f.opts.MinHeard > 1 && f.task.refused():
		f.another(now)
	case late, f.gone(source), f.task.refused():
		f.enter(now, phasePromote)
	default:
		if !v.follows(n, source.id) {
			f.give(now, &f.task, n, repl.Order{Kind: repl.OrderFollow, Addr: source.addr})
		}
		f.wait(now)
	}
}

// promote tells the chosen one to become the master. Whether it is, the view knows: run sees
// to that.
func (f *failover) promote(now time.Time, v *view) {
	n := v.nodes[f.chosen]
	first, done := f.task.number == 0, f.task.done
	switch {
	case f.stays && (f.gone(n) || f.task.refused()): // another attempt finds out whether it is there
		f.over(f.task.problem(ErrTimeout))
		f.out.retire = true
		return
	case f.stays:
		f.give(now, &f.task, n, repl.Order{Kind: repl.OrderPromote})
	case f.task.idle(), f.demanded && f.task.number == 0 && f.gone(n):
		f.another(now)
	case f.gone(n) || f.task.refused():
		// It may have been promoted, so nobody else must be in this epoch.
		if f.demanded { // and there may be no master at all, now
			f.phase, f.out.again = phaseNone, true
			return
		}
		f.abort(v, EventAbortSlaveTimeout, n, f.task.problem(ErrTimeout))
	case f.give(now, &f.task, n, repl.Order{Kind: repl.OrderPromote}) && first:
		f.event(v, EventStateSendPromote, v.instance(n), "")
	case done && !f.waits:
		f.waits = true
		f.event(v, EventStateWaitPromotion, v.instance(n), "")
		f.look(now)
	}
	f.wait(now)
}

// isMaster reports whether the chosen one is what it was told to become.
func (f *failover) isMaster(v *view) bool {
	n, promoted := v.nodes[f.chosen], backlog.Epoch{Counter: f.epoch, Node: f.chosen}
	if v.reign.Epoch == promoted {
		return true
	}
	return n != nil && n.report != nil && n.report.Role == repl.RoleMaster && n.report.Lineage.Epoch == promoted &&
		v.reign.Epoch == f.old.Epoch
}

// another goes back to the choice, which is not to fall on the same node again.
func (f *failover) another(now time.Time) {
	f.not = append(f.not, f.chosen)
	f.chosen, f.waits = repl.NodeID{}, false
	f.enter(now, phaseSelect)
}

// gone reports whether a node is not to be counted on.
func (f *failover) gone(n *node) bool { return n == nil || n.down() || n.report == nil }

// wait looks at the nodes again, when it is time.
func (f *failover) wait(now time.Time) {
	if !now.Before(f.lookAt) {
		f.look(now)
	}
}

// follows reports whether n streams from the node id, directly or through others.
func (v *view) follows(n *node, id repl.NodeID) bool {
	for range v.nodes {
		if n == nil || n.report == nil || n.report.Upstream.State != repl.LinkStreaming {
			return false
		}
		if n.report.Upstream.ID == id {
			return true
		}
		n = v.nodes[n.report.Upstream.ID]
	}
	return false
}
