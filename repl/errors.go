package repl

import "errors"

// Errors of a write, a wait or a call on a handle.
var (
	// ErrClosed is returned by the methods of a node that has been closed.
	ErrClosed = errors.New("repl: node is closed")

	// ErrReadOnly is what a write on a replica gets, as a [*ReadOnlyError].
	ErrReadOnly = errors.New("repl: READONLY: writes go to the master")

	// ErrFenced is what a write gets, as a [*FencedError], on a master that has heard of
	// a higher epoch than its own, and so of another master.
	ErrFenced = errors.New("repl: READONLY: there is a master of a higher epoch")

	// ErrNotAcked is what a write gets, as a [*NotAckedError], when too few
	// replicas were near enough within the time limit. The write stands.
	ErrNotAcked = errors.New("repl: NOTACKED: too few replicas have acked")

	// ErrNotEnoughReplicas is what a write gets when fewer than
	// Options.MinReplicas replicas are within Options.MaxLag. It has changed
	// nothing. Try again; when enough replicas are back it is let in.
	ErrNotEnoughReplicas = errors.New("repl: NOREPLICAS: not enough replicas are near")

	// ErrNoLease is what a write gets, as a [*LeaseError], on a master that takes writes only under
	// a lease of its sentinels and does not hold it. It has changed nothing. Try again: the lease
	// may be on its way, or another node may be the master by now.
	ErrNoLease = errors.New("repl: NOLEASE: the sentinels have not granted the right to write")

	// ErrInUse is returned by [NewMaster] and [NewReplica] for a machine that belongs
	// to another node that is not closed. Close that one, or change its role.
	ErrInUse = errors.New("repl: the machine belongs to another node")

	// ErrRunning is returned by a second [Replica.Run].
	ErrRunning = errors.New("repl: replica is already running")

	// ErrRoleChanged is returned by the methods of a [Master] that was demoted and
	// of a [Replica] that was promoted. [Node.Master] and [Node.Replica] return
	// the handle for the role that the node has now.
	ErrRoleChanged = errors.New("repl: the node has another role")

	// ErrOption is returned, as an [*OptionError], for an invalid option.
	ErrOption = errors.New("repl: invalid option")

	// ErrLost is returned by [Master.Wait] for a position that this node's
	// history left behind: its records were not taken over.
	ErrLost = errors.New("repl: position is not in this node's history")
)

// Errors of [Master.Handover]. They come inside a [*HandoverError], except
// ErrNoDeadline, and mostly ErrNoFollower.
var (
	// ErrNoDeadline is returned for a context without a deadline: writers would wait for
	// ever.
	ErrNoDeadline = errors.New("repl: handover needs a deadline")

	// ErrNoFollower is returned when no follower is attached under that name or id, or
	// several are; and, as the error of a [*HandoverError], when the follower does not
	// say where it can be reached.
	ErrNoFollower = errors.New("repl: no such follower")

	// ErrDeclined means that the replica has refused: it is being closed, its role is just
	// being changed, or the order came too late. It goes on as a replica.
	ErrDeclined = errors.New("repl: replica has declined")

	// ErrLinkLost means that the link to the replica was lost. It has not taken over.
	ErrLinkLost = errors.New("repl: link to the replica was lost")

	// ErrInDoubt means that it is not known whether the replica has taken over. This node
	// takes no more writes, and follows the replica.
	ErrInDoubt = errors.New("repl: the replica may have taken over")
)

// Errors of requests on a [Control] link. They arrive inside a [*RefusedError] with the
// other end's words.
var (
	// ErrNotSupervised is returned for an order to a node without Options.Supervised.
	ErrNotSupervised = errors.New("repl: node takes no orders")

	// ErrNotAsked is returned for what the other end does not answer: a poll or an order if it
	// is no node, a call if it is one.
	ErrNotAsked = errors.New("repl: this is not for the peer to answer")

	// ErrFailed is returned when the other end could not do what it was asked, for a reason
	// that this package has no error for.
	ErrFailed = errors.New("repl: peer could not do it")
)

// Errors that end a link. They reach the program in Status and in Events,
// wrapped in a [*LinkError].
var (
	// ErrProtocol means that the peer broke the protocol, or speaks another.
	ErrProtocol = errors.New("repl: protocol violation")

	// ErrChecksum means that a frame arrived damaged.
	ErrChecksum = errors.New("repl: frame checksum mismatch")

	// ErrLimit means that the peer sent or announced more than a limit allows.
	ErrLimit = errors.New("repl: limit exceeded")

	// ErrVersion means that the two nodes have no protocol version, or no
	// version of the records, in common. See [*VersionError].
	ErrVersion = errors.New("repl: no version in common")

	// ErrAuth means that the peer has not shown that it knows a secret of this node, or
	// that this node has not convinced the peer, as an [*AuthError]. See Options.Secrets.
	ErrAuth = errors.New("repl: not authenticated")

	// ErrGroup means that the peer belongs to another group.
	ErrGroup = errors.New("repl: peer belongs to another group")

	// ErrCycle means that the node would follow itself: what it dialled is
	// itself, or follows it, directly or through others. Point one of them
	// elsewhere, or promote it. A node whose files are a copy of another's, id and all, gets
	// it from that one and from those that follow that; it must not be promoted, but needs an id
	// of its own.
	ErrCycle = errors.New("repl: node would follow itself")

	// ErrNotReady means that the upstream is a replica that has no data yet.
	ErrNotReady = errors.New("repl: upstream has no data yet")

	// ErrBehind means that the upstream is a replica whose log is the beginning of
	// this node's, through the same histories: it will catch up, or be promoted. Or
	// that it is a master that was started as one, lacks what this node has, and has
	// not been granted a lease yet: its sentinels decide who goes on.
	ErrBehind = errors.New("repl: upstream has not come as far yet")

	// ErrLowerEpoch means that the upstream is of a lower epoch than this node: it has
	// missed a promotion that this node knows of, and so has whatever it follows. A
	// replica keeps what it has, and tries again; a master that hears of the higher
	// epoch in this way steps down.
	ErrLowerEpoch = errors.New("repl: upstream is of a lower epoch")

	// ErrPeerClosed means that the peer said it was being closed.
	ErrPeerClosed = errors.New("repl: peer is closed")

	// ErrPeerLeft means that the follower at the other end said that it was leaving: it
	// was given another upstream, or another role.
	ErrPeerLeft = errors.New("repl: peer has left")

	// ErrBusy means that the upstream has no room for another follower (see Options.MaxFollowers),
	// or that whoever was dialled has none for another control link; or that a node that was given
	// an order is still carrying out another.
	ErrBusy = errors.New("repl: peer is busy")

	// ErrEmptyMaster means that the upstream is empty and of another history,
	// while this node holds data. See Options.AllowEmpty.
	ErrEmptyMaster = errors.New("repl: upstream is empty and would wipe this node")

	// ErrForeign means that the upstream shares no history with this node,
	// which holds data. See Options.AllowForeign.
	ErrForeign = errors.New("repl: upstream shares no history with this node")

	// ErrTimeout means that the peer was silent for too long, or too slow to
	// take or send a frame.
	ErrTimeout = errors.New("repl: peer timed out")

	// ErrReplaced means that the same follower, or sentinel, has come back on a newer connection. One
	// that hears it from the other end again and again has not: another has its id, as when its files
	// are a copy of this one's. Two nodes take turns then, ever more slowly, until one is given its own.
	ErrReplaced = errors.New("repl: replaced by a newer connection")

	// ErrRepointed means that the replica was given another upstream.
	ErrRepointed = errors.New("repl: replica follows another upstream now")

	// ErrForked means that the upstream has begun a new history during a full
	// copy. The follower connects again. A follower that streams is told in
	// passing.
	ErrForked = errors.New("repl: upstream has begun a new history")

	// ErrDiverged means that a full copy did not come out as the upstream said.
	ErrDiverged = errors.New("repl: copy differs from the upstream's state")
)
