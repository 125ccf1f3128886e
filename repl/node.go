package repl

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/rdb"
)

// A Role says what a node does.
type Role uint8

const (
	// RoleMaster takes writes.
	RoleMaster Role = iota
	// RoleReplica follows another node.
	RoleReplica
)

var roles = [...]string{"master", "replica"}

// String returns "master" or "replica".
func (r Role) String() string { return word(roles[:], r) }

// MarshalText returns what String returns.
func (r Role) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads what MarshalText wrote, or returns [backlog.ErrText].
func (r *Role) UnmarshalText(text []byte) error { return unword(roles[:], r, text) }

// A Node is a machine's seat in its group. It owns the listeners and the links
// to followers, which stay through every change of role, and says which role it
// has now. [NewMaster] and [NewReplica] make one and return a handle for that
// role; programs whose roles never change need nothing else.
type Node struct {
	machine Machine
	log     *backlog.Log
	release func() // gives the log back
	opts    *Options
	acks    *acks
	gate    *gate
	passes  *passes
	repairs *turns

	// seat is the present tenure. It is stored by whoever has put a token into
	// changing, which is a lock that a context can end the wait for.
	seat     atomic.Pointer[tenure]
	changing chan struct{}

	// heard is the highest epoch that the node was told of or has begun.
	heard atomic.Pointer[standing]

	// handing is the handover under way, and orders counts what was ordered in any.
	handing atomic.Pointer[handover]
	orders  atomic.Uint64

	lease lease
	board board
	life  func() NodeID // another one for each start

	obeying atomic.Bool // an order of a sentinel is being carried out

	// entrance lets links in. When it is closing, feeds say so, as their last word.
	entrance

	// ctx ends when Close is called, for ErrClosed; everything that waits waits
	// for it, too, or for a tenure's, which ends with it.
	ctx    context.Context
	cancel context.CancelCauseFunc

	closing sync.Once // after it the machine may be another node's

	mu struct {
		sync.Mutex
		news                  chan struct{}        // closed and renewed when the path or the role has changed
		askers                map[NodeID]*answerer // one for each who polls or gives orders
		feeds                 map[NodeID]*feed     // one for each follower
		counters              Counters
		lastPartial, lastFull *syncRecord       // given to followers; nil before the first
		lastLost              *LostFollower     // not changed; nil before the first
		vain                  map[NodeID]string // why followers that got to no sync have gone, as the log says; at most maxVain
	}
}

func newNode(m Machine, opts *Options) (*Node, error) {
	if m == nil {
		return nil, &OptionError{Field: "machine", Value: m, Want: "one to replicate"}
	}
	o, err := opts.normalize()
	if err != nil {
		return nil, err
	}
	if _, ok := m.(Dated); !ok && o.refuses() {
		return nil, &OptionError{Field: "machine", Value: fmt.Sprintf("%T", m), Want: "one that can refuse reads, as Reading says"}
	}
	log := m.Log()
	release, err := log.Occupy()
	if err != nil {
		return nil, ErrInUse // it says no more than err, ErrOccupied
	}
	n := &Node{machine: m, log: log, release: release, opts: o, changing: make(chan struct{}, 1)}
	n.ctx, n.cancel = context.WithCancelCause(context.Background())
	n.furnish(o.HandshakeTimeout, o.MaxHandshakes, o.Logger, o.Secrets)
	n.takes, n.greet, n.refused = fromStranger, n.greeted, o.Events.Refused
	n.life = sync.OnceValue(NewNodeID)
	n.acks = newAcks(n)
	n.passes = newPasses(n)
	n.repairs = &turns{room: o.MaxSyncs}
	n.gate = &gate{log: log}
	if o.Supervised {
		n.lease.init(o.Fenced)
		n.gate.lease = &n.lease
	}
	if o.MinReplicas > 0 {
		n.gate.near = &n.acks.nearness
	}
	if o.Events.Gate != nil || o.MinReplicas > 0 || o.Supervised {
		n.gate.news = &gateNews{node: n, bell: make(chan struct{}, 1)}
		n.acks.nearness.news, n.lease.news = n.gate.news, n.gate.news
	}
	n.mu.news = make(chan struct{})
	n.mu.askers = make(map[NodeID]*answerer)
	n.mu.feeds = make(map[NodeID]*feed)
	n.mu.vain = make(map[NodeID]string)
	n.mu.counters.Refusals = make(map[backlog.Refusal]int64)
	return n, nil
}

// open begins the node's first tenure.
func (n *Node) open(t *tenure) {
	n.begin(t)
	if n.gate.news != nil {
		n.start(n.gate.news.run)
	}
}

// ID returns the node's id.
func (n *Node) ID() NodeID { return n.opts.ID }

// Name returns the node's name.
func (n *Node) Name() string { return n.opts.Name }

// Role returns the node's present role.
func (n *Node) Role() Role { return n.tenure().role }

func (n *Node) tenure() *tenure { return n.seat.Load() }

// closeGrace is how long Close waits for followers to take the word that the node is
// closing.
const closeGrace = 100 * time.Millisecond

// Close closes every listener and link and waits until all the node's
// goroutines have ended. The machine stays as it is: a replica's refuses writes. A master's takes
// them, and waits for no more acks; with Options.MinReplicas it refuses them, as there are no
// replicas, and with Options.Supervised when a lease that it holds runs out. The machine may then be
// given to another node. Close may be called more than once, and returns nil.
func (n *Node) Close() error {
	n.closing.Do(n.close)
	return nil
}

func (n *Node) close() {
	n.shut()
	var over []<-chan struct{}
	n.mu.Lock()
	for _, f := range n.mu.feeds {
		over = append(over, f.over)
	}
	for _, a := range n.mu.askers {
		over = append(over, a.over)
	}
	n.mu.Unlock()
	// Feeds tell their followers, if those take it in time.
	grace := time.NewTimer(closeGrace)
	defer grace.Stop()
	for _, over := range over {
		select {
		case <-over:
		case <-grace.C:
			grace.Reset(0) // for the others, too
		}
	}
	n.cut()
	n.closeUpstream()
	n.log.SetSettler(nil) // before those who wait are let go: their next write is not held up
	n.cancel(ErrClosed)
	n.wg.Wait()
	n.changing <- struct{}{} // a change of role that is under way may have set it again
	n.closeUpstream()
	n.log.SetSettler(nil)
	n.release()
	<-n.changing
}

func (n *Node) closeUpstream() {
	if up := n.tenure().up; up != nil {
		up.fresh.close()
	}
}

// hello says who and where this node is.
func (n *Node) hello() *hello {
	// The end is read before the lineage: if the log is replaced in between,
	// an older end of a newer lineage is refused, never misunderstood.
	pos := n.log.Position()
	h := &hello{
		versionMin: minProtocol, versionMax: maxProtocol,
		recordVersion: rdb.RecordVersion,
		heartbeat:     n.opts.Heartbeat,
		maxRecord:     backlog.MaxRecordBytes,
		id:            n.opts.ID, name: n.opts.Name, group: n.opts.Group,
		announce: n.announced(), priority: uint16(max(n.opts.Priority, 0)),
		packing: n.opts.packing(),
		end:     pos.Offset, lineage: n.log.Lineage(),
	}
	if h.lineage.Validate(h.end) != nil {
		h.end = n.log.End()
	}
	h.sum = backlog.Sum{From: h.end}
	h.heard = n.standing() // last: it is never below the lineage's
	return h
}

// agree checks what both ends can check: that the peer h may be talked to.
func (n *Node) agree(h *hello) error {
	switch {
	case h.group != n.opts.Group:
		return fmt.Errorf("%w: %q there, %q here", ErrGroup, h.group, n.opts.Group)
	case h.id == n.opts.ID:
		return fmt.Errorf("%w: %s has the same id", ErrCycle, n.opts.Name)
	}
	return nil
}

// path returns whom this node follows, whom that node follows, and so on, as far as
// it has heard. It is nil on a master and while the link is down.
func (n *Node) path() []NodeID {
	up := n.tenure().up
	if up == nil {
		return nil
	}
	up.mu.Lock()
	defer up.mu.Unlock()
	return up.mu.link.path
}

// pathChanged lets the feeds tell their followers at once of the path, or whether the
// node is linked.
func (n *Node) pathChanged() {
	n.mu.Lock()
	defer n.mu.Unlock()
	close(n.mu.news)
	n.mu.news = make(chan struct{})
}

// news returns a channel that is closed when the path has changed.
func (n *Node) news() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.mu.news
}

// follows reports whether this node follows the node id, however far up that is.
func (n *Node) follows(id NodeID) bool { return slices.Contains(n.path(), id) }

// canRead checks what only an upstream has to know: that the follower h can read
// the records that it will be sent.
func canRead(h *hello) error {
	switch {
	case h.recordVersion < rdb.RecordVersion:
		return &VersionError{whatRecord, 1, int(h.recordVersion), rdb.RecordVersion, rdb.RecordVersion}
	case h.maxRecord < backlog.MaxRecordBytes:
		return fmt.Errorf("%w: peer takes records of %d bytes, limit is %d", ErrLimit, h.maxRecord, backlog.MaxRecordBytes)
	}
	return nil
}

// clock returns the clock of the node that writes, in Unix milliseconds.
func (n *Node) clock() int64 {
	if c, ok := n.machine.(Clocked); ok {
		return c.Clock()
	}
	if up := n.tenure().up; up != nil {
		return up.clock()
	}
	return time.Now().UnixMilli()
}

// freshness returns for how long this node's log may lack, at its present end, what the
// master has, in milliseconds, and whether the node is linked. See PROTOCOL.md.
func (n *Node) freshness() (age int64, linked bool) {
	up := n.tenure().up
	if up == nil {
		return 0, true
	}
	old := up.fresh.age()
	if age = unknownAge; old >= 0 {
		age = int64((old + time.Millisecond - 1) / time.Millisecond)
	}
	return age, up.fresh.linked()
}

// setClock tells the machine what the writer's clock shows.
func (n *Node) setClock(unixMilli int64) {
	if c, ok := n.machine.(Clocked); ok {
		c.SetClock(unixMilli)
	}
}

// setStaleAfter tells the machine until when it may be read.
func (n *Node) setStaleAfter(t time.Time) {
	if d, ok := n.machine.(Dated); ok {
		d.SetStaleAfter(t)
	}
}

func (n *Node) count(f func(*Counters)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f(&n.mu.counters)
}
