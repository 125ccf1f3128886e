package repl

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/emberkv/ember/backlog"
)

// A standing is the highest epoch that a node has heard of in its group.
type standing struct {
	epoch backlog.Epoch
	over  bool // the node that began it follows another now: nobody writes in it any more
}

// above reports whether s says more than t: a higher epoch, or that the same is over.
func (s standing) above(t standing) bool {
	c := s.epoch.Compare(t.epoch)
	return c > 0 || c == 0 && s.over && !t.over
}

// standing returns the highest epoch that the node has heard of, which is never below its
// log's.
func (n *Node) standing() standing {
	s := standing{epoch: n.log.Lineage().Epoch}
	if h := n.heard.Load(); h != nil && h.above(s) {
		return *h
	}
	return s
}

// raise records s if it says more than what the node has heard so far.
func (n *Node) raise(s standing) {
	for {
		h := n.heard.Load()
		if h != nil && !s.above(*h) || n.heard.CompareAndSwap(h, &s) {
			return
		}
	}
}

// heed notes what the node called by, which is of the same group, has heard, and acts
// on it. A master of a lower epoch either begins one above, if nobody writes in the one
// that it has heard of, or stops writing. The error is [ErrBusy] while it cannot do so,
// because its role is just being changed.
func (n *Node) heed(s standing, by string) error {
	if s.above(n.standing()) {
		n.raise(s)
	}
	return n.obey(by)
}

// obey is heed for what was recorded already.
func (n *Node) obey(by string) error {
	for {
		t, s := n.tenure(), n.standing()
		if t == nil || t.role != RoleMaster || s.epoch.Compare(n.log.Lineage().Epoch) <= 0 {
			return nil
		}
		if !s.over {
			n.stepDown(t, &FencedError{Epoch: s.epoch, By: by})
			return nil
		}
		if err := n.outbid(t); err != nil {
			return err
		}
	}
}

// outbid begins a history of an epoch above one that is over, in the midst of t.
func (n *Node) outbid(t *tenure) error {
	select {
	case n.changing <- struct{}{}:
	default:
		return ErrBusy
	}
	defer func() { <-n.changing }()
	if s := n.standing(); t.valid() == nil && s.over {
		n.beginEpoch(0)
		n.opts.Logger.Info("epoch", "epoch", n.log.Lineage().Epoch, "above", s.epoch)
	}
	return nil
}

// relapse begins a new history on a master whose follower h has more of the present one than the master
// itself: that has been put back to an older state, perhaps from a backup, and what it writes would get
// offsets that already mean something. It does so once in a tenure, as a follower may lie.
// The error is [ErrBusy] while its role is just being changed.
func (n *Node) relapse(h *hello) error {
	t := n.tenure()
	if t.role != RoleMaster || t.relapsed.Load() {
		return nil
	}
	select {
	case n.changing <- struct{}{}:
	default:
		return ErrBusy
	}
	defer func() { <-n.changing }()
	if t.valid() != nil || !t.relapsed.CompareAndSwap(false, true) {
		return nil
	}
	was := n.log.Position()
	n.beginEpoch(0)
	n.opts.Logger.Warn("a follower has more of this history than this node, which begins a new one: an older state was put back",
		"peer", h.name, "there", backlog.Position{History: was.History, Offset: h.end}, "here", was)
	return nil
}

// mayBegin returns [ErrLowerEpoch] if the node has heard of an epoch with this counter, or a
// higher one, and so cannot begin that one. 0 stands for one above all.
func (n *Node) mayBegin(counter uint64) error {
	if heard := n.standing().epoch; counter != 0 && heard.Counter >= counter {
		return fmt.Errorf("%w: %d, and this node has heard of %s", ErrLowerEpoch, counter, heard)
	}
	return nil
}

// beginEpoch begins a history of this node, in the epoch with this counter, or with 0 in one
// above all that it has heard of.
func (n *Node) beginEpoch(counter uint64) {
	own := n.standing().epoch.Next(n.opts.ID)
	if counter != 0 {
		own.Counter = counter
	}
	n.log.Begin(backlog.NewHistory(), own) // first: a node that has heard of it and is not in it steps down
	n.raise(standing{epoch: own})
}

// yield notes that the epoch that this node began is over, when its gate is closed.
func (n *Node) yield() {
	if s := n.standing(); s.epoch.Node == n.opts.ID {
		n.raise(standing{s.epoch, true})
	}
}

// isEpochEmpty reports whether nothing was written in the epoch of the log.
func (n *Node) isEpochEmpty() bool {
	lineage := n.log.Lineage()
	return len(lineage.Earlier) > 0 && lineage.Earlier[0].End == n.log.End()
}

// stepDown closes the gate, for ever as far as t is concerned, and sees to it that the node
// becomes a replica of nobody: somebody else may be writing, and whom to follow only the
// program can tell.
func (n *Node) stepDown(t *tenure, why *FencedError) {
	if !t.fenced.CompareAndSwap(false, true) {
		return
	}
	t.why.Store(why)
	n.gate.change(func(r *causes) {
		if n.tenure() == t {
			r.fence = why
		}
	})
	close(t.outranked)
	n.start(func() { n.abdicate(t, why) }) // whoever has the turn may be waiting for this link
}

// abdicate makes a master that has stepped down a replica of nobody.
func (n *Node) abdicate(t *tenure, why *FencedError) {
	done, err := n.change(n.ctx, t)
	if err != nil {
		return
	}
	defer done()
	up := newUpstream(n, "", 0)
	up.mu.tries.last, up.orphan = failure{why, time.Now()}, why // its data are of no known age: another one writes, since whenever
	next := n.newTenure(RoleReplica, up)
	if n.succeed(t, next) == nil {
		n.tell(RoleChange{Role: RoleReplica, Position: n.log.Position(), Err: why})
	}
}

// relates reports whether a node that has said h shares a history with this one. Others'
// epochs are none of this node's.
func (n *Node) relates(h *hello) bool {
	lineage, end := n.log.Lineage(), n.log.End()
	_, ok := lineage.Common(end, h.lineage, h.end)
	return ok
}

// outranked returns [ErrLowerEpoch] if the log of a follower that has said h is of a higher
// epoch than this node's. What that has must not be replaced by what is here.
func (n *Node) outranked(h *hello) error {
	if own := n.log.Lineage().Epoch; own.Compare(h.lineage.Epoch) < 0 {
		return fmt.Errorf("%w: %s, follower is of %s", ErrLowerEpoch, own, h.lineage.Epoch)
	}
	return nil
}

// rank is the follower's half of [Node.rank]: it returns [ErrLowerEpoch] for an upstream
// whose log is of a lower epoch than this node's, and for one that has not heard of what
// this node has, though it was told.
func (u *upstream) rank(l *link, h *hello) error {
	n := u.node
	if l.related, l.theirs = n.relates(h), h.heard; !l.related {
		return nil
	}
	if own := n.log.Lineage().Epoch; h.lineage.Epoch.Compare(own) < 0 {
		return fmt.Errorf("%w: %s there, %s here", ErrLowerEpoch, h.lineage.Epoch, own)
	}
	return n.ranks(l)
}

// ranks notes what the upstream has told last. It returns [ErrLowerEpoch] if this node
// has heard of a higher epoch, from whomever and even just now: what comes from such an
// upstream is not taken any more.
func (n *Node) ranks(l *link) error {
	if !l.related {
		return nil
	}
	if own := n.standing().epoch; l.theirs.epoch.Compare(own) < 0 {
		return fmt.Errorf("%w: it has heard of %s, this node of %s", ErrLowerEpoch, l.theirs.epoch, own)
	}
	return n.heed(l.theirs, l.peer.Name)
}

// ranks is [Node.ranks] for the session's link, which it refuses.
func (s *session) ranks() error {
	err := s.up.node.ranks(s.link)
	if err != nil {
		s.link.refuse(err)
	}
	return err
}

// share notes that this node holds the upstream's state from now on. What it has heard
// of in another group means nothing in this one.
func (s *session) share() {
	n := s.up.node
	if !s.link.related {
		n.heard.Store(new(standing)) // not nil: see feed.heard
		s.link.related = true
	}
	if told := (standing{epoch: n.log.Lineage().Epoch}); told.above(s.link.theirs) {
		s.link.theirs = told
	}
	n.raise(s.link.theirs)
}

// overBit is beside the counter of a standing on the wire, which has no use for it.
const overBit = 1 << 63

const standingBytes = backlog.EpochBytes

func (s standing) append(b []byte) []byte {
	e := s.epoch
	if s.over {
		e.Counter |= overBit
	}
	b, _ = e.AppendBinary(b)
	return b
}

// parseStanding reads what append wrote, at the beginning of b, which has as many bytes.
func parseStanding(b []byte) (s standing, err error) {
	var raw [standingBytes]byte
	copy(raw[:], b)
	if s.over = raw[7]&0x80 != 0; s.over {
		binary.LittleEndian.PutUint64(raw[:], binary.LittleEndian.Uint64(raw[:])&^overBit)
	}
	if s.epoch, _, err = backlog.CutEpoch(raw[:]); err != nil || s.over && s.epoch.IsZero() {
		return standing{}, fmt.Errorf("%w: epoch % x", ErrProtocol, b[:standingBytes])
	}
	return s, nil
}
