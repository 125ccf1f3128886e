package sentinel

import (
	"slices"
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
	if before == nil || before.Life != r.Life {
		n.life = life{began: now, displaced: n.direct}
	}
	if up := r.Upstream; r.Role == repl.RoleReplica && up.State == repl.LinkStreaming {
		n.direct = up.ID == v.reign.ID
		n.life.displaced = n.life.displaced && !n.direct
	}
	if before == nil {
		n.foundAt = now
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
	v.recognize(n, before != nil && before.Life != r.Life)
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
		// This is what that replica calls it, and perhaps nobody else does.
		if n := v.nodes[up.ID]; n == nil || n.addr == "" {
			v.found(up.ID, "", up.Addr, now)
		} else if !n.linked && n.said.news(n.addr, up.Addr) {
			v.version++
		}
	}
}

// Hearsay is where one that cannot be reached is said to be, the newest address last. It is looked for
// at all of these. Those who tell of it may know different addresses: without a memory of them it would
// be moved to and fro, and clients with it, with every report.
type hearsay []string

// maxHearsay is how many addresses are remembered for each. Of one more the oldest goes.
const maxHearsay = 8

// news adds addr, and reports whether it was not known, nor is the one that one has now.
func (h *hearsay) news(now, addr string) bool {
	if addr == "" || len(addr) > MaxAddrBytes || addr == now || slices.Contains(*h, addr) {
		return false
	}
	if len(*h) == maxHearsay {
		*h = slices.Delete(*h, 0, 1)
	}
	if now != "" && len(*h) == 0 {
		*h = append(*h, now)
	}
	*h = append(*h, addr)
	return true
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
	if n.said.news(n.addr, addr) || n.addr == "" {
		v.move(n, addr)
	}
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

// forget forgets nodes that could not be reached for long, and returns when it wants to look
// again. The master is not forgotten.
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
		v.recallPeer(c, now)
	}
	if r := m.reign; !r.IsZero() {
		v.found(r.ID, r.Name, r.Addr, now)
		v.tell(EventMonitor, r.instance(), "")
	}
}

// recallPeer takes in a sentinel that has answered in an earlier life. It counts though it is not
// known where it is.
func (v *view) recallPeer(c contact, now time.Time) {
	v.foundPeer(c.ID, "", c.Addr, now)
	if p := v.peers[c.ID]; p != nil {
		p.met = true
	} else if c.ID != v.self && c.ID != (repl.NodeID{}) {
		v.peers[c.ID] = &peer{id: c.ID, silentSince: now, toldAt: now, met: true}
	}
}
