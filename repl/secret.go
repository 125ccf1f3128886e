package repl

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
)

// Limits of Options.Secrets.
const (
	MinSecretBytes = 16
	MaxSecrets     = 4
)

// A Secret is what the nodes of a group know and nobody else does. It never goes over a
// connection, only proofs of knowing it; whoever sees a proof can guess secrets and check the
// guesses, as fast as their machines let them. So it must be random, as from [NewSecret] or
// "openssl rand -hex 32", and not a word that somebody has thought of.
//
// However it is printed, logged or encoded as text, it is "(secret)".
type Secret string

// NewSecret returns a secret of 32 random bytes, as 64 hexadecimal digits.
func NewSecret() Secret {
	var b [32]byte
	rand.Read(b[:])
	return Secret(hex.EncodeToString(b[:]))
}

const redacted = "(secret)"

// String returns "(secret)".
func (Secret) String() string { return redacted }

// Format writes "(secret)", whatever the verb.
func (Secret) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

// MarshalText returns "(secret)".
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Security says who may connect. See "Who may connect" in PROTOCOL.md for what that
// promises with a [TLS] transport, without one, and with neither.
type Security struct {
	// Secrets, if there are any, are those of which both ends of every link of this node
	// must have one in common, which they prove to each other before anything else is
	// said. A node with secrets has no link to one without. At most 4, the newest first,
	// each of at least 16 bytes. Over a transport without TLS they also encrypt the
	// link.
	//
	// The default, nil, lets in whoever can connect. A list that is empty and not nil is
	// refused: somebody meant to have one. [Node.SetSecrets] gives a node that runs others.
	Secrets []Secret
}

// check returns the first of the secrets' faults. It never shows one.
func checkSecrets(secrets []Secret) error {
	if secrets != nil && len(secrets) == 0 || len(secrets) > MaxSecrets {
		return &OptionError{Field: "len(Secrets)", Value: len(secrets), Want: "1 to 4, or nil for none"}
	}
	for i, s := range secrets {
		if len(s) < MinSecretBytes {
			return &OptionError{Field: fmt.Sprintf("len(Secrets[%d])", i), Value: len(s), Want: "at least 16 bytes"}
		}
	}
	return nil
}

// SetSecrets replaces Options.Secrets. It applies to handshakes that begin from now on; links
// that are up stay up, with keys of their own. So a group changes its secret without losing a
// link or a second: give every node the new one and the old one, and when all have both, the
// new one alone. A node that had no secrets may be given some, and from then on refuses peers
// without. Removing the last one takes a new node.
//
// It may be called at any time and concurrently, and returns an [*OptionError].
func (n *Node) SetSecrets(secrets []Secret) error { return n.setSecrets(secrets) }
