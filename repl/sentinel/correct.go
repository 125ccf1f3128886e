package sentinel

import (
	"time"

	"github.com/emberkv/ember/repl"
)

// Bounds of how long a node may be something else than it should before it is told. Nodes that
// were just told by somebody else, or are about to be, are given that time.
const (
	maxGrace    = 8 * time.Second
	maxFixPause = 10 * time.Second
)

// compare compares what nodes are with what they should be, and returns when it wants to look
// again.
func (v *view) compare(now time.Time) (next time.Time) {
	c := v.chains()
	for _, n := range v.inOrder() {
		switch wrong := v.wrong(n, c); {
		case wrong && n.wrongSince.IsZero():
			n.wrongSince, n.fixAt, n.fixes = now, now.Add(v.grace()), 0
			v.tell(EventRoleChange, v.instance(n), "")
		case !wrong && !n.wrongSince.IsZero():
			n.wrongSince = time.Time{}
			v.tell(EventRoleRestored, v.instance(n), "")
		}
		if !n.wrongSince.IsZero() && n.fixAt.After(now) {
			next = earlier(next, n.fixAt)
		}
	}
	return next
}

func (v *view) grace() time.Duration { return min(v.opts.DownAfter, maxGrace) }

// wrong reports whether n, by its newest report, has another role or upstream than it should.
// A node that is down is left as it was.
func (v *view) wrong(n *node, c *chains) bool {
	switch r := n.report; {
	case r == nil || v.reign.IsZero():
		return false
	case n.down() || !n.linked:
		return !n.wrongSince.IsZero()
	case n.id == v.reign.ID:
		return r.Role != repl.RoleMaster && !r.HandingOver
	case r.Role == repl.RoleMaster:
		return true
	}
	if up := c.upstream(n); n.life.displaced && up != nil && up.id != v.reign.ID {
		return true // a chain that nobody has made: its followers' acks, or lag, count with the master no more
	}
	return !c.leads(n)
}

// correct tells nodes what they should be that have been something else for too long.
// While a failover is under way, here or at a peer, it is that which tells them, as many at a
// time as it should; and while the master is not heard, nobody can. Nor while one is demanded, which
// waits for its votes: a candidacy to raise the master would take their place.
func (d *desk) correct(now time.Time) {
	v := d.view
	m := v.master()
	if d.voter.campaign.aim == toOust {
		return // there is another turn when it is over
	}
	if v.led() || m == nil || !m.linked || m.down() || !m.wrongSince.IsZero() || m.report == nil || m.report.Lineage.Epoch != v.reign.Epoch || d.fail.busy() {
		return
	}
	for _, n := range v.inOrder() {
		if n == m || n.wrongSince.IsZero() || n.down() || !n.linked || !n.report.Supervised || n.isStranger() {
			continue
		}
		at := n.fixAt
		if v.outranks(n) {
			at = at.Add(v.grace() / 2 * time.Duration(v.rank())) // one is enough
		}
		if now.Before(at) {
			d.wake(at)
			continue
		}
		n.fixAt = now.Add(min(max(v.grace(), time.Second)<<min(n.fixes, 10), maxFixPause))
		n.fixes++
		d.wake(n.fixAt)
		if v.outranks(n) {
			// The master stays the master, but in an epoch that a majority has voted for.
			d.voter = d.voter.demand(toRaise, d.scene(now))
			d.wake(now)
		} else {
			d.fix(n)
		}
	}
}

// led reports whether a peer that can be heard leads a failover of this reign or a later one.
func (v *view) led() bool {
	for _, p := range v.peers {
		if p.linked && p.downSince.IsZero() && p.state != nil && p.state.Leading >= max(v.reign.Epoch.Counter, 1) {
			return true
		}
	}
	return false
}

// outranks reports whether a node of the group has heard of an epoch above the master's, and so
// takes no orders in that of the master: it was started as a master, or has heard of one that was promoted and
// died before anybody else knew.
func (v *view) outranks(n *node) bool {
	return n.report.Heard.Compare(v.reign.Epoch) > 0 && n.report.Lineage.Knows(v.reign.History)
}

// rank returns how many of the other sentinels that can be reached come before this one.
func (v *view) rank() (rank int) {
	for _, p := range v.peers {
		if p.linked && compareIDs(p.id, v.self) < 0 {
			rank++
		}
	}
	return rank
}

// fix tells n to follow the master.
func (d *desk) fix(n *node) {
	kind := EventFixSlaveConfig
	if n.report.Role == repl.RoleMaster {
		kind = EventConvertToSlave
	}
	o := &repl.Order{Kind: repl.OrderFollow, Epoch: d.view.reign.Epoch.Counter, Addr: d.view.reign.Addr}
	n.life.displaced = false // it has been told once: if it is told otherwise, that is somebody's will
	d.order(n.id, o, func(err error, _ time.Time) {
		if err == nil && d.view.nodes[n.id] == n {
			d.view.tell(kind, d.view.instance(n), "")
		}
	})
}
