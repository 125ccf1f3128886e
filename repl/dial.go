package repl

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/emberkv/ember/internal/pack"
)

// connect dials and shakes hands.
func (u *upstream) connect(ctx context.Context, addr string) (*link, error) {
	u.mu.Lock()
	u.mu.state = LinkConnecting
	u.mu.tries.begin()
	u.mu.Unlock()
	o := u.node.opts
	l, err := dial(ctx, o.Transport, o.HandshakeTimeout, Peer{Addr: addr, Upstream: true}, fromDialed, u.greet)
	if err != nil {
		return nil, err
	}
	l.settle(o, fromUpstream)
	u.mu.Lock()
	u.mu.link.meet(l)
	u.mu.Unlock()
	u.setPath([]NodeID{l.peer.ID}) // the first heartbeat brings the rest
	return l, nil
}

// dial connects to a peer's address and shakes hands, within patience and before ctx ends. What
// comes is limited to takes until greet, the dialling end's half of the handshake, says otherwise.
// An error is a [*LinkError].
func dial(ctx context.Context, t Transport, patience time.Duration, peer Peer, takes kindSet, greet func(*link) error) (*link, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := t.Dial(ctx, peer.Addr)
	if err != nil {
		return nil, linkError("dial", peer, err)
	}
	l := newLink(conn, patience, takes)
	l.peer = peer
	stop := context.AfterFunc(ctx, func() { l.close(ctx.Err()) }) // linkError names it
	err = greet(l)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		err = linkError("handshake", l.peer, l.because(err))
		l.close(err)
		return nil, err
	}
	return l, nil
}

// greet is the follower's half of the handshake.
func (u *upstream) greet(l *link) error {
	secrets := u.node.presentSecrets()
	if err := l.open(secrets); err != nil {
		return err
	}
	own := u.node.hello()
	if sum, err := u.node.log.Sum(own.end); err == nil {
		own.sum = sum
	}
	if err := l.w.write(kindHello, own.append(nil), nil); err != nil {
		return refusedEarly(l, err)
	}
	if len(secrets) == 0 {
		if err := l.hearMagic(false); err != nil {
			return err
		}
	}
	l.r.takes = fromDialed
	h, err := readHello(l, kindWelcome)
	if err != nil {
		return err
	}
	err = u.node.agree(h)
	if err == nil && h.versionMin != h.versionMax {
		err = fmt.Errorf("%w: welcome with versions %d to %d", ErrProtocol, h.versionMin, h.versionMax)
	}
	if err == nil {
		err = u.rank(l, h)
	}
	if packs := h.packing.named(); err == nil && packs != pack.None {
		if !u.node.opts.packing().reads(packs) {
			err = fmt.Errorf("%w: welcome with compression %d, which cannot be read here", ErrProtocol, packs)
		}
		l.packs, l.r.packs = packs, packs
	}
	if err != nil {
		l.refuse(err)
	}
	return err
}

// open is how the dialling end begins: with what it says next, or with the proof if there are
// secrets.
func (l *link) open(secrets []Secret) error {
	if len(secrets) == 0 {
		l.w.begin()
		return nil
	}
	if err := l.w.writeMagic(); err != nil {
		return refusedEarly(l, err)
	}
	return l.prove(secrets)
}

// hearMagic reads what an upstream says first, if it answers at all.
func (l *link) hearMagic(proving bool) error {
	err := l.r.readMagic()
	switch {
	case brokenOff(err) && proving:
		err = fmt.Errorf("closed without an answer; it may be no node, or one that expects TLS, or has no secrets: %w", unexpected(err))
	case brokenOff(err):
		err = fmt.Errorf("closed without an answer; it may be no node, or one that expects TLS, or a secret: %w", unexpected(err))
	}
	return err
}

// refusedEarly returns why the upstream has closed the link before it had the whole
// Hello, if it said so, in place of the error that writing to a closed link gives.
// An upstream that wants another certificate does that.
func refusedEarly(l *link, sent error) error {
	if errors.Is(sent, os.ErrDeadlineExceeded) {
		return sent // it lives, but takes nothing
	}
	l.r.timeout = lastWordPatience
	if err := l.r.readMagic(); refusesCertificate(err) {
		return err
	}
	return sent
}
