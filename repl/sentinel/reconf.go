package sentinel

import (
	"errors"
	"time"

	"github.com/emberkv/ember/repl"
)

// A following is what a failover has to do when there is a new master: everybody's change to it.
type following struct {
	ousted repl.NodeID // the old master
	turns  map[repl.NodeID]*turn
}

// A turn is one node's change to the new master.
type turn struct {
	task    task
	sent    time.Time // when it was first told; zero before
	follows bool      // it has begun to follow
	over    bool      // it streams, or is not waited for
}

// busy reports whether the turn counts against Options.ParallelSyncs.
func (t *turn) busy() bool { return !t.sent.IsZero() && !t.over }

// promoted passes the point of no return: the chosen one is the master.
func (f *failover) promoted(now time.Time, v *view) {
	n := v.nodes[f.chosen]
	if v.reign.Epoch == f.old.Epoch {
		// The view hesitates, as the node does not know with what the old reign began.
		r := n.report
		v.crown(Reign{Epoch: r.Lineage.Epoch, History: r.Lineage.Current, ID: n.id, Name: n.name, Addr: n.addr})
	}
	if n != nil && !f.waits { // its report has overtaken the answer to the order
		f.event(v, EventStateWaitPromotion, v.instance(n), "")
	}
	slave := v.reign.instance()
	slave.Type = InstanceSlave
	f.event(v, EventPromotedSlave, slave, "")
	f.event(v, EventStateReconfSlaves, v.reign.instance(), "")
	f.out.done = true
	f.following = following{ousted: f.old.ID, turns: make(map[repl.NodeID]*turn)}
	f.old = v.reign // from now on that is what may be superseded
	f.enter(now, phaseReconf)
}

// reconf tells the nodes that follow somebody else to follow the new master, ParallelSyncs at
// a time, until all that can be heard stream from it. The old master, if it is there, is the
// first: nobody should take it for one any longer.
func (f *failover) reconf(now time.Time, v *view) {
	master := v.nodes[f.chosen]
	late := !now.Before(f.since.Add(f.opts.FailoverTimeout))
	switch {
	case v.reign.Epoch != f.old.Epoch:
		f.finish(v, EventFailoverEndTimeout, "another master was promoted")
		return
	case f.gone(master):
		f.finish(v, EventFailoverEndTimeout, "the new master is down")
		return
	case late:
		f.tellRest(now, v)
		f.finish(v, EventFailoverEndTimeout, "")
		return
	}
	waiting := false
	busy := 0
	nodes := f.others(v)
	for _, n := range nodes {
		t := f.turn(n)
		f.follow(now, v, n, t)
		if t.busy() {
			busy++
		}
		waiting = waiting || !t.over
	}
	for _, n := range nodes {
		if t := f.turn(n); !t.over && (t.busy() || busy < f.opts.ParallelSyncs) && f.tell(now, v, n, t) {
			busy++
		}
	}
	if !waiting {
		f.finish(v, EventFailoverEnd, "")
		return
	}
	f.wait(now)
}

// others returns the nodes that are to be told, in the order in which they are: a master
// first. Not those that nobody hears, nor strangers, and not those that follow one that will be told: they get all
// through it.
func (f *failover) others(v *view) (others []*node) {
	for _, n := range v.inOrder() {
		if n.id == f.chosen || f.gone(n) || !n.linked && f.turns[n.id] == nil || n.isStranger() || f.chained(v, n) {
			continue
		}
		if n.report.Role == repl.RoleMaster {
			others = append([]*node{n}, others...)
		} else {
			others = append(others, n)
		}
	}
	return others
}

// chained reports whether n gets all through another replica that is there, which streams from the
// new master or will be told to. Those who followed the old master itself are told in any case.
func (f *failover) chained(v *view, n *node) bool {
	up := n.report.Upstream
	if n.report.Role == repl.RoleMaster || up.State != repl.LinkStreaming || up.ID == f.chosen || up.ID == f.ousted {
		return false
	}
	through := v.nodes[up.ID]
	return !f.gone(through) && through.report.Role == repl.RoleReplica
}

func (f *failover) turn(n *node) *turn {
	t := f.turns[n.id]
	if t == nil {
		t = &turn{}
		f.turns[n.id] = t
	}
	return t
}

// follow notes how far n has come.
func (f *failover) follow(now time.Time, v *view, n *node, t *turn) {
	up := n.report.Upstream
	there := n.report.Role == repl.RoleReplica && (up.ID == f.chosen || up.Addr == v.reign.Addr)
	told := !t.sent.IsZero()
	switch {
	case t.over:
	case there && up.ID == f.chosen && up.State == repl.LinkStreaming:
		t.over = true
		if told {
			f.event(v, EventSlaveReconfDone, v.instance(n), "")
		}
	case told && !t.follows && !now.Before(t.sent.Add(min(reconfTimeout, f.opts.FailoverTimeout))):
		t.over = true
		f.event(v, EventSlaveReconfSentTimeout, v.instance(n), "")
	case errors.Is(t.task.err, repl.ErrLowerEpoch), errors.Is(t.task.err, repl.ErrNotSupervised):
		t.over = true
	case there && told && !t.follows:
		t.follows = true
		f.event(v, EventSlaveReconfInProgress, v.instance(n), "")
	}
}

// tell tells n to follow the new master, if that is to be done now, and reports whether that is
// the first time.
func (f *failover) tell(now time.Time, v *view, n *node, t *turn) bool {
	was := n.report.Role
	if !f.give(now, &t.task, n, repl.Order{Kind: repl.OrderFollow, Addr: v.reign.Addr}) || !t.sent.IsZero() {
		return false
	}
	t.sent = now
	if was == repl.RoleMaster {
		f.event(v, EventConvertToSlave, v.instance(n), "")
	}
	f.event(v, EventSlaveReconfSent, v.instance(n), "")
	return true
}

// tellRest tells all whose turn has not come, and does not wait for them.
func (f *failover) tellRest(now time.Time, v *view) {
	for _, n := range f.others(v) {
		t := f.turn(n)
		if t.sent.IsZero() && !t.over && f.give(now, &t.task, n, repl.Order{Kind: repl.OrderFollow, Addr: v.reign.Addr}) {
			f.event(v, EventSlaveReconfSentBestEffort, v.instance(n), "")
		}
	}
}

// nextTurn returns when reconf has something to do, if nothing happens before.
func (f *failover) nextTurn() time.Time {
	next := earlier(f.lookAt, f.since.Add(f.opts.FailoverTimeout))
	for _, t := range f.turns {
		if t.busy() && !t.follows {
			next = earlier(next, t.sent.Add(min(reconfTimeout, f.opts.FailoverTimeout)))
		}
	}
	return next
}

// finish ends a failover that has promoted somebody.
func (f *failover) finish(v *view, kind EventKind, text string) {
	f.event(v, kind, v.reign.instance(), text)
	f.phase = phaseNone
}
