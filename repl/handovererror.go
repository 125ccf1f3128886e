package repl

import (
	"fmt"
	"strings"
)

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
