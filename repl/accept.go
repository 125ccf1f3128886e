package repl

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"time"

	"github.com/emberkv/ember/backlog"
)

// Serve accepts followers on ln until Close is called or ln is closed, and
// returns [ErrClosed] or ln's error. It closes ln. Any listener will do: TCP,
// TLS, a Unix socket, an in-process network. Serve may be called for several.
//
// A failing Accept, such as one without file descriptors, is tried again after
// a pause that grows from 5 ms to 1 s.
func (n *Node) Serve(ln net.Listener) error {
	defer ln.Close()
	s := &served{ln, ln.Addr().String()}
	if !n.addListener(s) {
		return ErrClosed
	}
	defer n.removeListener(s)
	var pause time.Duration
	for {
		conn, err := ln.Accept()
		switch {
		case err == nil:
			pause = 0
			n.accept(conn)
		case n.isLeaving():
			return ErrClosed
		case errors.Is(err, net.ErrClosed):
			return err
		default:
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			n.opts.Logger.Warn("accept failed", "addr", s.addr, "err", err, "retry", pause)
			select {
			case <-time.After(pause):
			case <-n.leaving:
				return ErrClosed
			}
		}
	}
}

// A served listener, by a pointer of our own: a program's may be of a type that no map
// takes for a key, nor == for an operand.
type served struct {
	net.Listener
	addr string
}

func (n *Node) addListener(s *served) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.mu.closed {
		return false
	}
	n.mu.listeners = append(n.mu.listeners, s)
	n.wg.Add(1)
	return true
}

func (n *Node) removeListener(s *served) {
	n.mu.Lock()
	defer n.mu.Unlock()
	i := slices.Index(n.mu.listeners, s)
	n.mu.listeners = slices.Delete(n.mu.listeners, i, i+1)
	n.wg.Done()
}

// errCrowded is why a connection is closed before it was heard to the end.
var errCrowded = errors.New("repl: too many others are in their handshake")

// accept takes a connection, if there is a place for it at the door.
func (n *Node) accept(conn net.Conn) {
	l := newLink(conn, n.opts.HandshakeTimeout, fromStranger)
	n.mu.Lock()
	goes := n.mu.door.admit(l)
	if goes != nil {
		n.mu.counters.Unheard++
	}
	n.mu.Unlock()
	if goes != nil {
		goes.close(errCrowded)
	}
	if goes != l && !n.start(func() { n.serve(l) }) {
		l.close(ErrClosed)
	}
}

// serve runs one accepted connection from its first byte to its end.
func (n *Node) serve(l *link) {
	l.peer.Addr = remote(l.conn)
	n.mu.Lock()
	n.mu.accepted[l] = struct{}{}
	closed := n.mu.closed
	n.mu.Unlock()
	if closed { // before Close could find the link
		l.close(ErrClosed)
	}
	// One bound for the whole handshake; the frames' own would add up.
	limit := time.AfterFunc(n.opts.HandshakeTimeout, func() { l.close(ErrTimeout) })
	reader, refusal, err := n.welcome(l)
	if err != nil {
		err = l.because(err) // not the reason for which a penalty ends
	}
	if wrong := (*AuthError)(nil); errors.As(err, &wrong) && wrong.Reason == AuthWrongSecret {
		n.penalize(l)
	}
	limit.Stop()

	n.mu.Lock()
	n.mu.door.leave(l)
	n.mu.Unlock()
	if err == nil {
		err = newFeed(n, l, reader, refusal).run()
	} else {
		err = linkError("handshake", l.peer, err)
		n.turnedAway(l.peer, err)
	}
	l.close(err)
	n.mu.Lock()
	delete(n.mu.accepted, l)
	n.mu.Unlock()
}

// turnedAway takes down that the handshake with p has failed, and tells the program.
func (n *Node) turnedAway(p Peer, err error) {
	if errors.Is(err, errCrowded) {
		return // it is counted, and there may be thousands
	}
	level := slog.LevelInfo
	n.count(func(c *Counters) {
		c.Handshakes++
		if errors.Is(err, ErrAuth) {
			c.Unproved++
		}
		level = tellOnce(&n.mu.told, err)
	})
	n.opts.Logger.Log(context.Background(), level, "handshake failed", "peer", p.Addr, "err", err)
	if f := n.opts.Events.Refused; f != nil {
		f(p, err)
	}
}

// hear reads the follower's Hello, after its proof if this node has secrets. What is
// nothing of that gets no answer. Of versions that this node does not speak it returns
// ErrVersion, which may be told.
func (n *Node) hear(l *link) (*hello, error) {
	if err := l.r.readMagic(); err != nil {
		return nil, err
	}
	k, body, err := l.r.next()
	secrets := n.presentSecrets()
	switch {
	case err != nil:
		return nil, err
	case k == kindHello && len(secrets) > 0:
		return nil, &AuthError{Reason: AuthNoProof}
	case k == kindHello:
		return takeHello(l, body)
	case len(secrets) == 0:
		return nil, &AuthError{Reason: AuthNoSecret}
	}
	if err := l.examine(secrets, body); err != nil {
		return nil, err
	}
	l.r.takes = kindsOf(kindHello)
	return readHello(l, kindHello)
}

// welcome is the upstream's half of the handshake. It returns a reader at the
// follower's end, or the reason why there can be none.
func (n *Node) welcome(l *link) (*backlog.Reader, backlog.Refusal, error) {
	h, err := n.hear(l)
	if err != nil && !errors.Is(err, ErrVersion) {
		return nil, 0, err // a stranger gets no answer
	}
	if l.secret == 0 { // else it was said before the proof
		if err := l.w.writeMagic(); err != nil {
			return nil, 0, err
		}
	}
	if err == nil {
		err = n.agree(h)
	}
	if err == nil && n.follows(h.id) {
		err = fmt.Errorf("%w: %s is upstream of %s", ErrCycle, l.peer.Name, n.opts.Name)
	}
	if err == nil {
		err = canRead(h)
	}
	if err == nil && !n.hasData() {
		err = ErrNotReady
	}
	if err == nil && n.isFull(h.id) {
		err = ErrBusy
	}
	if err == nil {
		err = n.rank(l, h)
	}
	if err != nil {
		l.refuse(err)
		return nil, 0, err
	}
	reader, refusal := n.compare(h)
	if refusal == backlog.AheadOfFork && n.isBehind(h) {
		l.refuse(ErrBehind)
		return nil, 0, ErrBehind
	}
	own := n.hello()
	own.versionMax = min(maxProtocol, h.versionMax)
	own.versionMin = own.versionMax
	packs := own.packing.choose(h.packing)
	own.packing = own.packing.with(packs)
	if err := l.w.write(kindWelcome, own.append(nil), nil); err != nil {
		return nil, 0, err
	}
	l.told = own.lineage.Current
	takes := fromFollower
	if refusal == backlog.AheadOfFork {
		takes |= kindsOf(kindTail)
	}
	l.settle(n.opts, takes)
	l.packs, l.w.packs = packs, packs // only the way down is packed
	return reader, refusal, nil
}

// compare looks for the follower's end in the log, and at whether it has the same bytes up
// to there.
func (n *Node) compare(h *hello) (*backlog.Reader, backlog.Refusal) {
	reader, refusal := n.log.Continue(h.lineage, h.end)
	if refusal != backlog.Accepted {
		return nil, refusal
	}
	switch n.log.Confirm(h.end, h.sum) {
	case backlog.Differs:
		n.opts.Logger.Warn("other bytes at the same place", "peer", h.name, "at", backlog.Position{History: h.lineage.Current, Offset: h.end})
		return nil, backlog.OtherBytes
	case backlog.Unknown:
		if h.end > 0 {
			n.count(func(c *Counters) { c.Unconfirmed++ })
		}
	}
	return reader, backlog.Accepted
}

// rank lets the epochs of both ends of l decide whether this one may be the upstream. A
// master that learns so of a higher one does not remain that.
func (n *Node) rank(l *link, h *hello) error {
	if l.related = n.relates(h); !l.related {
		return nil
	}
	err := n.heed(h.heard, l.peer.Name)
	if err == nil {
		err = n.outranked(h)
	}
	if errors.Is(err, ErrLowerEpoch) && n.isBehind(h) {
		return ErrBehind
	}
	return err
}

// isBehind reports whether this node is a replica whose log is the beginning of the
// follower's. What the follower has more will come to this node as well, or be left
// behind by a promotion. It is not for a copy from here to drop it. Only if the follower
// has gone on in a history that this node does not know of, though it has all that its
// own upstream has, is that history another one's and not on its way here.
func (n *Node) isBehind(h *hello) bool {
	up := n.tenure().up
	if up == nil {
		return false
	}
	lineage, end := n.log.Lineage(), n.log.End()
	if common, ok := h.lineage.Common(h.end, lineage, end); !ok || common < end {
		return false
	}
	return h.lineage.Current == lineage.Current || !up.isSynced()
}

// readHello reads a Hello or a Welcome.
func readHello(l *link, want kind) (*hello, error) {
	k, body, err := l.r.next()
	switch {
	case err != nil:
		return nil, err
	case k == kindRefuse && want == kindWelcome:
		return nil, parseRefuse(body)
	case k != want:
		return nil, fmt.Errorf("%w: %v where %v was due", ErrProtocol, k, want)
	}
	return takeHello(l, body)
}

// takeHello takes down who the peer is, by its Hello or Welcome.
func takeHello(l *link, body []byte) (*hello, error) {
	h, err := parseHello(body)
	if err != nil {
		return nil, err
	}
	l.with = h
	// They end up in logs, errors and JSON.
	name, announce := printable(l.with.name, ""), printable(l.with.announce, "")
	l.peer.ID, l.peer.Name, l.peer.Priority = l.with.id, name, int(l.with.priority)
	l.peer.Listen = reachable(announce, l.conn)
	return h, nil
}
