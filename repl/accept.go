package repl

import (
	"errors"
	"fmt"
	"net"

	"github.com/emberkv/ember/backlog"
)

// Serve accepts followers, and control links, on ln until Close is called or ln is closed, and
// returns [ErrClosed] or ln's error. It closes ln. Any listener will do: TCP,
// TLS, a Unix socket, an in-process network. Serve may be called for several listeners.
//
// An Accept that fails, for want of file descriptors, say, is tried again after
// a pause that grows from 5 ms to 1 s.
func (n *Node) Serve(ln net.Listener) error { return n.take(ln) }

// greeted returns what is to be done on a link when its handshake is over.
func (n *Node) greeted(l *link) (serve func() error, err error) {
	k, body, err := n.hear(l)
	if err == nil && k == kindControl {
		return n.beAsked(l, body)
	}
	var h *hello
	if err == nil {
		h, err = takeHello(l, body)
	}
	if err != nil && !errors.Is(err, ErrVersion) {
		return nil, err // a stranger gets no answer
	}
	reader, refusal, err := n.welcome(l, h, err)
	if err != nil {
		return nil, err
	}
	return newFeed(n, l, reader, refusal).run, nil
}

// welcome is the upstream's half of the handshake, from the follower's Hello on, or why that
// was not understood. It returns a reader at the follower's end, or the reason why there can be none.
func (n *Node) welcome(l *link, h *hello, err error) (*backlog.Reader, backlog.Refusal, error) {
	if l.secret == 0 { // else it was said before the proof
		l.w.begin()
	}
	if err == nil {
		err = n.agree(h)
	}
	if err == nil && n.follows(h.id) {
		err = fmt.Errorf("%w: the node with the id of %s is upstream of %s", ErrCycle, l.peer.Name, n.opts.Name)
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
	if n.spares(h, refusal) {
		l.refuse(ErrBehind)
		return nil, 0, ErrBehind
	}
	if refusal == backlog.AheadOfFork && h.lineage.Current == n.log.Lineage().Current {
		if err := n.relapse(h); err != nil {
			l.refuse(err)
			return nil, 0, err
		}
	}
	own := n.hello()
	own.versionMax = min(maxProtocol, h.versionMax)
	own.versionMin = own.versionMax
	packs := own.packing.choose(h.packing)
	own.packing = own.packing.with(packs)
	if err := l.w.write(kindWelcome, own.append(nil), nil); err != nil {
		if reader != nil {
			reader.Close()
		}
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
	switch reader.Confirm(h.sum) {
	case backlog.Differs:
		reader.Close()
		n.opts.Logger.Warn("other bytes at the same place", "peer", h.name, "at", backlog.Position{History: h.lineage.Current, Offset: h.end})
		return nil, backlog.OtherBytes
	case backlog.Unknown:
		if h.end > 0 {
			n.count(func(c *Counters) { c.Unconfirmed++ })
		}
	}
	return reader, backlog.Accepted
}

// spares reports whether the follower h, which cannot go on with this node's log, must for now keep what
// it has beyond that. A master that was only started as one, and has no lease yet, may have an old
// state: its sentinels decide who goes on with what.
func (n *Node) spares(h *hello, refusal backlog.Refusal) bool {
	switch refusal {
	case backlog.AheadOfFork:
		return n.isBehind(h) || n.awaitsLease()
	case backlog.OtherBytes:
		return n.awaitsLease()
	}
	return false
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

// takeHello notes who the peer is, by its Hello or Welcome.
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
