package repl

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/emberkv/ember/backlog"
)

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
	// replicas were near enough in time. The write stands.
	ErrNotAcked = errors.New("repl: too few replicas are near enough")

	// ErrNotEnoughReplicas is what a write gets that was not let in, because fewer
	// than Options.MinReplicas replicas are within Options.MaxLag. It has changed
	// nothing. Try again; when enough replicas are back it is let in.
	ErrNotEnoughReplicas = errors.New("repl: NOREPLICAS: not enough replicas are near")

	// ErrNoLease is what a write gets, as a [*LeaseError], on a master that takes writes only while
	// its sentinels lease it the right to, and does not hold that lease. It has changed nothing.
	// Try again: the lease may be on its way, or another node may be the master by now.
	ErrNoLease = errors.New("repl: NOLEASE: the sentinels have not granted the right to write")

	// ErrInUse is returned by [NewMaster] and [NewReplica] for a machine that another
	// node has, which is not closed. Close that one, or change its role.
	ErrInUse = errors.New("repl: the machine belongs to another node")

	// ErrRunning is returned by a second [Replica.Run].
	ErrRunning = errors.New("repl: replica is already running")

	// ErrRoleChanged is returned by the methods of a [Master] that was demoted and
	// of a [Replica] that was promoted. [Node.Master] and [Node.Replica] return
	// the handle for the role that the node has now.
	ErrRoleChanged = errors.New("repl: the node has changed its role")

	// ErrOption is returned, as an [*OptionError], for an invalid option.
	ErrOption = errors.New("repl: invalid option")

	// ErrLost is returned by [Master.Wait] for a position that this node's
	// history left behind: its records were not taken over.
	ErrLost = errors.New("repl: position is not in this node's history")
)

// Errors of [Master.Handover]. All but ErrNoDeadline, and mostly ErrNoFollower, are
// inside a [*HandoverError].
var (
	// ErrNoDeadline is returned for a context without a deadline: writers would wait for
	// ever.
	ErrNoDeadline = errors.New("repl: handover needs a deadline")

	// ErrNoFollower is returned when no follower is attached under that name or id,
	// or several are, and, as the error of a [*HandoverError], when it does not say where
	// it can be reached.
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

// Errors of what is asked on a [Control] link, where they arrive inside of a [*RefusedError]
// with the other end's words.
var (
	// ErrNotSupervised is returned for an order to a node without Options.Supervised.
	ErrNotSupervised = errors.New("repl: node takes no orders")

	// ErrNotAsked is returned for what the other end does not answer: a poll or an order of who
	// is no node, a call of a node.
	ErrNotAsked = errors.New("repl: this is not for the peer to answer")

	// ErrFailed is returned when the other end could not do what it was asked, for a reason
	// that has no error of its own here.
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

	// ErrCycle means that the node would follow itself: it has reached itself, or
	// a node that follows it, directly or through others. Point one of them
	// elsewhere, or promote it.
	ErrCycle = errors.New("repl: node would follow itself")

	// ErrNotReady means that the upstream is a replica without data as yet.
	ErrNotReady = errors.New("repl: upstream has no data yet")

	// ErrBehind means that the upstream is a replica whose log is the beginning of
	// this node's, on the way through the same histories. It will come as far, or
	// be promoted.
	ErrBehind = errors.New("repl: upstream has not come as far yet")

	// ErrLowerEpoch means that the upstream is of a lower epoch than this node: it has
	// missed a promotion of which this node knows, and so has what it follows. A replica
	// keeps what it has, and tries again; a master that hears of it so steps down.
	ErrLowerEpoch = errors.New("repl: upstream is of a lower epoch")

	// ErrPeerClosed means that the peer said it was being closed.
	ErrPeerClosed = errors.New("repl: peer is closed")

	// ErrBusy means that the upstream has no room for another follower (see
	// Options.MaxFollowers), or whoever was dialled for another control link; or that a node which
	// was given an order is still carrying out another.
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

	// ErrReplaced means that the same follower has come by a newer connection.
	ErrReplaced = errors.New("repl: replaced by a newer connection")

	// ErrRepointed means that the replica was given another upstream.
	ErrRepointed = errors.New("repl: replica follows another upstream now")

	// ErrForked means that the upstream has begun a new history during a full
	// copy. The follower connects again. One that streams is told in passing.
	ErrForked = errors.New("repl: upstream has begun a new history")

	// ErrDiverged means that a full copy did not come out as the upstream said.
	ErrDiverged = errors.New("repl: copy differs from the upstream's state")
)

// A wipeError is [ErrEmptyMaster], and [ErrForeign] to those who do not tell them apart.
type wipeError struct{}

func (wipeError) Error() string   { return ErrEmptyMaster.Error() }
func (wipeError) Unwrap() []error { return []error{ErrEmptyMaster, ErrForeign} }

// A ReadOnlyError is what a write on a replica gets.
type ReadOnlyError struct {
	Master string // address that the replica follows, where in a chain there is another replica
}

func (e *ReadOnlyError) Error() string {
	return fmt.Sprintf("%v; this node follows %s", ErrReadOnly, e.Master)
}

// Unwrap returns ErrReadOnly.
func (e *ReadOnlyError) Unwrap() error { return ErrReadOnly }

// A FencedError is what a write gets on a node that was the master until it heard of a
// higher epoch, and that follows nobody yet. Unless somebody has told it the contrary,
// another node takes the writes. It is an [ErrReadOnly], too.
type FencedError struct {
	Epoch backlog.Epoch // that it has heard of
	By    string        // name of the node that has told it
}

func (e *FencedError) Error() string {
	return fmt.Sprintf("%v: %s, told by %s; this node follows nobody", ErrFenced, e.Epoch, e.By)
}

// Unwrap returns ErrFenced and ErrReadOnly.
func (e *FencedError) Unwrap() []error { return []error{ErrFenced, ErrReadOnly} }

// A LeaseError is what a write gets on a master that does not hold its lease. See
// [Supervision].
type LeaseError struct {
	Granted int  // of how many sentinels grants are in force, when they were looked at last
	Need    int  // how many it takes; 0 if none has ever said so
	RunOut  bool // the lease was held, in this tenure, and has run out
}

func (e *LeaseError) Error() string {
	switch {
	case e.Need == 0:
		return fmt.Sprintf("%v: none has said anything yet", ErrNoLease)
	case e.RunOut && e.Granted >= e.Need: // those were counted before it ran out
		return fmt.Sprintf("%v: the lease has run out; it takes %d sentinels", ErrNoLease, e.Need)
	case e.RunOut:
		return fmt.Sprintf("%v: the lease has run out; of the %d sentinels that it takes there are %d", ErrNoLease, e.Need, e.Granted)
	}
	return fmt.Sprintf("%v: %d have, and it takes %d", ErrNoLease, e.Granted, e.Need)
}

// Unwrap returns ErrNoLease.
func (e *LeaseError) Unwrap() error { return ErrNoLease }

// A NotAckedError is what a write gets when fewer than Options.Ack replicas
// came within Options.MaxUnacked bytes of it in Options.AckTimeout.
// The write stands and goes on being replicated.
type NotAckedError struct {
	Position backlog.Position // after the write
}

func (e *NotAckedError) Error() string {
	return fmt.Sprintf("%v to %s; the write stands", ErrNotAcked, e.Position)
}

// Unwrap returns ErrNotAcked.
func (e *NotAckedError) Unwrap() error { return ErrNotAcked }

// An OptionError names the field of Options, or the argument of a constructor, that is
// invalid, and its value.
type OptionError struct {
	Field string
	Value any
	Want  string
}

func (e *OptionError) Error() string {
	value := e.Value
	if s, ok := value.(string); ok {
		value = strconv.Quote(s)
	}
	return fmt.Sprintf("%v: %s is %v, want %s", ErrOption, e.Field, value, e.Want)
}

// Unwrap returns ErrOption.
func (e *OptionError) Unwrap() error { return ErrOption }

// What a VersionError is about.
const (
	whatProtocol = "protocol"
	whatRecord   = "record"
)

// A VersionError says which versions the two ends speak.
type VersionError struct {
	What              string // "protocol" or "record"
	Theirs, TheirsMax int
	Ours, OursMax     int
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("%v: %s %d to %d there, %d to %d here", ErrVersion, e.What, e.Theirs, e.TheirsMax, e.Ours, e.OursMax)
}

// Unwrap returns ErrVersion.
func (e *VersionError) Unwrap() error { return ErrVersion }

// An AuthReason says why a link ended before, or without, a proof.
type AuthReason uint8

const (
	// AuthNoProof means that the peer proves nothing, and this node asks for a proof. The
	// peer has no Options.Secrets.
	AuthNoProof AuthReason = iota
	// AuthNoSecret means that the peer asks for a proof, and this node has no Options.Secrets.
	AuthNoSecret
	// AuthWrongSecret means that the peer's proof is of none of this node's secrets, or that
	// somebody on the way has changed what was said.
	AuthWrongSecret
	// AuthRefused means that the upstream has closed the connection when it had this node's
	// proof. Its log says why: most likely it knows none of this node's secrets.
	AuthRefused
	// AuthForged means that a frame of a sealed link was damaged or forged on the way.
	AuthForged
)

var authReasons = [...]string{
	"the peer has no secret, and needs one here",
	"the peer asks for a secret, and this node has none",
	"the peer's proof is of none of this node's secrets",
	"the peer has accepted no secret of this node",
	"a frame was damaged or forged on the way",
}

// String returns the reason in words.
func (r AuthReason) String() string { return word(authReasons[:], r) }

// An AuthError says why a peer was not, or has not, let in. The peer is told nothing.
type AuthError struct {
	Reason AuthReason
}

func (e *AuthError) Error() string { return fmt.Sprintf("%v: %v", ErrAuth, e.Reason) }

// Unwrap returns ErrAuth.
func (e *AuthError) Unwrap() error { return ErrAuth }

// A LinkError says where on a link something went wrong.
type LinkError struct {
	Op   string // "dial", "handshake"; of a follower "follow", "load", "apply"; of an upstream "serve", "copy", "dump"
	Peer string // address, and name if known
	Err  error
}

func (e *LinkError) Error() string {
	return fmt.Sprintf("repl: %s %s: %s", e.Op, e.Peer, strings.TrimPrefix(e.Err.Error(), "repl: "))
}

// Unwrap returns the cause.
func (e *LinkError) Unwrap() error { return e.Err }

// A RefusedError is an upstream's or a follower's refusal, with what it says
// beside the reason.
type RefusedError struct {
	Err  error  // one of the errors above
	Text string // in the peer's words, for whom "here" is there; on one line, may be empty
}

func (e *RefusedError) Error() string {
	text := "refused by the peer: " + strings.TrimPrefix(e.Err.Error(), "repl: ")
	if _, said := e.Err.(*VersionError); e.Text == "" || said {
		return text
	}
	return text + ", in its words: " + strings.TrimPrefix(e.Text, "repl: ")
}

// Unwrap returns the reason.
func (e *RefusedError) Unwrap() error { return e.Err }

// A HandoverStep says how far a handover has come.
type HandoverStep uint8

const (
	// StepNear: the replica catches up; writers do not wait yet.
	StepNear HandoverStep = iota
	// StepPrepare: writers wait, and the replica applies what is left.
	StepPrepare
	// StepCommit: the replica has everything, and has been told to take over.
	StepCommit
)

var handoverSteps = [...]string{"near", "prepare", "commit"}

// String returns "near", "prepare" or "commit".
func (s HandoverStep) String() string { return word(handoverSteps[:], s) }

// MarshalText returns what String returns.
func (s HandoverStep) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText wrote, or returns [backlog.ErrText].
func (s *HandoverStep) UnmarshalText(text []byte) error { return unword(handoverSteps[:], s, text) }

// A HandoverError says why a handover has failed, and at which step. The old master goes
// on, unless it is an [ErrInDoubt].
type HandoverError struct {
	To   string // name of the replica
	Step HandoverStep
	Err  error // ErrDeclined, a *LeaseError, ErrLinkLost, ErrInDoubt, a *FencedError, the context's, or why the link ended
}

func (e *HandoverError) Error() string {
	return fmt.Sprintf("repl: handover to %s, step %s: %s", e.To, e.Step, strings.TrimPrefix(e.Err.Error(), "repl: "))
}

// Unwrap returns the reason.
func (e *HandoverError) Unwrap() error { return e.Err }
