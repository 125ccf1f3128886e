package repl

import (
	"errors"
	"fmt"
	"net"
	"strings"
)

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

// An AuthReason says why a link ended before, or without, a proof, or after one by a forgery.
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
	// AuthRefused means that the upstream closed the connection when it had this node's
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

// An AuthError says why a peer was not let in, or did not let this node in. The peer is told
// nothing.
type AuthError struct {
	Reason AuthReason
}

func (e *AuthError) Error() string { return fmt.Sprintf("%v: %v", ErrAuth, e.Reason) }

// Unwrap returns ErrAuth.
func (e *AuthError) Unwrap() error { return ErrAuth }

// A LinkError says where on a link something went wrong.
type LinkError struct {
	Op   string // "dial", "handshake"; of a follower "follow", "load", "repair", "apply"; of an upstream "serve", "copy", "dump"; of a [Control] "control"
	Peer string // address, and name if known
	Err  error
}

func (e *LinkError) Error() string {
	return fmt.Sprintf("repl: %s %s: %s", e.Op, e.Peer, strings.TrimPrefix(e.reason(), "repl: "))
}

// reason returns the cause's text, without what package net says again: the operation, the peer's
// address, and this end's, which is another each time. An address that the peer's was resolved to stays.
func (e *LinkError) reason() string {
	text := e.Err.Error()
	var op *net.OpError
	if !errors.As(e.Err, &op) {
		return text
	}
	short := op.Err.Error()
	if bad := (*net.AddrError)(nil); errors.As(op.Err, &bad) {
		short = bad.Err
	}
	if op.Op != e.Op && !strings.HasPrefix(short, op.Op+": ") {
		short = op.Op + ": " + short
	}
	if op.Addr != nil {
		if at := op.Addr.String(); e.Peer != at && !strings.HasPrefix(e.Peer, at+" ") {
			short = at + ": " + short
		}
	}
	return strings.Replace(text, op.Error(), short, 1)
}

// Unwrap returns the cause.
func (e *LinkError) Unwrap() error { return e.Err }

// A RefusedError is an upstream's or a follower's refusal, or its farewell, with what it
// says besides the reason.
type RefusedError struct {
	Peer string // address, and name if known, of the one that refuses a request on a [Control] link; else empty: a [*LinkError] around this one names the peer
	Err  error  // of this package, such as [ErrBusy]
	Text string // in the peer's words, so "here" is where the peer is; on one line, may be empty
}

func (e *RefusedError) Error() string {
	text := strings.TrimPrefix(e.Err.Error(), "repl: ")
	switch {
	case e.Peer != "":
		text = "refused by " + e.Peer + ": " + text
	case !anyOf(e.Err, ErrPeerClosed, ErrPeerLeft): // that say what the peer does
		text = "refused by the peer: " + text
	}
	text = "repl: " + text
	if _, said := e.Err.(*VersionError); e.Text == "" || said {
		return text
	}
	return text + ", in its words: " + strings.TrimPrefix(e.Text, "repl: ")
}

// Unwrap returns the reason.
func (e *RefusedError) Unwrap() error { return e.Err }

// A wipeError is [ErrEmptyMaster], and [ErrForeign] to those who do not tell them apart.
type wipeError struct{}

func (wipeError) Error() string   { return ErrEmptyMaster.Error() }
func (wipeError) Unwrap() []error { return []error{ErrEmptyMaster, ErrForeign} }
