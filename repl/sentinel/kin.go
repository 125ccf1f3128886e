package sentinel

import (
	"time"

	"github.com/emberkv/ember/repl"
)

// Groups that have no name, or the same one, may come to know of each other by a slip: a node of one is
// told to follow a node of the other. That gives it no data, but those that watch it find the others
// through it. Then the nodes' data tell the groups apart: those of one share a history.

// isKin reports whether n has what the group has, or the beginning of it.
func (v *view) isKin(n *node) bool {
	r := n.report
	if v.reign.IsZero() || n.id == v.reign.ID || r.Lineage.Knows(v.reign.History) {
		return true
	}
	for _, other := range v.nodes {
		if other == n || !other.kin || other.report == nil {
			continue
		}
		if _, ok := r.Lineage.Common(r.Position.Offset, other.report.Lineage, other.report.Position.Offset); ok {
			return true
		}
	}
	return false
}

// recognize notes whether n, which was just heard, is one of the group's. What it was before it was restarted
// says nothing if it has no data now; but a stranger that has lost its own is still none of ours.
func (v *view) recognize(n *node, reborn bool) {
	n.kin = n.kin && !reborn || v.isKin(n)
	n.stranger = !n.kin && (n.stranger || n.report.HasData)
}

// isStranger reports whether n has or had data, and was never seen to have the group's: it would not take the
// master's, and may take writes, which are not this group's to end.
func (n *node) isStranger() bool { return n.stranger }

// foreign reports whether r, of which a sentinel tells, is a reign of another group, as far as can be known
// now: its master was never seen to have what this group has, and either this group's master is there and
// knows nothing of it, or that node has data of its own. A node that is not known is looked for first.
func (v *view) foreign(r Reign, now time.Time) bool {
	if r.IsZero() || v.reign.IsZero() || r.Epoch == v.reign.Epoch {
		return false
	}
	n := v.nodes[r.ID]
	if n == nil {
		v.found(r.ID, r.Name, r.Addr, now)
		if n = v.nodes[r.ID]; n == nil {
			return false // there is no room
		}
	}
	m := v.master()
	switch {
	case n.kin:
		return false
	case m != nil && m.linked && !m.down() && m.report != nil && m.report.Role == repl.RoleMaster &&
		m.report.Lineage.Knows(v.reign.History) && !m.report.Lineage.Knows(r.History):
		return true
	case n.report == nil:
		return !n.down()
	}
	return n.report.HasData && v.hasKin()
}

// hasKin reports whether a node is there that has the group's data. When all were started anew without
// them, or are gone, whoever has begun again with others may be the group's by now.
func (v *view) hasKin() bool {
	for _, n := range v.nodes {
		if n.kin && n.linked && !n.down() && n.report != nil && n.report.HasData {
			return true
		}
	}
	return false
}
