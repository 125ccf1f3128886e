package sentinel

import (
	"strings"
	"testing"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/repl"
)

var (
	start = time.Unix(1_000_000, 0)
	hist  = backlog.History{1} // of the reign
)

// idOf returns the id of the node that is called so, which orders as the names do.
func idOf(name string) (id repl.NodeID) {
	copy(id[:], name)
	return id
}

// stand returns a view in which the master "m" of epoch 3 is down, and replicas stand at the offset.
func stand(offset int64, replicas ...string) *view {
	opts, err := (&Options{Monitor: []string{"m"}}).normalize()
	if err != nil {
		panic(err)
	}
	v := newView(idOf("self"), opts)
	v.reign = Reign{Epoch: backlog.Epoch{Counter: 3, Node: idOf("m")}, History: hist, ID: idOf("m"), Name: "m", Addr: "m:1"}
	m := seat(v, "m", offset)
	m.report.Role, m.report.Upstream = repl.RoleMaster, repl.UpstreamReport{}
	m.linked, m.downSince, m.silentSince, m.sentAt = false, start.Add(-time.Second), start.Add(-2*time.Second), start.Add(-2*time.Second)
	for _, name := range replicas {
		seat(v, name, offset)
	}
	return v
}

// seat adds a replica of the master that has just been heard.
func seat(v *view, name string, offset int64) *node {
	n := &node{id: idOf(name), name: name, addr: name + ":1", linked: true, kin: true, sentAt: start, gotAt: start}
	n.report = &repl.Report{
		ID: n.id, Name: name, Role: repl.RoleReplica, Priority: 100, Announce: n.addr,
		Position: backlog.Position{History: hist, Offset: offset},
		Lineage:  backlog.Lineage{Current: hist, Epoch: backlog.Epoch{Counter: 3, Node: idOf("m")}},
		Heard:    backlog.Epoch{Counter: 3, Node: idOf("m")},
		HasData:  true, Ready: true, Supervised: true,
		Upstream: repl.UpstreamReport{ID: idOf("m"), Addr: "m:1", State: repl.LinkDown, Down: time.Second},
	}
	v.nodes[n.id] = n
	return n
}

// What the suite of Redis Sentinel has no tests of (04-slave-selection is a note).
func TestChoice(t *testing.T) {
	fork := func(n *node, h byte, at int64, epoch uint64) {
		n.report.Lineage = n.report.Lineage.Fork(backlog.History{h}, at)
		n.report.Lineage.Epoch = backlog.Epoch{Counter: epoch, Node: idOf("x")}
		n.report.Position.History = backlog.History{h}
	}
	for _, c := range []struct {
		what     string
		set      func(v *view, a, b, c *node)
		want, no string // who is chosen; what is said of the others
	}{
		{"all alike: the lowest id", func(_ *view, _, _, _ *node) {}, "a", ""},
		{"the lowest priority", func(_ *view, _, b, _ *node) { b.report.Priority = 99 }, "b", ""},
		{"priority goes before position", func(_ *view, a, b, _ *node) { b.report.Priority, a.report.Position.Offset = 1, 900 }, "b", ""},
		{"priority 0 never", func(_ *view, a, _, _ *node) { a.report.Priority = 0 }, "b", "a: has priority 0"},
		{"priority 0 not even alone", func(_ *view, a, b, c *node) { a.report.Priority, b.report.Priority, c.report.Priority = 0, 0, 0 }, "", "c: has priority 0"},
		{"the furthest", func(_ *view, _, _, c *node) { c.report.Position.Offset++ }, "c", ""},
		{"one that is ahead by a byte before the id", func(_ *view, a, _, _ *node) { a.report.Position.Offset-- }, "b", ""},
		{"down", func(_ *view, a, _, _ *node) { a.downSince = start }, "b", "a: is down"},
		{"not heard since the election", func(_ *view, a, _, _ *node) { a.sentAt = start.Add(-1) }, "b", "a: was not heard"},
		{"never heard", func(_ *view, a, _, _ *node) { a.report = nil }, "b", "a: was not heard"},
		{"takes no orders", func(_ *view, a, _, _ *node) { a.report.Supervised = false }, "b", "a: takes no orders"},
		{"nowhere to be reached", func(_ *view, a, _, _ *node) { a.addr = "" }, "b", "a: has no address"},
		{"never synced, not even alone", func(v *view, a, b, c *node) {
			a.report.Ready, a.report.Priority = false, 1
			delete(v.nodes, b.id)
			delete(v.nodes, c.id)
		}, "", "a: was never synced"},
		{"another history, not even alone", func(v *view, a, b, c *node) {
			a.report.Lineage.Current = backlog.History{9}
			delete(v.nodes, b.id)
			delete(v.nodes, c.id)
		}, "", "a: is of another history"},
		{"empty, with the best priority", func(_ *view, a, _, _ *node) { a.report.HasData, a.report.Priority = false, 1 }, "b", ""},
		{"empty, and alone: a group without data", func(_ *view, a, b, c *node) {
			a.report.HasData, b.report.HasData, c.report.HasData = false, false, false
		}, "a", ""},
		{"cut off for long before, with the best priority", func(_ *view, a, _, _ *node) {
			a.report.Priority, a.report.Upstream.Down = 1, 11*time.Second+1
		}, "b", ""},
		{"cut off for not so long", func(_ *view, a, _, _ *node) { a.report.Priority, a.report.Upstream.Down = 1, 11*time.Second }, "a", ""},
		{"cut off for long, but better than nothing at all", func(_ *view, a, b, c *node) {
			a.report.Upstream.Down, b.report.HasData, c.report.Priority = time.Hour, false, 0
		}, "a", ""},
		{"fell behind before the reign began", func(v *view, a, b, c *node) {
			v.reign.History = backlog.History{2}
			for _, n := range []*node{b, c} {
				fork(n, 2, 400, 3)
			}
			a.report.Position.Offset, a.report.Lineage.Epoch = 300, backlog.Epoch{}
			b.report.Priority, c.report.Priority = 0, 0
		}, "a", ""},
		{"the later epoch, not the longer log", func(_ *view, a, b, c *node) {
			a.report.Position.Offset = 900 // of an old master's replica, alone with its tail
			fork(b, 2, 400, 3)
			b.report.Position.Offset = 450
			c.report.Position.Offset = 399
		}, "b", ""},
		{"the later of two that went their own ways", func(_ *view, a, b, _ *node) {
			fork(a, 2, 400, 4)
			fork(b, 3, 350, 5)
			a.report.Position.Offset, b.report.Position.Offset = 900, 600
			a.report.Heard, b.report.Heard = a.report.Lineage.Epoch, b.report.Lineage.Epoch
		}, "b", ""},
		{"has heard of a later epoch", func(_ *view, a, _, _ *node) { a.report.Heard.Counter = 8 }, "b", "a: has heard of epoch"},
		{"has heard of this epoch, of another", func(_ *view, a, _, _ *node) { a.report.Heard.Counter = 7 }, "b", "a: has heard of epoch"},
		{"has begun this epoch", func(_ *view, a, _, _ *node) { a.report.Heard = backlog.Epoch{Counter: 7, Node: a.id} }, "a", ""},
		{"the old master, who lives again as a replica", func(v *view, _, _, _ *node) {
			m := v.master()
			m.report.Role, m.downSince, m.sentAt, m.linked = repl.RoleReplica, time.Time{}, start, true
		}, "m", ""},
		{"the old master, behind", func(v *view, _, _, _ *node) {
			m := v.master()
			m.report.Role, m.downSince, m.sentAt, m.linked = repl.RoleReplica, time.Time{}, start, true
			m.report.Position.Offset--
		}, "a", ""},
		{"a stray master", func(_ *view, a, _, _ *node) { a.report.Role = repl.RoleMaster }, "b", "m: is down"},
		{"MinHeard: too few", func(v *view, a, _, _ *node) { v.opts.MinHeard, a.downSince = 3, start }, "", "2 replicas were heard, MinHeard is 3"},
		{"MinHeard: one that may not be promoted counts", func(v *view, a, _, _ *node) { v.opts.MinHeard, a.report.Priority = 3, 0 }, "b", ""},
		{"MinHeard: a stranger does not", func(v *view, a, _, _ *node) {
			v.opts.MinHeard, a.report.Lineage.Current = 3, backlog.History{9}
		}, "", "2 replicas were heard"},
	} {
		t.Run(c.what, func(t *testing.T) {
			v := stand(500, "a", "b", "c")
			c.set(v, v.nodes[idOf("a")], v.nodes[idOf("b")], v.nodes[idOf("c")])
			best, no := (&contest{now: start, since: start, epoch: 7, view: v}).choose()
			got := ""
			if best != nil {
				got = best.name
			}
			if got != c.want || !strings.Contains(no.String(), c.no) {
				t.Errorf("%q, want %q; refused: %v, want %q in it", got, c.want, no, c.no)
			}
		})
	}
}

// The one that has most may be passed over; it must not be forgotten.
func TestAhead(t *testing.T) {
	v := stand(500, "a", "b", "c")
	b, c := v.nodes[idOf("b")], v.nodes[idOf("c")]
	contest := &contest{now: start, since: start, epoch: 7, view: v}
	if got := contest.ahead(b); got != nil {
		t.Errorf("%s is ahead of b", got.name)
	}
	c.report.Position.Offset, c.report.Priority = 600, 0
	if got := contest.ahead(b); got != c {
		t.Errorf("%v is ahead of b", got)
	}
	if got := contest.ahead(c); got != nil {
		t.Errorf("%s is ahead of c", got.name)
	}
}
