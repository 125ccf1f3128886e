package repl

import (
	"fmt"
	"strings"

	"github.com/emberkv/ember/backlog"
)

// A ReadOnlyError is what a write on a replica gets.
type ReadOnlyError struct {
	Master string // address that the replica follows, which in a chain is another replica's
}

func (e *ReadOnlyError) Error() string {
	return fmt.Sprintf("%v; this node follows %s", ErrReadOnly, e.Master)
}

// Unwrap returns ErrReadOnly.
func (e *ReadOnlyError) Unwrap() error { return ErrReadOnly }

// A FencedError is what a write gets on a node that was the master until it heard of a
// higher epoch, and that follows nobody yet. As far as it knows, another node takes
// the writes. It is an [ErrReadOnly], too.
type FencedError struct {
	Epoch backlog.Epoch // that the node has heard of
	By    string        // name of the node that told it
}

func (e *FencedError) Error() string {
	return fmt.Sprintf("%v: %s, told by %s; this node follows nobody", ErrFenced, e.Epoch, e.By)
}

// Unwrap returns ErrFenced and ErrReadOnly.
func (e *FencedError) Unwrap() []error { return []error{ErrFenced, ErrReadOnly} }

// A LeaseError is what a write gets on a master that does not hold its lease. See
// [Supervision].
type LeaseError struct {
	Granted int  // number of grants in force when they were last looked at
	Need    int  // how many it takes; 0 if no grant has ever said so
	RunOut  bool // the lease was held, in this tenure, and has run out
}

func (e *LeaseError) Error() string {
	switch {
	case e.Need == 0:
		return fmt.Sprintf("%v: none has said anything yet", ErrNoLease)
	case e.RunOut && e.Granted >= e.Need: // those were counted before it ran out
		return fmt.Sprintf("%v: the lease has run out; it takes %d sentinels", ErrNoLease, e.Need)
	case e.RunOut:
		return fmt.Sprintf("%v: the lease has run out; granted by %d of the %d sentinels that it takes", ErrNoLease, e.Granted, e.Need)
	}
	return fmt.Sprintf("%v: granted by %d of the %d sentinels that it takes", ErrNoLease, e.Granted, e.Need)
}

// Undecided reports whether the node has not held a lease since it became a master: that its history
// is the group's is not decided. kv.Store.Wait asks it before it says that a position is lost.
func (e *LeaseError) Undecided() bool { return !e.RunOut }

// Unwrap returns ErrNoLease.
func (e *LeaseError) Unwrap() error { return ErrNoLease }

// A NotAckedError is what a write gets when fewer than Options.Ack replicas came
// within Options.MaxUnacked bytes of it in Options.AckTimeout, or before the node
// stopped being the master. The write stands and goes on being replicated; in the
// second case the next master decides what becomes of it.
type NotAckedError struct {
	Position backlog.Position // after the write
	Acked    int              // how many came as near; 0 if Over is set
	Need     int              // Options.Ack
	Over     error            // why the node has stopped waiting: [ErrRoleChanged], a [*FencedError] or [ErrClosed]; or nil
}

func (e *NotAckedError) Error() string {
	if e.Over != nil {
		return fmt.Sprintf("%v to %s, and now %v", ErrNotAcked, e.Position, strings.TrimPrefix(e.Over.Error(), "repl: "))
	}
	return fmt.Sprintf("%v to %s: %d of %d; the write stands", ErrNotAcked, e.Position, e.Acked, e.Need)
}

// Unwrap returns ErrNotAcked, and Over if that is set.
func (e *NotAckedError) Unwrap() []error {
	if e.Over != nil {
		return []error{ErrNotAcked, e.Over}
	}
	return []error{ErrNotAcked}
}
