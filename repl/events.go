package repl

import (
	"time"

	"github.com/emberkv/ember/backlog"
)

// A Peer is the other end of a link.
type Peer struct {
	ID       NodeID `json:"id"`
	Name     string `json:"name"`
	Addr     string `json:"addr"`     // remote address of the connection; where it was dialled, for an upstream
	Listen   string `json:"listen"`   // where it may be reached, as far as it has said; see Options.Announce
	Priority int    `json:"priority"` // see Options.Priority; 0 means never
	Upstream bool   `json:"upstream"` // the peer is this node's upstream, not one of its followers
}

// Events are functions that a node calls when something happens to one of its
// links; each may be nil. For one link they are called one after the other, in
// the order Connected, then PartialSync or FullSync with its Progress and
// Synced, then Disconnected; for different links concurrently. A function must
// return soon: its link waits for it. It may call Status, but not Close.
type Events struct {
	// Connected is called when the handshake is over.
	Connected func(Peer)

	// PartialSync is called when the follower goes on from where it stands.
	PartialSync func(PartialSync)

	// FullSync is called when a full copy begins, with the reason why a
	// partial resync was not possible.
	FullSync func(FullSync)

	// Progress is called during a full copy, at most some fifty times a second
	// and once at its end.
	Progress func(Progress)

	// Synced is called when a full copy is complete and in use.
	Synced func(Synced)

	// Disconnected is called when a link that was connected is closed, with
	// the reason. It is also called, with a Peer of which only Addr is known,
	// when an upstream cannot be reached at all.
	Disconnected func(Peer, error)
}

// A PartialSync says that a follower goes on from where it stands.
type PartialSync struct {
	Peer  Peer
	From  backlog.Position // where the follower stood
	Bytes int64            // of log that it lacked at that moment
}

// A FullSync says that a full copy begins.
type FullSync struct {
	Peer    Peer
	Reason  backlog.Refusal // why no partial resync was possible
	Keys    int64           // about how many there are
	Bytes   int64           // about how many bytes of entries
	Resumed bool            // an earlier, broken copy goes on
}

// Progress says how far a full copy is.
type Progress struct {
	Peer        Peer  `json:"-"`
	Keys        int64 `json:"keys"`
	KeysTotal   int64 `json:"keys_total"`  // an estimate
	Bytes       int64 `json:"bytes"`       // of entries
	BytesTotal  int64 `json:"bytes_total"` // an estimate
	Shards      int   `json:"shards"`
	ShardsTotal int   `json:"shards_total"`
	LogBytes    int64 `json:"log_bytes"` // of log that came beside the entries
}

// Synced says that a full copy is complete.
type Synced struct {
	Peer     Peer
	Position backlog.Position
	Keys     int64
	Bytes    int64 // of entries
	LogBytes int64 // of log that came beside them
	Took     time.Duration
}

func call[T any](f func(T), v T) {
	if f != nil {
		f(v)
	}
}
