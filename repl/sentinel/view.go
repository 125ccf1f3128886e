package sentinel

import (
	"slices"
	"time"

	"github.com/emberkv/ember/repl"
)

// Bounds of a view. Nodes and peers beyond them are ignored.
const (
	MaxNodes = 1024
	MaxPeers = 63
)

// A view is what a sentinel knows of its group. It belongs to the desk's goroutine, and
// has no clock: what depends on the time is told it.
type view struct {
	self  repl.NodeID
	addr  string // where peers may reach this sentinel, when that is known
	opts  *Options
	reign Reign // the newest that is known
	nodes map[repl.NodeID]*node
	peers map[repl.NodeID]*peer // without this sentinel

	downSince time.Time // since when the master is objectively down; zero while it is not
	epoch     uint64    // the highest counter that was heard of
	version   uint64    // changes with all that a restart should remember
	sorted    []*node   // by id; made for sortedAt
	sortedAt  uint64    // a version
	told      []Event   // what has happened since the desk has told it
}

// A node is what is known of one of the group's nodes: its id is the identity, where it
// can be reached an attribute.
type node struct {
	id   repl.NodeID
	name string
	addr string  // where it is said to be reached; empty while another node is there
	at   string  // where it was reached last
	said hearsay // where it is said to be while it cannot be reached

	report  *repl.Report // the newest, nil before the first; it does not change
	sentAt  time.Time    // when the question was sent that it answers
	gotAt   time.Time    // when it came
	foundAt time.Time    // when the first came

	// silentSince is when the oldest question was sent that was not answered yet, or, when
	// that is earlier, when the link was lost. Zero while there is nothing to wait for.
	silentSince time.Time
	linked      bool

	life life // since it was started last
	kin  bool // it was seen to have what the group has

	stranger bool // it was seen to have something else; see recognize

	direct bool // when it last streamed from anybody, that was the master

	downSince  time.Time // since when the node is subjectively down; zero while it is up
	wrongSince time.Time // since when it has another role or upstream than it should; zero while it is right
	fixAt      time.Time // when it may be told again what is right
	fixes      int       // how often it was told since
}

// isDown reports whether the node is subjectively down.
func (n *node) down() bool { return !n.downSince.IsZero() }

// A peer is what is known of another sentinel.
type peer struct {
	id          repl.NodeID
	name        string
	addr        string    // empty while another is there
	said        hearsay   // as of a node
	state       *state    // the newest that it has told, nil before the first
	gotAt       time.Time // when that came
	silentSince time.Time // as a node's
	linked      bool
	downSince   time.Time // since when it does not answer; zero while it does
	met         bool      // it has answered, now or in an earlier life of this sentinel
	toldAt      time.Time // when it was last told of, or has called
	replaced    bool      // while it has no address: the one at its last address had not been met before
}

func newView(self repl.NodeID, o *Options) *view {
	return &view{self: self, opts: o, nodes: make(map[repl.NodeID]*node), peers: make(map[repl.NodeID]*peer)}
}

// sentinels returns how many there are, this one included.
func (v *view) sentinels() int { return 1 + len(v.peers) }

// majority returns how many sentinels are more than half of all.
func (v *view) majority() int { return v.sentinels()/2 + 1 }

// need returns how many votes make a leader, and how many grants a lease.
func (v *view) need() int { return max(v.opts.Quorum, v.majority()) }

// master returns the node of the present reign, or nil.
func (v *view) master() *node { return v.nodes[v.reign.ID] }

// tell has an event told.
func (v *view) tell(k EventKind, about Instance, text string) {
	v.told = append(v.told, Event{Kind: k, Group: v.opts.Group, About: about, Master: v.reign.instance(), Text: text})
}

func (v *view) instance(n *node) Instance {
	t := InstanceSlave
	if n.id == v.reign.ID {
		t = InstanceMaster
	}
	return Instance{Type: t, ID: n.id, Name: n.name, Addr: n.addr}
}

func (p *peer) instance() Instance {
	return Instance{Type: InstanceSentinel, ID: p.id, Name: p.name, Addr: p.addr}
}

func (r Reign) instance() Instance {
	if r.IsZero() {
		return Instance{}
	}
	return Instance{Type: InstanceMaster, ID: r.ID, Name: r.Name, Addr: r.Addr}
}

// others returns the ids of all other sentinels, in order.
func (v *view) others() []repl.NodeID {
	ids := make([]repl.NodeID, 0, len(v.peers))
	for id := range v.peers {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, compareIDs)
	return ids
}

// inOrder returns the nodes in the order of their ids, so that what is done with them is
// done in the same order each time. It is not to be changed.
func (v *view) inOrder() []*node {
	if v.sortedAt != v.version || len(v.sorted) != len(v.nodes) {
		v.sorted = make([]*node, 0, len(v.nodes))
		for _, n := range v.nodes {
			v.sorted = append(v.sorted, n)
		}
		slices.SortFunc(v.sorted, func(a, b *node) int { return compareIDs(a.id, b.id) })
		v.sortedAt = v.version
	}
	return v.sorted
}

func compareIDs(a, b repl.NodeID) int { return slices.Compare(a[:], b[:]) }

// tellIn is tell of something that belongs to an epoch.
func (v *view) tellIn(k EventKind, about Instance, epoch uint64, text string) {
	v.tell(k, about, text)
	v.told[len(v.told)-1].Epoch = epoch
}

// hear takes in an epoch's counter, of a node's or a reign's epoch, or one of this sentinel's own.
func (v *view) hear(epoch uint64) { v.epoch = max(v.epoch, epoch) }

// hearPeer takes in an epoch's counter that a peer has heard of, in which it believes it only so far.
func (v *view) hearPeer(epoch uint64) { v.epoch = leap(v.epoch, epoch) }
