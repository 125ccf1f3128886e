package repl

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/rdb"
)

// A Status is what a node knows of itself and its links at one moment. It
// marshals to JSON and can be read back from it: states are words, durations are
// whole nanoseconds and say so in their names, times are RFC 3339. [Status.Info]
// gives it as text under Redis' names.
type Status struct {
	Time     time.Time        `json:"time"` // when it was taken, by this node's clock
	ID       NodeID           `json:"id"`
	Name     string           `json:"name"`
	Group    string           `json:"group,omitempty"`
	Announce string           `json:"announce"` // where peers are told to reach this node; empty for nowhere
	Priority int              `json:"priority"` // for becoming master, the lowest first; 0 for never
	Role     Role             `json:"role"`
	Position backlog.Position `json:"position"` // end of the log
	Lineage  backlog.Lineage  `json:"lineage"`
	Epoch    backlog.Epoch    `json:"epoch"` // the highest that the node has heard of; that of Lineage, or above it
	Window   backlog.Window   `json:"window"`
	Synced   backlog.Position `json:"synced"` // up to where the node is on disk; zero for one in memory, see Kept

	Secrets      int           `json:"secrets"`     // how many there are; 0 for a node that asks for no proof
	Ack          int           `json:"ack"`         // of the options; 0 when no write waits
	AckDurable   bool          `json:"ack_durable"` // of the options
	MaxUnacked   int64         `json:"max_unacked"` // of the options
	MinReplicas  int           `json:"min_replicas"`
	MaxLag       time.Duration `json:"max_lag_ns"`
	NearReplicas int           `json:"near_replicas"` // within MaxLag; with fewer than MinReplicas a master takes no writes

	Refusing    string            `json:"refusing,omitempty"` // what a write gets now; empty if it is let in
	Handover    *HandoverStatus   `json:"handover,omitempty"` // that is under way; nil for none
	Supervision SupervisionStatus `json:"supervision"`

	WhenDown     Stale         `json:"when_down"`        // of the options: what becomes of reads on a replica that is cut off
	MaxStaleness time.Duration `json:"max_staleness_ns"` // of the options; 0 for no bound

	Upstream  *UpstreamStatus  `json:"upstream,omitempty"` // nil on a master
	Followers []FollowerStatus `json:"followers"`          // by name
	Counters  Counters         `json:"counters"`

	// The newest syncs given to followers, whether or not those are still
	// there; nil before the first.
	LastPartial *SyncStatus `json:"last_partial,omitempty"`
	LastFull    *SyncStatus `json:"last_full,omitempty"`

	LastLost *LostFollower `json:"last_lost,omitempty"` // the last link to a follower that has ended; nil before the first
}

// Counters count what has happened since the node was made.
type Counters struct {
	PartialSyncs int64 `json:"partial_syncs"` // granted to followers
	FullSyncs    int64 `json:"full_syncs"`    // begun for followers
	LinksLost    int64 `json:"links_lost"`    // to followers, that have ended for whatever reason
	LinksLeft    int64 `json:"links_left"`    // of those, the ones whose follower said that it was leaving, see LostFollower.Left
	Handshakes   int64 `json:"handshakes"`    // that failed, with those who dialled this node
	Unproved     int64 `json:"unproved"`      // of those, the ones that failed with ErrAuth
	Unheard      int64 `json:"unheard"`       // connections closed because too many were in their handshake

	Unconfirmed int64 `json:"unconfirmed"` // followers that went on from where they stood by their lineage alone, as the two ends did not both know the running hash up to there

	Repairs       int64 `json:"repairs"`        // tails that were left for the upstream's log without a full copy, here or by followers
	RepairedKeys  int64 `json:"repaired_keys"`  // that they concerned
	RepairedBytes int64 `json:"repaired_bytes"` // of entries that came instead

	// LostTails counts how often this node gave up log that its upstream did not have, for a full
	// copy or a repair, and LostBytes how much: all that it had ever had, if the two shared no
	// history. Every node that had it counts it, so what a group has lost in one failover is the
	// most that one of its nodes counts, not the sum.
	LostTails int64 `json:"lost_tails"`
	LostBytes int64 `json:"lost_bytes"`

	// Refusals counts why followers could not go on from where they stood.
	Refusals map[backlog.Refusal]int64 `json:"refusals"`
}

// A FollowerState says what an upstream is doing for a follower.
type FollowerState uint8

const (
	// FollowerOffered means that a full copy was offered and not answered yet, or that a
	// repair is under way or in line.
	FollowerOffered FollowerState = iota
	// FollowerCopying means that a full copy is under way or in line.
	FollowerCopying
	// FollowerStreaming means that the follower is sent the log.
	FollowerStreaming
)

var followerStates = [...]string{"offered", "copying", "streaming"}

// String returns "offered", "copying" or "streaming".
func (s FollowerState) String() string { return word(followerStates[:], s) }

// MarshalText returns what String returns.
func (s FollowerState) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText wrote, or returns [backlog.ErrText].
func (s *FollowerState) UnmarshalText(text []byte) error { return unword(followerStates[:], s, text) }

// A FollowerStatus describes a follower that is connected.
type FollowerStatus struct {
	Peer     Peer          `json:"peer"`
	State    FollowerState `json:"state"`
	Online   bool          `json:"online"`         // it streams and has said so
	Sent     int64         `json:"sent"`           // offset up to which the log was sent
	Received int64         `json:"received"`       // offset that the follower has acked as received
	Applied  int64         `json:"applied"`        // and as applied
	Durable  int64         `json:"durable"`        // and as on disk; 0 if it is kept in memory
	Behind   int64         `json:"behind"`         // bytes of log that it has not applied
	LastAck  time.Duration `json:"last_ack_ns"`    // since the last ack, -1 for none yet
	Lag      time.Duration `json:"lag_ns"`         // age of the newest moment whose log it has said to have applied, see Options.MaxLag; -1 before
	Near     bool          `json:"near"`           // Lag is within Options.MaxLag
	RTT      time.Duration `json:"rtt_ns"`         // of the last heartbeat and its ack, 0 before that
	Place    int           `json:"place"`          // in the line for a full copy or a repair, from 1; 0 when not in line
	Sync     *SyncStatus   `json:"sync,omitempty"` // how it was brought up on this link; nil before that is agreed
	Progress Progress      `json:"progress"`       // of the sync on this link, zero before there is one
	Written  int64         `json:"written"`        // bytes sent on this link

	Secret int  `json:"secret"` // which of this node's it has proved to know, from 1, by their order at the handshake; 0 for none
	Sealed bool `json:"sealed"` // the link is encrypted by its secret; one over TLS is by that

	Compression  rdb.Compression `json:"compression"`   // of what is sent on this link
	WrittenPlain int64           `json:"written_plain"` // what Written would be without it
}

// A LinkState says where a replica stands with its upstream.
type LinkState uint8

const (
	// LinkDown means that there is no connection; the replica tries again.
	LinkDown LinkState = iota
	// LinkConnecting means that it dials, shakes hands, or waits to hear how it is brought up to date.
	LinkConnecting
	// LinkCopying means that it takes a full copy.
	LinkCopying
	// LinkStreaming means that it receives the log.
	LinkStreaming
)

var linkStates = [...]string{"down", "connecting", "copying", "streaming"}

// String returns "down", "connecting", "copying" or "streaming".
func (s LinkState) String() string { return word(linkStates[:], s) }

// MarshalText returns what String returns.
func (s LinkState) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText wrote, or returns [backlog.ErrText].
func (s *LinkState) UnmarshalText(text []byte) error { return unword(linkStates[:], s, text) }

// An UpstreamStatus describes a replica's link to the node that it follows.
//
// When a cable is pulled nobody says so. For Options.Timeout the link still streams, and Behind, which
// is only what the upstream has said, does not grow; LastIO does, and so does Age, which is how old the
// data may be whatever the reason: it is the one to watch. Then the link is down, LastError and
// LastOutage say why, and Outage.Began is the end of that time.
type UpstreamStatus struct {
	Addr        string        `json:"addr"`
	Peer        Peer          `json:"peer"` // of the present link, or the last one
	Path        []NodeID      `json:"path"` // the upstream, the node that it follows, and so on; null while the link is down
	State       LinkState     `json:"state"`
	Synced      bool          `json:"synced"`                 // it streams and has caught up since the link came up
	Behind      int64         `json:"behind"`                 // bytes of log that the upstream has said it has beyond this node's
	LastIO      time.Duration `json:"last_io_ns"`             // since the last frame, -1 for none yet
	Down        time.Duration `json:"down_ns"`                // since the replica stopped streaming; 0 while it streams, -1 if it never has
	Linked      bool          `json:"linked"`                 // it streams, and so do all nodes between it and the master
	Age         time.Duration `json:"age_ns"`                 // since the data were known to be all that the master had, -1 for never
	Stale       bool          `json:"stale"`                  // reads are refused, as the options want it
	LastError   string        `json:"last_error"`             // why the last link or attempt ended; empty before that
	LastErrorAt time.Time     `json:"last_error_at,omitzero"` // when that was, by this node's clock; zero before that
	NextTry     time.Duration `json:"next_try_ns"`            // until the upstream is dialled again; 0 while the link is up or being tried
	Outages     int64         `json:"outages"`                // times that it stopped streaming
	OutageTime  time.Duration `json:"outage_time_ns"`         // total time without streaming, after it first had
	LastOutage  *Outage       `json:"last_outage,omitempty"`  // nil before the first
	Partials    int64         `json:"partial_syncs"`
	Fulls       int64         `json:"full_syncs"`             // begun, resumed ones included
	Attempts    int64         `json:"attempts"`               // connections tried
	LastPartial *SyncStatus   `json:"last_partial,omitempty"` // nil before the first
	LastFull    *SyncStatus   `json:"last_full,omitempty"`
	Progress    Progress      `json:"progress"`      // of the full copy under way, or the last one
	Read        int64         `json:"read"`          // bytes received on the present link, or the last one
	ClockSkew   time.Duration `json:"clock_skew_ns"` // the writer's clock minus ours, minus what its last message took to come; to a millisecond

	Secret int  `json:"secret"` // as of a FollowerStatus, on that link
	Sealed bool `json:"sealed"`

	Compression rdb.Compression `json:"compression"` // of what is received on that link
	ReadPlain   int64           `json:"read_plain"`  // what Read would be without it
}

// Status returns the node's state now. It may be called at any time, even after
// Close.
func (n *Node) Status() Status {
	t := n.tenure()
	s := Status{
		Time: time.Now().UTC().Round(0),
		ID:   n.opts.ID, Name: n.opts.Name, Group: n.opts.Group, Role: t.role,
		Ack: n.opts.Ack, AckDurable: n.opts.AckDurable, MaxUnacked: n.opts.MaxUnacked, MinReplicas: n.opts.MinReplicas, MaxLag: n.opts.MaxLag,
		Secrets:  len(n.presentSecrets()),
		WhenDown: n.opts.WhenDown, MaxStaleness: n.opts.MaxStaleness,
		Announce: n.announced(), Priority: max(n.opts.Priority, 0),
		Position: n.log.Position(), Lineage: n.log.Lineage(), Epoch: n.standing().epoch, Window: n.log.Window(),
		Handover: n.handing.Load().status(),
	}
	if k, ok := n.machine.(Kept); ok {
		s.Synced = k.Synced()
	}
	if err, paused := n.log.Refusing(), (*backlog.PausedError)(nil); err != nil && !errors.As(err, &paused) {
		s.Refusing = err.Error() // not of a handover that is under way: its writers wait
	}
	s.Supervision = SupervisionStatus{n.opts.Supervised, n.opts.Fenced, n.lease.report(), n.askers()}
	turned := n.turnedAway()
	n.mu.Lock()
	s.Counters = n.mu.counters
	s.Counters.Handshakes, s.Counters.Unproved, s.Counters.Unheard = turned.handshakes, turned.unproved, turned.unheard
	s.Counters.Refusals = make(map[backlog.Refusal]int64, len(n.mu.counters.Refusals))
	for r, c := range n.mu.counters.Refusals {
		s.Counters.Refusals[r] = c
	}
	partial, full, lost := n.mu.lastPartial, n.mu.lastFull, n.mu.lastLost
	n.mu.Unlock()
	if lost != nil {
		shown := *lost
		s.LastLost = &shown
	}
	feeds := n.presentFeeds()
	s.LastPartial, s.LastFull = partial.status(), full.status()
	s.Followers = make([]FollowerStatus, 0, len(feeds))
	for _, f := range feeds {
		follower := f.status(s.Position.Offset)
		if follower.Near {
			s.NearReplicas++
		}
		s.Followers = append(s.Followers, follower)
	}
	slices.SortFunc(s.Followers, func(a, b FollowerStatus) int {
		return cmp.Or(cmp.Compare(a.Peer.Name, b.Peer.Name), slices.Compare(a.Peer.ID[:], b.Peer.ID[:]))
	})
	if t.up != nil {
		s.Upstream = t.up.status(s.Position.Offset)
		t.up.fresh.status(s.Upstream)
	}
	return s
}

// presentFeeds returns the feeds of the followers that are connected.
func (n *Node) presentFeeds() []*feed {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Collect(maps.Values(n.mu.feeds))
}

// isNear reports whether the follower is within Options.MaxLag.
func (f *feed) isNear() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.isNearLocked()
}

func (f *feed) isNearLocked() bool {
	return f.mu.asOf != never && f.n.acks.now()-f.mu.asOf <= f.n.opts.MaxLag && !f.outdated()
}

func (f *feed) status(end int64) FollowerStatus {
	place, account := f.place(), f.account()
	f.mu.Lock()
	defer f.mu.Unlock()
	s := FollowerStatus{
		Peer: f.link.peer, State: f.mu.state, Online: f.online.Load(), Sent: f.mu.sent,
		Received: f.mu.last.received, Applied: f.mu.last.applied, Durable: f.mu.last.durable,
		LastAck: -1, Lag: -1, RTT: f.mu.rtt, Place: place, Written: f.mu.written,
		Secret: f.link.secret, Sealed: f.link.sealed,
		Compression: f.link.compression(), WrittenPlain: f.mu.plain,
		Sync: account.status(), Progress: account.shown(),
	}
	if !f.mu.lastAt.IsZero() {
		s.LastAck = time.Since(f.mu.lastAt)
	}
	if f.mu.asOf != never {
		s.Lag = f.n.acks.now() - f.mu.asOf
	}
	s.Near = f.isNearLocked()
	s.Behind = max(end-s.Applied, 0)
	return s
}

// place returns the feed's place in the line for a full copy, or for a repair.
func (f *feed) place() int {
	f.mu.Lock()
	c, t := f.mu.inLine, f.mu.turn
	f.mu.Unlock()
	switch {
	case c != nil:
		return f.n.passes.place(c)
	case t != nil:
		return f.n.repairs.place(t)
	}
	return 0
}
