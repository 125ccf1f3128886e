package sentinel

import (
	"fmt"
	"testing"
	"time"

	"github.com/emberkv/ember/repl"
)

// The exploration of promises: one sentinel grants leases to two nodes, whose reports and
// grants are under way for as long as they like. Clocks run by up to a tenth too slowly or too
// fast. Never are leases from one sentinel in force at both nodes; and as two majorities have a sentinel in
// common, never do two nodes have a lease from a majority.
//
// Of each kind there is at most one message under way between a node and the sentinel: two
// would be in order, and the later one is worth more.
const grantedDownAfter = time.Second

// A grantWorld is one state. All times are real ones, from now; the past is 0.
type grantWorld struct {
	promised time.Duration // what is left of the promise
	to       uint8         // 1 + the node; 0 after a start
	nodes    [2]leaseholder

	passes, restarts, changes uint8 // how many steps of such a kind there may be
}

type leaseholder struct {
	lease  time.Duration // what is left of it
	master bool
	report message // to the sentinel
	grant  message // to the node
}

// A message has the stamp of a report. It is under way as long as fresh is true.
type message struct {
	fresh  bool
	master bool          // the node was master when it sent the stamp
	old    bool          // and has not been so all the time since
	age    time.Duration // of the stamp
}

// A drift is by how many tenths of real time the clocks of the sentinel and of the nodes go.
type drift struct {
	sentinel time.Duration
	nodes    [2]time.Duration
}

func (d drift) String() string {
	return fmt.Sprintf("clocks at %d, %d and %d tenths", d.sentinel, d.nodes[0], d.nodes[1])
}

// real returns how much real time passes while a clock goes by d, at a tenths.
func real(d, tenths time.Duration) time.Duration { return d * 10 / tenths }

func (w grantWorld) promise(d drift) promise {
	p := promise{hold: holdOf(grantedDownAfter), until: when(w.promised * d.sentinel / 10)}
	if w.to > 0 {
		p.to = grantNode(w.to - 1)
	}
	return p
}

func grantNode(i uint8) repl.NodeID { return id(1 + i) }

func (w grantWorld) withPromise(p promise, d drift) grantWorld {
	w.promised = (p.remaining(when(0))*10 + d.sentinel - 1) / d.sentinel
	w.to = 0
	if p.to != (repl.NodeID{}) {
		w.to = p.to[15]
	}
	return w
}

// pass lets real time pass.
func (w grantWorld) pass(by time.Duration) grantWorld {
	w.passes--
	w.promised = max(w.promised-by, 0)
	for i := range w.nodes {
		n := &w.nodes[i]
		n.lease = max(n.lease-by, 0)
		for _, m := range []*message{&n.report, &n.grant} {
			if m.fresh {
				m.age = min(m.age+by, 2*grantedDownAfter) // beyond that nothing depends on it
			}
		}
	}
	return w
}

// next yields each state to which one step leads.
func (w grantWorld) next(d drift, yield func(grantWorld)) {
	if w.passes > 0 {
		yield(w.pass(grantedDownAfter * 3 / 10))
		if w.promised > 0 {
			yield(w.pass(w.promised))
		}
	}
	if w.restarts > 0 {
		n := w.withPromise(newPromise(grantedDownAfter, when(0)), d)
		n.restarts--
		yield(n)
	}
	for i := range w.nodes {
		if n := w.nodes[i]; !n.report.fresh {
			n.report = message{fresh: true, master: n.master}
			yield(w.with(i, n))
		}
		if n := w.nodes[i]; w.changes > 0 { // that ends a lease, and no earlier stamp counts any more
			n.master, n.lease, n.report.old, n.grant.old = !n.master, 0, n.report.fresh, n.grant.fresh
			changed := w.with(i, n)
			changed.changes--
			yield(changed)
		}
		if n := w.nodes[i]; n.report.fresh {
			yield(w.readReport(i, d))
			n.report = message{} // or it is lost
			yield(w.with(i, n))
		}
		if n := w.nodes[i]; n.grant.fresh {
			if n.master && !n.grant.old {
				n.lease = max(n.lease, real(leaseOf(grantedDownAfter), d.nodes[i])-n.grant.age)
			}
			n.grant = message{}
			yield(w.with(i, n))
		}
	}
}

func (w grantWorld) with(i int, n leaseholder) grantWorld {
	w.nodes[i] = n
	return w
}

// readReport has the sentinel read a node's report, and grant it a lease if it may.
func (w grantWorld) readReport(i int, d drift) grantWorld {
	n := w.nodes[i]
	report := n.report
	n.report = message{}
	w = w.with(i, n)
	p := w.promise(d)
	if !report.master {
		return w.withPromise(p.released(grantNode(uint8(i))), d)
	}
	p, ok := p.grant(grantNode(uint8(i)), when(0))
	if !ok {
		return w
	}
	n.grant = report
	return w.with(i, n).withPromise(p, d)
}

func exploreGrants(d drift, passes, changes uint8) (int, error) {
	start := grantWorld{passes: passes, restarts: 1, changes: changes}.withPromise(newPromise(grantedDownAfter, when(0)), d)
	start.nodes[0].master, start.nodes[1].master = true, true // they have not heard of each other
	seen := map[grantWorld]bool{start: true}
	var failed error
	for todo := []grantWorld{start}; len(todo) > 0 && failed == nil; {
		w := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		w.next(d, func(n grantWorld) {
			if n.nodes[0].lease > 0 && n.nodes[1].lease > 0 {
				failed = fmt.Errorf("%v: both hold a lease: %+v, after %+v", d, n, w)
			}
			if !seen[n] {
				seen[n] = true
				todo = append(todo, n)
			}
		})
	}
	return len(seen), failed
}

func TestNoTwoLeasesOverlap(t *testing.T) {
	for _, c := range []struct {
		d               drift
		passes, changes uint8
	}{
		{drift{11, [2]time.Duration{9, 9}}, 4, 0}, // the worst that is allowed for
		{drift{9, [2]time.Duration{11, 9}}, 3, 0},
		{drift{10, [2]time.Duration{10, 10}}, 2, 2},
	} {
		n, err := exploreGrants(c.d, c.passes, c.changes)
		if err != nil {
			t.Fatal(err)
		}
		if n < 1000 {
			t.Fatalf("%v: only %d states were explored", c.d, n)
		}
		t.Logf("%v: %d states", c.d, n)
	}
}
