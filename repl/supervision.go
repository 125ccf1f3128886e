package repl

// Supervision says whether others may tell the node what to be. See package sentinel, and
// "Leases" in PROTOCOL.md.
type Supervision struct {
	// Supervised lets whoever opens a control link (see [DialControl]) give the node orders: to be promoted,
	// to follow another, to hand over. It also lets them lease out the right to write: once a majority of
	// them has granted it, the node takes writes only while it holds the lease, and refuses others with a
	// [*LeaseError]; see [Node.Disarm] for the way back. A node that was watched waits for its first lease
	// when it is promoted, by whomever; so does one that a master with a lease hands over to. Such a master
	// does not hand over to a node that is not Supervised.
	//
	// Without it, the default, the node answers polls, and does nothing else. The program of a supervised
	// node calls [Node.Run], not [Replica.Run], which ends with the role.
	Supervised bool

	// Fenced makes a node that starts as a master refuse writes until it is granted a
	// lease, so that one that was replaced while it was down takes none when it comes back.
	// It needs Supervised.
	Fenced bool
}

// Disarm lets the node take writes without a lease from now on, for an operator who has
// stopped its sentinels for good. The operator has to see to it that there is no other master, as there
// may be if any sentinel lives. A majority of sentinels that grants the node a lease arms it again, and
// so does a promotion while somebody watches it.
//
// It may be called at any time and concurrently, and does nothing on a node without
// Options.Supervised.
func (n *Node) Disarm() {
	if n.opts.Supervised {
		n.lease.disarm()
		n.opts.Logger.Warn("lease disarmed")
	}
}

// A SupervisionStatus says who watches a node, and what they let it do.
type SupervisionStatus struct {
	Supervised bool        `json:"supervised"` // of the options
	Fenced     bool        `json:"fenced"`     // of the options
	Lease      LeaseReport `json:"lease"`
	Askers     []Peer      `json:"askers"` // those with a control link to the node, by name
}
