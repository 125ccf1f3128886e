package repl

import (
	"time"

	"github.com/emberkv/ember/backlog"
)

// A Peer is the other end of a link. Whatever is not printable in what it says of itself
// is replaced by "_".
type Peer struct {
	ID       NodeID `json:"id"`
	Name     string `json:"name"`
	Addr     string `json:"addr"`     // remote address of the connection; for an upstream, the address that was dialled
	Listen   string `json:"listen"`   // where it may be reached, if it has said so; see Options.Announce
	Priority int    `json:"priority"` // see Options.Priority; 0 means never
	Upstream bool   `json:"upstream"` // the peer is this node's upstream, not one of its followers

	Sentinel bool `json:"sentinel,omitempty"` // the peer is no node: it watches, or asks; see Control
}

// Events are functions that a node calls when something happens to one of its
// links; each may be nil. Both ends of a link have the same ones, in this order:
//
//	Connected
//	  PartialSync Progress... CaughtUp           either the follower goes on from where it stands,
//	  PartialSync Progress Repaired... CaughtUp  or from where it has parted from the upstream,
//	  FullSync Progress... Synced CaughtUp       or it takes a full copy
//	Disconnected
//
// A link may end at any step; then only Disconnected comes, with the reason.
// Besides, an upstream calls Refused for those that it turns away in the
// handshake, and a follower calls Disconnected alone for each attempt that gets
// nowhere, and Retry before each further attempt.
//
// For one link the functions are called one after the other; for different links
// concurrently. So when a follower comes back on a newer connection, its
// Connected and the Disconnected of the old one, with [ErrReplaced], come in any
// order. A function must return soon: its link waits for it. It may call Status,
// but not Close nor anything that changes the role.
type Events struct {
	// Role is called when the node has changed its role or its upstream.
	Role func(RoleChange)

	// Gate is called when the node begins to refuse writes, or lets them in again: because its role has changed,
	// another master was heard of, fewer than Options.MinReplicas are near or enough are again, or its lease has run
	// out or was granted. It is called once for each change, not for each write, and once at the start if writes are
	// refused then. Writes that are held up for a handover are not refused.
	Gate func(GateChange)

	// Connected is called when the handshake is over.
	Connected func(Peer)

	// PartialSync is called when the follower goes on from where it stands.
	PartialSync func(PartialSync)

	// Repaired is called when a follower has left the end of its log, which the upstream
	// does not have, without a full copy: by the follower when it is done, by the
	// upstream when all that this takes, except the log, is sent.
	Repaired func(Repaired)

	// FullSync is called when a full copy begins, or when the follower is told
	// to wait for its turn, with the reason why a partial resync was not
	// possible.
	FullSync func(FullSync)

	// Progress is called when a follower that waits for its turn is told its place in
	// the line, about once for each heartbeat; during a sync, at most some fifty times a second, and
	// once when all of it has arrived, or, at the upstream, was sent. It is not called for a partial
	// resync that has nothing to bring.
	Progress func(Progress)

	// Synced is called when a full copy is complete: by the follower when the
	// copy is in use, by the upstream when all is sent.
	Synced func(Synced)

	// CaughtUp is called once for each link, when the follower has applied what
	// the upstream had when streaming began.
	CaughtUp func(CaughtUp)

	// Disconnected is called when a link that was connected is closed, with
	// the reason. It is also called when an upstream cannot be reached at all,
	// or refuses the handshake, with a Peer of which only Addr is known.
	Disconnected func(Peer, error)

	// Retry is called before a follower waits to dial its upstream again.
	Retry func(Retry)

	// Refused is called when somebody has dialled this node and the handshake
	// has failed, for the reason given. The Peer's Addr is known, the rest only
	// as far as it said so. Strangers can cause this as often as they can
	// connect.
	Refused func(Peer, error)
}

// A PartialSync says that a follower goes on from where it stands.
type PartialSync struct {
	Peer  Peer
	From  backlog.Position // where the follower stood
	Bytes int64            // of log that it lacked at that moment
}

// Repaired says that a follower has left the end of its log for the upstream's.
type Repaired struct {
	Peer     Peer
	From     backlog.Position // where the two had parted
	Position backlog.Position // of the state that came instead
	Keys     int64            // that the follower's records after From concerned
	Entries  int64            // of those keys, that the upstream has
	Bytes    int64            // of the entries
	Lost     int64            // bytes of log that the follower no longer has; 0 on the upstream
	Took     time.Duration    // since the upstream said where they had parted
}

// A FullSync says that a full copy begins.
type FullSync struct {
	Peer        Peer
	Reason      backlog.Refusal // why no partial resync was possible
	NotRepaired string          // why a tail could not be repaired; empty if there was none
	Keys        int64           // about how many there are
	Bytes       int64           // about how many bytes of entries
	Resumed     bool            // an earlier, broken copy goes on
}

// Progress says how far a sync has come.
type Progress struct {
	Peer        Peer  `json:"-"` // set in Events; a Status has the peer beside the Progress
	Keys        int64 `json:"keys"`
	KeysTotal   int64 `json:"keys_total"`  // an estimate
	Bytes       int64 `json:"bytes"`       // of entries
	BytesTotal  int64 `json:"bytes_total"` // an estimate
	Shards      int   `json:"shards"`
	ShardsTotal int   `json:"shards_total"`
	LogBytes    int64 `json:"log_bytes"` // of log that came beside the entries, or in a partial resync
	LogTotal    int64 `json:"log_total"` // of log that a partial resync brings; 0 for a full copy
	Place       int   `json:"place"`     // in the upstream's line for a full copy or a repair, from 1, as the follower was told; 0 when not in line
}

// Synced says that a full copy is complete.
type Synced struct {
	Peer     Peer
	Position backlog.Position
	Keys     int64
	Bytes    int64         // of entries
	LogBytes int64         // of log that came beside them
	Took     time.Duration // since the copy began, including the pauses of a resumed one
	Lost     int64         // bytes of log that the follower had beyond what the upstream has, and no longer has; 0 on the upstream
}

// CaughtUp says that a follower has applied what the upstream had when
// streaming began.
type CaughtUp struct {
	Peer     Peer
	Position backlog.Position // of the follower
	Bytes    int64            // of log that came on this link until then
	Took     time.Duration    // since Connected
}

// Retry says that a link has ended and when the replica tries again.
type Retry struct {
	Addr     string        // of the upstream
	Err      error         // why the last attempt, or the last link, ended
	Attempts int64         // so far
	Outage   time.Duration // since there was a link that worked
	Pause    time.Duration // until the next attempt; 0 after a link that worked
}

// A RoleChange says what a node is from now on.
type RoleChange struct {
	Role     Role
	Upstream string           // whom it follows; empty for a master, and for a replica of nobody
	Position backlog.Position // end of the log
	Err      error            // why, if the program did not ask for it: a [*FencedError], or a [*HandoverError] that is an [ErrInDoubt]
}

func call[T any](f func(T), v T) {
	if f != nil {
		f(v)
	}
}
