package repl

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/rdb"
)

// A NodeID names a node for as long as its [Node] lives. Addresses may change,
// a node id does not.
type NodeID [16]byte

// NewNodeID returns a random NodeID.
func NewNodeID() NodeID {
	var id NodeID
	rand.Read(id[:])
	return id
}

// String returns the id as 32 hexadecimal digits.
func (id NodeID) String() string { return hex.EncodeToString(id[:]) }

// MarshalText returns the digits of String.
func (id NodeID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// ParseNodeID reads what [NodeID.String] returns, or returns [backlog.ErrText].
func ParseNodeID(s string) (id NodeID, err error) {
	err = id.UnmarshalText([]byte(s))
	return id, err
}

// UnmarshalText reads what MarshalText wrote, or returns [backlog.ErrText].
func (id *NodeID) UnmarshalText(text []byte) error {
	var read NodeID
	if len(text) != 2*len(read) {
		return fmt.Errorf("%w: node id %.40q", backlog.ErrText, text)
	}
	if _, err := hex.Decode(read[:], text); err != nil {
		return fmt.Errorf("%w: node id %.40q", backlog.ErrText, text)
	}
	*id = read
	return nil
}

// Limits of Options.
const (
	MaxNameBytes     = 64  // of a node's and a group's name
	MaxAnnounceBytes = 255 // of Options.Announce: a DNS name and a port, or the path of a Unix socket
	MaxPriority      = 65535
	minHeartbeat     = time.Millisecond
	minSyncRate      = 64 << 10
	maxHeartbeat     = time.Hour
)

// Options configure a node. A nil pointer and the zero value of each field mean
// the default. [NewMaster] and [NewReplica] copy and check them, and return an
// [*OptionError] for the first that is invalid.
//
// Options that belong together are a struct of their own, which is embedded: Options.Ack is
// the Ack of [Safety]. A literal names the group, as Go requires:
//
//	opts := &repl.Options{
//		Name:     "paris",
//		Security: repl.Security{Secrets: secrets},
//		Safety:   repl.Safety{Ack: 1},
//	}
type Options struct {
	// ID names the node; the default is random. Two live nodes of a group must
	// not share one.
	// A program whose store outlives it should keep the ID beside the store. A master that
	// was restarted under another ID and is then demoted cannot say that the epoch in which
	// it wrote is over, so that the master that it is to follow steps down if its epoch is
	// lower.
	ID NodeID

	// Name is shown to peers and in status, at most 64 bytes of UTF-8. The default is
	// the first digits of ID.
	Name string

	// Group must be the same at both ends of a link, at most 64 bytes of UTF-8.
	Group string

	// Announce is the address at which peers may reach a listener of this node,
	// at most 255 bytes of UTF-8. The default is the address of the first listener that is
	// served, or none if that is longer. Each peer replaces an unspecified host, as in
	// "0.0.0.0:7000", with the one that it sees at the other end of the connection. The
	// address is told in the handshake: set it on a replica that is to be found by way of
	// its upstream, as sentinels find it, since Serve in a goroutine of its own may begin
	// after Run.
	Announce string

	// Priority says which replica is preferred as master: the one with the
	// lowest. The default is 100, the most 65535. A negative one means never, and
	// is shown as 0, which is what Redis calls it.
	Priority int

	// Transport dials upstreams. The default is TCP. Listeners are handed to
	// Serve and may be of any kind.
	Transport Transport

	// MaxFollowers is how many followers are served at once. A further one is refused
	// with [ErrBusy], and tries again by itself; one that replaces its own older link
	// is not. The default is 1000. Each may take some 100 KiB at its upstream, or 1
	// MiB if its link is compressed, and 256 KiB more if it is sealed (see Security).
	MaxFollowers int

	// MaxHandshakes is how many connections may be in their handshake at once. If there
	// is one more, the newest from the address that has most of them is closed; a replica
	// tries again. The default is 64.
	MaxHandshakes int

	// Compression is what this node asks for when it follows, and what it offers
	// to followers that ask for nothing: the follower's wish has precedence. The
	// default, [rdb.None], asks for nothing and grants what is asked for;
	// [rdb.Off] grants nothing either. Only what goes to followers is
	// compressed: blocks of copies, once for all followers that take them, and
	// runs of the log, for each. A compressed link takes about 1 MiB at its
	// upstream.
	Compression rdb.Compression

	// Logger receives the node's messages: a line for each change of a link, for the beginning
	// and the end of each sync, and for each change of role. A follower is named when it is
	// given a first sync. Attempts that fail like the one before are logged at
	// [slog.LevelDebug], at both ends: there may be a hundred a second. The default is
	// silence.
	Logger *slog.Logger

	// Events are called when something happens to a link.
	Events Events

	Security
	Liveness
	Copying
	Safety
	Reading
	Supervision
}

// Liveness says how soon a dead peer is found.
type Liveness struct {
	// Heartbeat is how often an idle link is proved alive. The default is 1 s,
	// the least 1 ms.
	Heartbeat time.Duration

	// Timeout is how long a peer may be silent, or take for one frame. The
	// default, and the least, is three times Heartbeat. A peer with a slower
	// heartbeat is given three of its own.
	Timeout time.Duration

	// HandshakeTimeout bounds dialling and the handshake together. The default
	// is 5 s.
	HandshakeTimeout time.Duration
}

// Copying says how full copies are made and accepted.
type Copying struct {
	// MaxSyncs is how many followers are copied to at once, all by the same pass over the
	// state; the rest wait in turn and are told their place (see Progress). As many again may
	// be under repair (see MaxRepairKeys), with a line of their own. The default is 64.
	MaxSyncs int

	// SyncRate bounds the bytes a second of all copies to followers together, and of the
	// entries that a repair sends instead (see MaxRepairKeys). The log beside them is
	// neither counted nor held back. 0, the default, means no bound; the least is 64
	// KiB.
	SyncRate int64

	// SyncTimeout ends a copy whose follower takes no block for that long. The
	// default is 30 s.
	SyncTimeout time.Duration

	// MaxRepairKeys bounds repairs. The end of a replica's log may be one that its
	// upstream does not have, such as an old master's after a failover. If it concerns no
	// more than that many keys, the replica takes their present state and the upstream's
	// log in place of a full copy, if its machine can (see [Repairer]). The default is
	// 10,000, the most 65536; negative means always a full copy.
	MaxRepairKeys int

	// AllowEmpty lets a replica that holds data take a full copy of an upstream
	// of another history that holds none, which wipes the replica.
	AllowEmpty bool

	// AllowForeign lets a replica that holds data take a full copy of an
	// upstream with which it shares no history.
	AllowForeign bool

	// DropFirst makes a replica drop what it has before a full copy begins, if
	// its machine can (see [Dropped]). It then needs room for one set of the
	// data instead of two, and is empty until the copy is complete.
	DropFirst bool
}

// Safety says what a write needs of the replicas: Ack, that they have it before the
// write returns; MinReplicas, that they were heard of before it is let in. Only
// replicas that follow this node directly count, each once, and not while it takes
// a full copy.
type Safety struct {
	// Ack is how many replicas must have applied a write before it returns. 0, the
	// default, means that no write waits; the most is MaxFollowers. Writes that wait at the
	// same time are acked together. A write that is not acked when the node stops being the
	// master gets a [*NotAckedError]. With sentinels, one that n of R replicas have acked is certain
	// to survive a failover if their MinHeard is at least R-n+1; it is 1 by default, which is enough
	// only for n = R.
	Ack int

	// AckDurable lets Ack count only replicas that have the write on disk (see [Kept]). A
	// replica that syncs once a second, as with kv.FsyncEverySecond, makes writes wait
	// that long.
	AckDurable bool

	// MaxUnacked lets writers run ahead by that many bytes of log: a write waits
	// only until Ack replicas have applied the log to within that distance of it.
	// The default, 0, is to wait for the write itself. It needs Ack.
	MaxUnacked int64

	// AckTimeout is how long a write waits before it gets a [*NotAckedError].
	// The default is 1 s, and 5 s with AckDurable: a replica that syncs once a second
	// needs more than that second.
	AckTimeout time.Duration

	// MinReplicas is how many replicas must be near for a write to be let in; otherwise it
	// is refused with [ErrNotEnoughReplicas] and changes nothing. 0, the default, lets all
	// in; the most is MaxFollowers. A master begins without replicas, so it takes no
	// writes until that many have come.
	MinReplicas int

	// MaxLag says what near means: the replica has said that it has applied what the
	// master had this long ago. Time is monotonic, and looked at for each write, not by
	// a timer. So a master, cut off or not, can have written no more that MinReplicas
	// replicas lack than it wrote in this time. Heartbeats ask for what was applied: a
	// replica's lag moves between a round trip and one heartbeat more. The least is two
	// heartbeats; the default is 10 s, or the least if that is longer.
	MaxLag time.Duration
}

// Reading says what a replica lets be read when its data may be old. It is for a machine
// that can refuse to be read (see [Dated]); *kv.Store then returns kv.ErrStale. A master's
// data are never old; but one that writes by a lease (Options.Supervised) answers reads when that has run out,
// too, and another may be writing then. When it becomes a replica, it counts their age from the end of the
// lease.
type Reading struct {
	// WhenDown is what becomes of reads while the replica does not stream from the
	// master: it is cut off, follows another replica that is, or takes a full copy.
	// The default is ServeStale: the old data are served.
	WhenDown Stale

	// MaxStaleness refuses reads of older data, whatever the link does: unless it is known that this
	// long ago the master had no more than that. Each heartbeat says so, from the upstream, which
	// heard it from its own; so it must be at least twice Heartbeat, and in a chain should be a
	// Heartbeat more for each link. Each read looks at the clock, so a process that was stopped
	// reads nothing that became too old meanwhile. It is the monotonic clock, which on Linux stands
	// still while the whole machine is suspended. 0 means no bound.
	MaxStaleness time.Duration
}

// A Stale says what becomes of reads on a replica that is cut off.
type Stale uint8

const (
	// ServeStale answers them from the data that there are, however old.
	ServeStale Stale = iota
	// RefuseStale refuses them from the moment the link breaks until it streams again,
	// and before it first does.
	RefuseStale
)

var stales = [...]string{"serve", "refuse"}

// String returns "serve" or "refuse".
func (s Stale) String() string { return word(stales[:], s) }

// MarshalText returns what String returns.
func (s Stale) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText wrote, or returns [backlog.ErrText].
func (s *Stale) UnmarshalText(text []byte) error { return unword(stales[:], s, text) }

// refuses reports whether a replica may refuse to be read.
func (r *Reading) refuses() bool { return r.WhenDown == RefuseStale || r.MaxStaleness > 0 }

// Defaults of Options.
const (
	DefaultPriority         = 100
	DefaultMaxFollowers     = 1000
	DefaultHeartbeat        = time.Second
	DefaultHandshakeTimeout = 5 * time.Second
	DefaultMaxHandshakes    = 64
	DefaultMaxSyncs         = 64
	DefaultMaxRepairKeys    = 10_000
	DefaultSyncTimeout      = 30 * time.Second
	DefaultAckTimeout       = time.Second
	DefaultDurableTimeout   = 5 * time.Second // of AckTimeout, with AckDurable
	DefaultMaxLag           = 10 * time.Second
)
