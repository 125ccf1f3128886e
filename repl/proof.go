package repl

import (
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// Before Hello, the two ends of a link show each other that they know the same secret:
//
//	follower                                 upstream
//	   | magic, Challenge -----------------------> |
//	   | <----------------------- magic, Challenge |
//	   | Proof, one for each secret -------------> |
//	   | <------------------------- Proof, of that |  from here on all frames are sealed,
//	   | Hello ----------------------------------> |  unless the channel is TLS
//
// The follower goes first. Whoever gets a proof can test guesses with it, and those
// whom a node dials are fewer than those who can dial it.

const (
	proofBytes     = sha256.Size
	sealKeyBytes   = 16
	challengeBytes = 3 + 32
)

// What the outputs of the key schedule are for. No proof is good for the other end, no key
// for the other direction.
const (
	labelTranscript = "ember 1 handshake"
	labelFollower   = "ember 1 proof of the follower"
	labelUpstream   = "ember 1 proof of the upstream"
	labelUp         = "ember 1 key from the follower"
	labelDown       = "ember 1 key from the upstream"
	labelExporter   = "EXPORTER-ember-1"
)

// A challenge is the first thing that an end of a guarded link says. Its key is fresh
// for each connection, and so the nonce of the proof as well.
type challenge struct {
	versionMin, versionMax uint8
	bound                  bool // the sender's connection is TLS, and the proof can be bound to it
	key                    [32]byte
}

func (c *challenge) append(b []byte) []byte {
	return append(append(b, c.versionMin, c.versionMax, flag(c.bound)), c.key[:]...)
}

func parseChallenge(b []byte) (*challenge, error) {
	if len(b) < 2 || b[0] > b[1] {
		return nil, fmt.Errorf("%w: challenge of %d bytes", ErrProtocol, len(b))
	}
	c := &challenge{versionMin: b[0], versionMax: b[1]}
	switch {
	case c.versionMin > maxProtocol || c.versionMax < minProtocol: // the rest is not ours to read
		return nil, &VersionError{whatProtocol, int(c.versionMin), int(c.versionMax), minProtocol, maxProtocol}
	case len(b) != challengeBytes || b[2] > 1:
		return nil, fmt.Errorf("%w: challenge of %d bytes", ErrProtocol, len(b))
	}
	c.bound = b[2] == 1
	copy(c.key[:], b[3:])
	return c, nil
}

// A proving is one end's part in the proof.
type proving struct {
	private *ecdh.PrivateKey
	own     challenge
	channel []byte // what TLS says that is the same at both ends and nowhere else; nil without it
}

// newProving begins a proof on conn. If that is TLS, its handshake is over.
func newProving(l *link) (*proving, error) {
	private, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	p := &proving{private: private, channel: channelBinding(l)}
	p.own = challenge{versionMin: minProtocol, versionMax: maxProtocol, bound: p.channel != nil, key: [32]byte(private.PublicKey().Bytes())}
	return p, nil
}

// channelBinding returns what is the same at both ends of a TLS connection, and on no
// other; or nil if the connection is none, or too old a version to have it.
func channelBinding(l *link) []byte {
	conn, ok := l.conn.(interface{ ConnectionState() tls.ConnectionState })
	if !ok {
		return nil
	}
	state := conn.ConnectionState()
	if !state.HandshakeComplete {
		return nil
	}
	binding, err := state.ExportKeyingMaterial(labelExporter, nil, sha256.Size)
	if err != nil {
		return nil
	}
	return binding
}

// A schedule is what follows from one secret on one connection.
type schedule struct {
	follower, upstream []byte // the proofs
	up, down           []byte // the keys
}

// schedules returns what follows from each of the secrets, given what both ends have
// said. Everything that was said is in it: a change on the way, such as of the versions
// offered, makes every proof another.
func (p *proving) schedules(secrets []Secret, follower, upstream *challenge) ([]schedule, error) {
	theirs := follower
	if p.own == *follower {
		theirs = upstream
	}
	public, err := ecdh.X25519().NewPublicKey(theirs.key[:])
	if err != nil {
		return nil, fmt.Errorf("%w: challenge: %w", ErrProtocol, err)
	}
	shared, err := p.private.ECDH(public)
	if err != nil { // a key that makes every exchange come out the same
		return nil, fmt.Errorf("%w: challenge: %w", ErrProtocol, err)
	}
	transcript := sha256.New()
	transcript.Write([]byte(labelTranscript))
	for _, c := range []*challenge{follower, upstream} {
		body := c.append(nil)
		transcript.Write(binary.LittleEndian.AppendUint16(nil, uint16(len(body))))
		transcript.Write(body)
	}
	if follower.bound && upstream.bound {
		transcript.Write(p.channel)
	}
	salt := transcript.Sum(nil)
	var all []schedule
	for _, secret := range secrets {
		s, err := newSchedule(slices.Concat(shared, []byte(secret)), salt)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

func newSchedule(input, salt []byte) (s schedule, err error) {
	prk, err := hkdf.Extract(sha256.New, input, salt)
	if err != nil {
		return s, err
	}
	for _, out := range []struct {
		to    *[]byte
		label string
		size  int
	}{
		{&s.follower, labelFollower, proofBytes}, {&s.upstream, labelUpstream, proofBytes},
		{&s.up, labelUp, sealKeyBytes}, {&s.down, labelDown, sealKeyBytes},
	} {
		if *out.to, err = hkdf.Expand(sha256.New, prk, out.label, out.size); err != nil {
			return s, err
		}
	}
	return s, nil
}

// prove is the follower's part of the proof: it returns nil when the upstream has
// accepted one of the secrets and has shown that it knows it too.
func (l *link) prove(secrets []Secret) error {
	p, err := newProving(l)
	if err != nil {
		return err
	}
	if err := l.w.write(kindChallenge, p.own.append(nil), nil); err != nil {
		return refusedEarly(l, err)
	}
	if err := l.hearMagic(true); err != nil {
		return err
	}
	theirs, err := l.readAnswer()
	if err != nil {
		return err
	}
	if theirs.versionMin != theirs.versionMax {
		return fmt.Errorf("%w: challenge with versions %d to %d for an answer", ErrProtocol, theirs.versionMin, theirs.versionMax)
	}
	all, err := p.schedules(secrets, &p.own, theirs)
	if err != nil {
		return err
	}
	var proofs []byte
	for _, s := range all {
		proofs = append(proofs, s.follower...)
	}
	if err := l.w.write(kindProof, proofs, nil); err != nil {
		return err
	}
	answer, err := l.readProof()
	if brokenOff(err) {
		return fmt.Errorf("%w: %w", &AuthError{Reason: AuthRefused}, unexpected(err))
	}
	if err != nil {
		return err
	}
	for i, s := range all {
		if hmac.Equal(answer, s.upstream) {
			l.guard(i, s.up, s.down, p.own.bound && theirs.bound)
			return nil
		}
	}
	return &AuthError{Reason: AuthWrongSecret}
}

// readAnswer reads the upstream's challenge. A refusal is believed only if it is of the
// version: whoever gives another reason has not proved anything.
func (l *link) readAnswer() (*challenge, error) {
	l.r.takes = kindsOf(kindChallenge, kindRefuse)
	k, body, err := l.r.next()
	if err != nil {
		return nil, err
	}
	if k == kindChallenge {
		return parseChallenge(body)
	}
	if err := parseRefuse(body); errors.Is(err, ErrVersion) {
		return nil, err
	}
	return nil, &AuthError{Reason: AuthNoProof}
}

// examine is the upstream's part of the proof, from the follower's challenge on.
func (l *link) examine(secrets []Secret, body []byte) error {
	theirs, err := parseChallenge(body)
	if err != nil {
		return err
	}
	p, err := newProving(l)
	if err != nil {
		return err
	}
	p.own.versionMax = min(maxProtocol, theirs.versionMax)
	p.own.versionMin = p.own.versionMax
	l.w.begin()
	if err := l.w.write(kindChallenge, p.own.append(nil), nil); err != nil {
		return err
	}
	proofs, err := l.readProof()
	if err != nil {
		return err
	}
	all, err := p.schedules(secrets, theirs, &p.own)
	if err != nil {
		return err
	}
	i := matching(all, proofs)
	if i < 0 {
		return &AuthError{Reason: AuthWrongSecret}
	}
	if err := l.w.write(kindProof, all[i].upstream, nil); err != nil {
		return err
	}
	l.guard(i, all[i].down, all[i].up, p.own.bound && theirs.bound)
	return nil
}

// matching returns the first of the schedules that one of the follower's proofs is of,
// or -1. All are compared, so that the time it takes says nothing.
func matching(all []schedule, proofs []byte) int {
	found := -1
	for i := len(all) - 1; i >= 0; i-- {
		for theirs := range slices.Chunk(proofs, proofBytes) {
			if hmac.Equal(theirs, all[i].follower) {
				found = i
			}
		}
	}
	return found
}

// guard notes by which secret, counted from 0, the peer has proved itself, and seals
// what follows unless the channel does that.
func (l *link) guard(secret int, out, in []byte, channel bool) {
	l.secret = secret + 1
	if !channel {
		l.sealed = true
		l.w.seal, l.r.seal = newSeal(out), newSeal(in)
	}
}

// readProof reads the next message, which must be of proofs.
func (l *link) readProof() ([]byte, error) {
	l.r.takes = kindsOf(kindProof)
	_, body, err := l.r.next()
	if err != nil {
		return nil, err
	}
	if len(body) == 0 || len(body)%proofBytes != 0 {
		return nil, fmt.Errorf("%w: proofs of %d bytes", ErrProtocol, len(body))
	}
	return body, nil
}
