package sentinel

import (
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/repl"
)

// A Reign is a master's time: who it is, since which epoch, and where it can be reached.
// The zero Reign is none.
type Reign struct {
	Epoch   backlog.Epoch   `json:"epoch"`   // in which the master began to write
	History backlog.History `json:"history"` // of its log, when it was last heard
	ID      repl.NodeID     `json:"id"`      // of the node
	Name    string          `json:"name"`    // at most [repl.MaxNameBytes]
	Addr    string          `json:"addr"`    // at most MaxAddrBytes; an attribute, not an identity
}

// MaxAddrBytes bounds every address that a sentinel is told.
const MaxAddrBytes = 255

// IsZero reports whether there is no master yet.
func (r Reign) IsZero() bool { return r.Epoch.IsZero() }

// Above reports whether r came after s.
func (r Reign) Above(s Reign) bool { return r.Epoch.Compare(s.Epoch) > 0 }

// adopt takes n for the master of the newest reign, if it says that it is one.
//
// A master of a higher epoch is that: an operator or another sentinel has promoted it, or the
// master has handed over to it. But not if its log has not what the present one began with: that
// is one of another group, or one that has lost everything and begins again, which
// nobody is to follow. And not if it was started as a master, though it had followed before: with that
// it begins an epoch, but what it has may be old, and nobody has decided anything. It is told to
// follow, see correct.
func (v *view) adopt(n *node) {
	r := n.report
	if r.Role != repl.RoleMaster || r.Lineage.Epoch.IsZero() {
		return
	}
	next := Reign{Epoch: r.Lineage.Epoch, History: r.Lineage.Current, ID: n.id, Name: n.name, Addr: n.addr}
	switch c := next.Epoch.Compare(v.reign.Epoch); {
	case v.reign.IsZero():
		v.crown(next)
		v.tell(EventMonitor, next.instance(), "")
	case !r.Lineage.Knows(v.reign.History):
	case c > 0 && (n.id == v.reign.ID || !r.Initial):
		v.crown(next)
	case c == 0 && n.id == v.reign.ID && (v.reign.History != next.History || v.reign.Name != next.Name):
		v.reign.History, v.reign.Name = next.History, next.Name
		v.version++
	}
}

// presumeAfter is for how many DownAfter a master is looked for before the replicas are believed
// that there was one: as long as it may take to dial it.
const presumeAfter = 5

// presume takes for the master, when none was ever found, the one of which the replicas have their
// data, and returns when it wants to look again. It may be gone for good, as when all machines
// lost power and its own did not come back: without a reign that it could end, no failover would ever
// begin. If it is there after all it says so as soon as it is reached, in this epoch or a later one.
// As long as one of the replicas streams from it, it is there, and takes writes, with no lease perhaps
// as no sentinel has ever reached it: then there is no reign to end.
func (v *view) presume(now time.Time) (next time.Time) {
	if !v.reign.IsZero() {
		return time.Time{}
	}
	var last *repl.Report
	var first time.Time // when a replica was first heard
	c := v.chains()
	for _, n := range v.inOrder() {
		r := n.report
		if r == nil || !r.Ready || r.Lineage.Epoch.IsZero() {
			continue
		}
		first = earlier(first, n.foundAt)
		up := c.upstream(n)
		if r.Upstream.Addr == "" || up != nil && up.linked && up.id != r.Lineage.Epoch.Node && up.report != nil && up.report.Upstream.Addr != "" {
			continue // of another replica, which knows better where its master is
		}
		if r.Upstream.State == repl.LinkStreaming && n.linked && !n.down() {
			return time.Time{}
		}
		if last == nil || r.Lineage.Epoch.Compare(last.Lineage.Epoch) > 0 {
			last = r
		}
	}
	if last == nil {
		return time.Time{}
	}
	if at := first.Add(presumeAfter * v.opts.DownAfter); now.Before(at) {
		return at
	}
	l, addr := last.Lineage, last.Upstream.Addr
	v.found(l.Epoch.Node, "", addr, now)
	if n := v.nodes[l.Epoch.Node]; n != nil && n.addr != "" {
		addr = n.addr
	}
	v.crown(Reign{Epoch: l.Epoch, History: l.Current, ID: l.Epoch.Node, Addr: addr})
	v.tell(EventMonitor, v.reign.instance(), "")
	return time.Time{}
}

// learn takes in a reign that a peer knows of. It reports whether that is news.
func (v *view) learn(r Reign, from Instance, now time.Time) bool {
	v.hear(r.Epoch.Counter)
	// Of one with the same counter only the node itself can show that it has the
	// same data.
	if r.IsZero() || !v.reign.IsZero() && r.Epoch.Counter <= v.reign.Epoch.Counter {
		return false
	}
	v.tell(EventConfigUpdate, from, "")
	if n := v.add(r.ID, now); n != nil && !n.linked {
		n.name = r.Name
		v.move(n, r.Addr)
	}
	v.crown(r)
	return true
}

// crown begins a reign.
func (v *view) crown(r Reign) {
	old := v.reign
	v.reign = r
	v.version++
	v.hear(r.Epoch.Counter)
	if !v.downSince.IsZero() {
		v.downSince = time.Time{} // that was about another
	}
	if n := v.nodes[r.ID]; n != nil {
		n.wrongSince = time.Time{}
	}
	for _, n := range v.nodes { // who is not there is not told by the failover whom to follow now
		n.life.displaced = n.life.displaced || n.direct && (n.down() || !n.linked)
	}
	v.switched(old)
}

// switched tells that clients find the master elsewhere now.
func (v *view) switched(old Reign) {
	if !old.IsZero() && (old.ID != v.reign.ID || old.Addr != v.reign.Addr) {
		v.told = append(v.told, Event{Kind: EventSwitchMaster, Group: v.opts.Group, Epoch: v.reign.Epoch.Counter, About: old.instance(), Master: v.reign.instance()})
	}
}
