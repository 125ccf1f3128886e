package sentinel

import (
	"time"

	"github.com/emberkv/ember/repl"
)

// heard takes in the report of the node that answers at the address at.
func (v *view) heard(r *repl.Report, at string, sent, now time.Time) {
	n := v.add(r.ID, now)
	if n == nil {
		return
	}
	before := n.report
	n.name, n.at, n.report, n.sentAt, n.gotAt = r.Name, at, r, sent, now
	addr := r.Announce
	if addr == "" {
		addr = at
	}
	v.move(n, addr)
	if before == nil {
		v.adopt(n)
		if n.id != v.reign.ID {
			v.tell(EventNewSlave, v.instance(n), "")
		}
	}
	if before != nil && before.Life != r.Life {
		v.tell(EventReboot, v.instance(n), "")
	}
	v.hear(r.Heard.Counter)
	v.adopt(n)
	v.follow(r, now)
	for _, notice := range r.Notices {
		v.read(notice, now)
	}
}

// follow takes in whom else a report tells of.
func (v *view) follow(r *repl.Report, now time.Time) {
	for _, f := range r.Followers {
		v.found(f.ID, f.Name, f.Addr, now)
	}
	if up := r.Upstream; up.State == repl.LinkStreaming || up.State == repl.LinkCopying {
		v.found(up.ID, "", up.Addr, now)
	}
}

// found takes in that a node was said to be at addr. One that is linked knows better.
func (v *view) found(id repl.NodeID, name, addr string, now time.Time) {
	if addr == "" || len(addr) > MaxAddrBytes || id == (repl.NodeID{}) {
		return
	}
	n := v.add(id, now)
	if n == nil || n.linked {
		return
	}
	if n.name == "" || name != "" {
		n.name = name
	}
	v.move(n, addr)
}

// add returns the node of that id, which it makes if need be; nil if there is no room.
func (v *view) add(id repl.NodeID, now time.Time) *node {
	n := v.nodes[id]
	if n == nil && len(v.nodes) < MaxNodes {
		n = &node{id: id, silentSince: now}
		v.nodes[id] = n
		v.version++
	}
	return n
}

// move gives a node its address. Another one that had it has none until it is found again,
// unless it is that which is reached there: then n stays where it is.
func (v *view) move(n *node, addr string) {
	if n.addr == addr {
		return
	}
	for _, other := range v.nodes {
		if other == n || other.addr != addr {
			continue
		}
		if other.linked && !n.linked {
			return
		}
		if !other.linked {
			other.addr = ""
		}
	}
	n.addr = addr
	v.version++
	if n.id == v.reign.ID && v.reign.Addr != addr {
		old := v.reign
		v.reign.Addr = addr
		v.switched(old)
	}
}

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
	case c == 0 && n.id == v.reign.ID && v.reign.History != next.History:
		v.reign.History, v.reign.Name = next.History, next.Name
		v.version++
	}
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
	v.switched(old)
}

// switched tells that clients find the master elsewhere now.
func (v *view) switched(old Reign) {
	if !old.IsZero() && (old.ID != v.reign.ID || old.Addr != v.reign.Addr) {
		v.told = append(v.told, Event{Kind: EventSwitchMaster, Group: v.opts.Group, Epoch: v.reign.Epoch.Counter, About: old.instance(), Master: v.reign.instance()})
	}
}

// read takes in what a peer has posted on a node's board.
func (v *view) read(posted repl.Notice, now time.Time) {
	n, err := parseNotice(posted.Body)
	if err != nil || posted.ID == v.self {
		return
	}
	addr := n.Addr
	if posted.Addr != "" {
		addr = posted.Addr
	}
	v.hear(n.Epoch)
	v.foundPeer(posted.ID, n.Name, addr, now)
	if p := v.peers[posted.ID]; p != nil {
		v.learn(n.Reign, p.instance(), now)
	}
}

// foundPeer takes in that a sentinel was said to be at addr.
func (v *view) foundPeer(id repl.NodeID, name, addr string, now time.Time) {
	if id == v.self || id == (repl.NodeID{}) || addr == "" || len(addr) > MaxAddrBytes || addr == v.addr {
		return
	}
	for _, other := range v.peers {
		if other.addr == addr && other.id != id {
			return // who is there shows when it is dialled: see meet
		}
	}
	p := v.peers[id]
	switch {
	case p == nil && len(v.peers) < MaxPeers:
		p = &peer{id: id, name: name, addr: addr, silentSince: now}
		v.peers[id] = p
		v.version++
		v.tell(EventNewSentinel, p.instance(), "")
	case p == nil || p.linked:
	case p.addr != addr:
		p.addr = addr
		v.version++
		v.tell(EventSentinelAddressSwitch, p.instance(), "")
	}
}

// meet takes in that the sentinel id answers at addr: another that was there is no
// more, as it was started anew with another id.
func (v *view) meet(id repl.NodeID, name, addr string, now time.Time) *peer {
	for _, other := range v.peers {
		if other.addr == addr && other.id != id {
			v.tell(EventSentinelInvalidAddr, other.instance(), "")
			delete(v.peers, other.id)
			v.version++
		}
	}
	v.foundPeer(id, name, addr, now)
	p := v.peers[id]
	if p != nil {
		p.name = name
	}
	return p
}

// forget forgets nodes that could not be reached for long, and returns when it wants to look
// again. The master is not forgotten, nor are peers: a majority is one of all there are.
func (v *view) forget(now time.Time) (next time.Time) {
	for _, n := range v.inOrder() {
		if n.id == v.reign.ID || !n.down() {
			continue
		}
		if at := n.downSince.Add(v.opts.ForgetAfter); at.After(now) {
			next = earlier(next, at)
			continue
		}
		v.tell(EventForgottenSlave, v.instance(n), "")
		delete(v.nodes, n.id)
		v.version++
	}
	return next
}

// clear forgets everybody but the master.
func (v *view) clear() {
	m := v.master()
	clear(v.nodes)
	clear(v.peers)
	if m != nil {
		v.nodes[m.id] = m
	}
	v.version++
}

// recall takes in what was known when the sentinel was last running.
func (v *view) recall(m *memory, now time.Time) {
	v.reign = m.reign
	v.hear(max(m.ballot.epoch, m.reign.Epoch.Counter))
	for _, c := range m.nodes {
		v.found(c.ID, "", c.Addr, now)
	}
	for _, c := range m.peers {
		v.foundPeer(c.ID, "", c.Addr, now)
	}
	if r := m.reign; !r.IsZero() {
		v.found(r.ID, r.Name, r.Addr, now)
		v.tell(EventMonitor, r.instance(), "")
	}
}
