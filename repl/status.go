package repl

import (
	"cmp"
	"slices"
	"time"

	"github.com/emberkv/ember/backlog"
)

// A Status is what a node knows of itself and its links at one moment.
type Status struct {
	ID       NodeID           `json:"id"`
	Name     string           `json:"name"`
	Group    string           `json:"group,omitempty"`
	Announce string           `json:"announce"` // where peers are told to reach this node; empty for nowhere
	Priority int              `json:"priority"` // for becoming master, the lowest first; 0 for never
	Role     Role             `json:"role"`
	Position backlog.Position `json:"position"` // end of the log
	Lineage  backlog.Lineage  `json:"lineage"`
	Window   backlog.Window   `json:"window"`

	Upstream  *UpstreamStatus  `json:"upstream,omitempty"` // nil on a master
	Followers []FollowerStatus `json:"followers"`          // by name
	Counters  Counters         `json:"counters"`
}

// Counters count what has happened since the node was made.
type Counters struct {
	PartialSyncs int64 `json:"partial_syncs"` // granted to followers
	FullSyncs    int64 `json:"full_syncs"`    // begun for followers
	Handshakes   int64 `json:"handshakes"`    // of followers that failed

	// Refusals counts why followers could not go on from where they stood.
	Refusals map[backlog.Refusal]int64 `json:"refusals"`
}

// A FollowerState says what an upstream is doing for a follower.
type FollowerState uint8

const (
	// FollowerOffered means that a full copy was offered and not answered yet.
	FollowerOffered FollowerState = iota
	// FollowerCopying means that a full copy is under way or in line.
	FollowerCopying
	// FollowerStreaming means that the follower is sent the log.
	FollowerStreaming
)

var followerStates = [...]string{"offered", "copying", "streaming"}

// String returns "offered", "copying" or "streaming".
func (s FollowerState) String() string { return followerStates[s] }

// MarshalText returns what String returns.
func (s FollowerState) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// A FollowerStatus describes a follower that is connected.
type FollowerStatus struct {
	Peer     Peer          `json:"peer"`
	State    FollowerState `json:"state"`
	Online   bool          `json:"online"`   // it streams and has said so
	Sent     int64         `json:"sent"`     // offset up to which the log was sent
	Received int64         `json:"received"` // offset that the follower has acked as received
	Applied  int64         `json:"applied"`  // and as applied
	Behind   int64         `json:"behind"`   // bytes of log that it has not applied
	LastAck  time.Duration `json:"last_ack"` // since the last ack, -1 for none yet
	RTT      time.Duration `json:"rtt"`      // of the last heartbeat and its ack
	Place    int           `json:"place"`    // in the line for a full copy, from 1; 0 when not in line
	Progress Progress      `json:"progress"` // of the last full copy on this link
	Written  int64         `json:"written"`  // bytes sent on this link
}

// A LinkState says how a replica stands to its upstream.
type LinkState uint8

const (
	// LinkDown means that there is no connection; the replica tries again.
	LinkDown LinkState = iota
	// LinkConnecting means that it dials or shakes hands.
	LinkConnecting
	// LinkCopying means that it takes a full copy.
	LinkCopying
	// LinkStreaming means that it receives the log.
	LinkStreaming
)

var linkStates = [...]string{"down", "connecting", "copying", "streaming"}

// String returns "down", "connecting", "copying" or "streaming".
func (s LinkState) String() string { return linkStates[s] }

// MarshalText returns what String returns.
func (s LinkState) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// An UpstreamStatus describes a replica's link to the node that it follows.
type UpstreamStatus struct {
	Addr      string          `json:"addr"`
	Peer      Peer            `json:"peer"` // of the present link, or the last one
	State     LinkState       `json:"state"`
	Synced    bool            `json:"synced"`     // it streams and has caught up since the link came up
	Behind    int64           `json:"behind"`     // bytes of log that the upstream has said to have more
	LastIO    time.Duration   `json:"last_io"`    // since the last frame, -1 for none yet
	Down      time.Duration   `json:"down"`       // since the link went down; 0 when it is up
	LastError string          `json:"last_error"` // why the last link ended
	LastSync  backlog.Refusal `json:"last_sync"`  // why the last full copy was needed
	Partials  int64           `json:"partial_syncs"`
	Fulls     int64           `json:"full_syncs"` // begun, resumed ones included
	Attempts  int64           `json:"attempts"`   // connections tried
	Progress  Progress        `json:"progress"`   // of the last full copy
	Read      int64           `json:"read"`       // bytes received on the present link
	ClockSkew time.Duration   `json:"clock_skew"` // the writer's clock less ours
}

// Status returns the node's state now. It may be called at any time, also after
// Close.
func (n *Node) Status() Status {
	s := Status{
		ID: n.opts.ID, Name: n.opts.Name, Group: n.opts.Group, Role: n.role,
		Announce: n.announced(), Priority: max(n.opts.Priority, 0),
		Position: n.log.Position(), Lineage: n.log.Lineage(), Window: n.log.Window(),
	}
	n.mu.Lock()
	s.Counters = n.mu.counters
	s.Counters.Refusals = make(map[backlog.Refusal]int64, len(n.mu.counters.Refusals))
	for r, c := range n.mu.counters.Refusals {
		s.Counters.Refusals[r] = c
	}
	feeds := make([]*feed, 0, len(n.mu.feeds))
	for _, f := range n.mu.feeds {
		feeds = append(feeds, f)
	}
	n.mu.Unlock()
	s.Followers = make([]FollowerStatus, 0, len(feeds))
	for _, f := range feeds {
		s.Followers = append(s.Followers, f.status(s.Position.Offset))
	}
	slices.SortFunc(s.Followers, func(a, b FollowerStatus) int {
		return cmp.Or(cmp.Compare(a.Peer.Name, b.Peer.Name), slices.Compare(a.Peer.ID[:], b.Peer.ID[:]))
	})
	if n.up != nil {
		s.Upstream = n.up.status(s.Position.Offset)
	}
	return s
}

func (f *feed) status(end int64) FollowerStatus {
	place := f.place()
	f.mu.Lock()
	defer f.mu.Unlock()
	s := FollowerStatus{
		Peer: f.link.peer, State: f.mu.state, Online: f.online.Load(), Sent: f.mu.sent,
		Received: f.mu.last.received, Applied: f.mu.last.applied,
		LastAck: -1, RTT: f.mu.rtt, Place: place, Progress: f.mu.progress, Written: f.mu.written,
	}
	if !f.mu.lastAt.IsZero() {
		s.LastAck = time.Since(f.mu.lastAt)
	}
	s.Behind = max(end-s.Applied, 0)
	return s
}

// place returns the feed's place in the line for a full copy.
func (f *feed) place() int {
	f.mu.Lock()
	c := f.mu.inLine
	f.mu.Unlock()
	if c == nil {
		return 0
	}
	return f.n.passes.place(c)
}
