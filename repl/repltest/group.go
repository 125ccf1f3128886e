package repltest

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/emberkv/ember/repl"
)

// A Group is a set of nodes that follow one another over a [Network], for a test. Make
// one with [New], inside a testing/synctest bubble. Its members' nodes and machines are
// the real ones and may be used like any others.
//
// When something that Group and [Member] do for the test goes wrong, it fails the test.
// Their methods are for the goroutine of the test, except Member.Node and Member.Machine,
// which any may call.
type Group[M repl.Machine] struct {
	// Network is what the nodes talk over, for the test to break. A member's host has its name.
	Network *Network

	t       testing.TB
	top     Topology[M]
	seed    uint64
	members []*Member[M]
	ctx     context.Context // of every Run
}

// New makes a group and starts its nodes, which begin to copy. All of it ends with the
// test, or with [Group.Close]; if the test has failed by then, the seed is printed.
//
// Everything random in the network, and the ids of the nodes, come from the seed, no two
// nodes start at one instant, and no two links deliver at one. Anything else that is
// random comes from crypto/rand or from which goroutine runs first. So a run repeats to
// the last byte if the test calls testing/cryptotest.SetGlobalRandom (Go 1.26) before,
// runs on one processor (runtime.GOMAXPROCS), and does one thing at an instant.
// [Network.Trace] tells two runs apart.
func New[M repl.Machine](t testing.TB, top Topology[M], seed uint64) *Group[M] {
	t.Helper()
	if err := top.check(); err != nil {
		t.Fatal(err)
	}
	top = top.withDefaults()
	ctx, cancel := context.WithCancel(context.Background())
	g := &Group[M]{Network: NewNetwork(seed), t: t, top: top, seed: seed, ctx: ctx}
	g.Network.SetDelay(top.Delay, top.Jitter)
	t.Cleanup(func() {
		cancel()
		g.Close()
		if t.Failed() {
			t.Logf("repltest: the seed was %d", seed)
		}
	})
	for _, s := range top.Seats {
		g.Network.Host(s.Name) // in this order, whoever dials first
	}
	for _, s := range top.Seats {
		m := &Member[M]{group: g, name: s.Name, upstream: s.Upstream}
		m.mu.machine = top.Machine(s.Name)
		g.members = append(g.members, m)
		m.start()
		time.Sleep(time.Microsecond)
	}
	return g
}

// nodeID returns the id of a node, and of its n-th successor.
func (g *Group[M]) nodeID(name string, n uint64) (id repl.NodeID) {
	binary.LittleEndian.PutUint64(id[:8], mix(g.seed, name))
	binary.LittleEndian.PutUint64(id[8:], mix(g.seed^n, name+" "))
	return id
}

// Members returns the members in the order of the topology.
func (g *Group[M]) Members() []*Member[M] { return g.members }

// Member returns the member of that name.
func (g *Group[M]) Member(name string) *Member[M] {
	g.t.Helper()
	for _, m := range g.members {
		if m.name == name {
			return m
		}
	}
	g.t.Fatalf("repltest: no member is called %q", name)
	return nil
}

// Masters returns the members that are running and masters.
func (g *Group[M]) Masters() (masters []*Member[M]) {
	for _, m := range g.members {
		if m.Running() && m.Node().Role() == repl.RoleMaster {
			masters = append(masters, m)
		}
	}
	return masters
}

// Master returns the only master.
func (g *Group[M]) Master() *Member[M] {
	g.t.Helper()
	masters := g.Masters()
	if len(masters) != 1 {
		g.t.Fatalf("repltest: %d masters, want one\n%s", len(masters), g)
	}
	return masters[0]
}

// HealBound returns how long a group may take until all members are at one position,
// once its faults have ended and nobody writes: three times the longest
// Options.Timeout, in which a dead link is found out and dialled anew, for each link on
// the longest way down from a master, and Topology.Transfer.
func (g *Group[M]) HealBound() time.Duration {
	steps, timeout := 1, time.Duration(0)
	for _, m := range g.members {
		timeout = max(timeout, m.timeout)
		steps = max(steps, g.depth(m))
	}
	return time.Duration(steps)*3*timeout + g.top.Transfer
}

// depth returns how many links there are from m up to a master.
func (g *Group[M]) depth(m *Member[M]) (links int) {
	for ; m != nil && links < len(g.members); links++ {
		up := m.Upstream()
		if up == "" {
			break
		}
		m = g.find(up)
	}
	return links
}

func (g *Group[M]) find(name string) *Member[M] {
	for _, m := range g.members {
		if m.name == name {
			return m
		}
	}
	return nil
}

// WaitEqual waits until all running members are at one position, with the same state,
// and fails the test if that takes longer than [Group.HealBound]. Nobody may write
// meanwhile, and all must follow the same master, or each other.
func (g *Group[M]) WaitEqual() {
	g.t.Helper()
	const poll = 5*time.Millisecond + 13*time.Nanosecond
	for begun, bound := time.Now(), g.HealBound(); !g.level(); time.Sleep(poll) {
		if time.Since(begun) > bound {
			g.t.Fatalf("repltest: not equal within %v\n%s", bound, g)
		}
	}
	if g.top.State == nil {
		return
	}
	var first *Member[M]
	for _, m := range g.members {
		switch {
		case !m.Running():
		case first == nil:
			first = m
		case g.top.State(m.Machine()) != g.top.State(first.Machine()):
			g.t.Fatalf("repltest: %s is %v, %s is %v, at one position\n%s",
				first.name, g.top.State(first.Machine()), m.name, g.top.State(m.Machine()), g)
		}
	}
}

// level reports whether all members that run are at one position.
func (g *Group[M]) level() bool {
	var first *Member[M]
	for _, m := range g.members {
		switch {
		case !m.Running():
		case first == nil:
			first = m
		case m.Machine().Log().Position() != first.Machine().Log().Position():
			return false
		}
	}
	return true
}

// Close closes all nodes, then the machines that can be closed, then the network. It may
// be called twice.
func (g *Group[M]) Close() {
	for _, m := range g.members {
		m.stop()
	}
	for _, m := range g.members {
		m.closeMachine()
	}
	g.Network.Close()
}

// String describes the members, one a line.
func (g *Group[M]) String() string {
	var b strings.Builder
	for _, m := range g.members {
		fmt.Fprintln(&b, m)
	}
	return b.String()
}
