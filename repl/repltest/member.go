package repltest

import (
	"cmp"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/emberkv/ember/repl"
)

// A Member is a seat of a [Group]: a name, an address, and its present machine and node;
// after a crash, the last ones.
type Member[M repl.Machine] struct {
	group    *Group[M]
	name     string
	upstream string        // whom to follow at the start
	starts   uint64        // so far
	timeout  time.Duration // of the node's options

	mu struct {
		sync.Mutex
		running bool
		closed  bool // the machine is
		node    *repl.Node
		machine M
	}
}

// Name returns the member's name, which is its address.
func (m *Member[M]) Name() string { return m.name }

// Node returns the member's node; after a crash, until a restart, the closed one.
func (m *Member[M]) Node() *repl.Node {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mu.node
}

// Machine returns what the member replicates.
func (m *Member[M]) Machine() M {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mu.machine
}

// Running reports whether the member has been started and has not crashed since.
func (m *Member[M]) Running() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mu.running
}

// Upstream returns the name of the member that this one follows, or was to follow
// when it crashed; empty for a master.
func (m *Member[M]) Upstream() string {
	if up := m.Node().Status().Upstream; up != nil {
		return up.Addr
	}
	return ""
}

// Promote makes the member a master.
func (m *Member[M]) Promote() *repl.Master {
	m.group.t.Helper()
	r, err := m.Node().Replica()
	var master *repl.Master
	if err == nil {
		master, err = r.Promote(m.group.ctx)
	}
	if err != nil {
		m.group.t.Fatalf("repltest: %s: promote: %v\n%s", m.name, err, m.group)
	}
	return master
}

// Follow makes the member, whatever it was, a replica of another.
func (m *Member[M]) Follow(upstream string, allow ...repl.Allow) *repl.Replica {
	m.group.t.Helper()
	r, err := m.Node().Follow(upstream, allow...)
	if err != nil {
		m.group.t.Fatalf("repltest: %s: follow %s: %v\n%s", m.name, upstream, err, m.group)
	}
	return r
}

// Kill ends the member's node as kill -9 does: its connections are reset, and it says
// nothing to anyone. The machine is left as it is.
func (m *Member[M]) Kill() {
	m.group.Network.Around(m.name).Cut()
	m.stop()
}

// PowerOff ends the member's node as a power failure does: nobody hears that its
// connections are gone. Whoever dials it is refused. The machine is left as it is.
func (m *Member[M]) PowerOff() {
	m.group.Network.Around(m.name).HalfOpen()
	m.stop()
}

// Restart starts the member again, with the machine that it has, as a follower of
// upstream, or as a master if that is empty. The node has another id.
func (m *Member[M]) Restart(upstream string) {
	m.group.t.Helper()
	m.again(upstream, false)
}

// Replace is Restart with a new machine, which Topology.Machine makes: a process whose
// memory is gone. The old one is closed first.
func (m *Member[M]) Replace(upstream string) {
	m.group.t.Helper()
	m.again(upstream, true)
}

func (m *Member[M]) again(upstream string, fresh bool) {
	m.group.t.Helper()
	if m.Running() {
		m.group.t.Fatalf("repltest: %s is running", m.name)
	}
	if fresh {
		m.closeMachine()
		machine := m.group.top.Machine(m.name)
		m.mu.Lock()
		m.mu.machine, m.mu.closed = machine, false
		m.mu.Unlock()
	}
	m.upstream = upstream
	m.start()
}

// start makes a node and runs it.
func (m *Member[M]) start() {
	g := m.group
	g.t.Helper()
	var o repl.Options
	if given := g.top.Options(m.name); given != nil {
		o = *given
	}
	if o.ID == (repl.NodeID{}) {
		o.ID = g.nodeID(m.name, m.starts)
	}
	if o.Name == "" {
		o.Name = m.name
	}
	if o.Transport == nil {
		o.Transport = g.Network.Host(m.name)
	}
	m.starts++
	m.timeout = cmp.Or(o.Timeout, 3*cmp.Or(o.Heartbeat, repl.DefaultHeartbeat))
	node, err := m.newNode(&o)
	if err != nil {
		g.t.Fatalf("repltest: %s: %v", m.name, err)
	}
	ln, err := g.Network.Host(m.name).Listen(m.name)
	if err != nil {
		node.Close()
		g.t.Fatalf("repltest: %s: %v", m.name, err)
	}
	m.mu.Lock()
	m.mu.node, m.mu.running = node, true
	m.mu.Unlock()
	go node.Serve(ln)
	go node.Run(g.ctx)
}

func (m *Member[M]) newNode(o *repl.Options) (*repl.Node, error) {
	if m.upstream == "" {
		master, err := repl.NewMaster(m.Machine(), o)
		if err != nil {
			return nil, err
		}
		return master.Node(), nil
	}
	r, err := repl.NewReplica(m.Machine(), m.upstream, o)
	if err != nil {
		return nil, err
	}
	return r.Node(), nil
}

// stop closes the node.
func (m *Member[M]) stop() {
	m.mu.Lock()
	node := m.mu.node
	m.mu.running = false
	m.mu.Unlock()
	if node != nil {
		node.Close()
	}
}

// closeMachine closes the machine, once, if it can be.
func (m *Member[M]) closeMachine() {
	m.mu.Lock()
	closer, ok := any(m.mu.machine).(io.Closer)
	again := m.mu.closed
	m.mu.closed = true
	m.mu.Unlock()
	if !ok || again {
		return
	}
	if err := closer.Close(); err != nil {
		m.group.t.Errorf("repltest: %s: closing the machine: %v", m.name, err)
	}
}

// String describes the member on one line.
func (m *Member[M]) String() string {
	s := m.Node().Status()
	role := s.Role.String()
	if !m.Running() {
		role = "stopped " + role
	}
	if up := s.Upstream; up != nil {
		role += fmt.Sprintf(" of %s, %v", up.Addr, up.State)
		if up.LastError != "" {
			role += fmt.Sprintf(" (%s)", up.LastError)
		}
	}
	return fmt.Sprintf("%s: %s at %s", m.name, role, s.Position)
}
