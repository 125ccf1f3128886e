package sentinel

import (
	"time"

	"github.com/emberkv/ember/repl"
)

// Bounds of a view. What is beyond them is not taken in.
const (
	MaxNodes = 1024
	MaxPeers = 63
)

// A view is what a sentinel knows of its group. It belongs to the desk's goroutine, and
// has no clock: what depends on the time is told it.
type view struct {
	self  repl.NodeID
	opts  *Options
	reign Reign // the newest that is known
	nodes map[repl.NodeID]*node
	peers map[repl.NodeID]*peer // without this sentinel
}

// A node is what is known of one of the group's nodes: its id is the identity, where it
// can be reached an attribute.
type node struct {
	id   repl.NodeID
	name string
	addr string // empty while another node has been found at the address that it had

	sentAt time.Time // when the question was sent that it answers
	gotAt  time.Time // when it came

	// silentSince is when the oldest question was sent that was not answered yet, or, when
	// that is earlier, when the link was lost. Zero while there is nothing to wait for.
	silentSince time.Time
	linked      bool

	downSince  time.Time // since when the node is subjectively down; zero while it is up
	wrongSince time.Time // since when it has another role or upstream than it should; zero while it is right
}

// down reports whether the node is subjectively down.
func (n *node) down() bool { return !n.downSince.IsZero() }

// A peer is what is known of another sentinel.
type peer struct {
	id        repl.NodeID
	name      string
	addr      string
	gotAt     time.Time // when it has last told its state
	linked    bool
	downSince time.Time // since when it does not answer; zero while it does
}

// sentinels returns how many there are, this one included.
func (v *view) sentinels() int { return 1 + len(v.peers) }

// majority returns how many sentinels are more than half of all.
func (v *view) majority() int { return v.sentinels()/2 + 1 }

// need returns how many votes make a leader, and how many grants a lease.
func (v *view) need() int { return max(v.opts.Quorum, v.majority()) }

// master returns the node of the present reign, or nil.
func (v *view) master() *node { return v.nodes[v.reign.ID] }
