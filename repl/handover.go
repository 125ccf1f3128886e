package repl

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/emberkv/ember/backlog"
)

// A handover gives a master's writing to one of its replicas. PROTOCOL.md, Handover, has
// the two state machines and says why no moment of it has two writers.
//
//	          near          pause, Prepare          Ready            Commit
//	(master) ------> (close) --------------> asked ------> promised -------> committed
//	    ^                                      |              |                  | Promoted: (replica)
//	    +--------------------------------------+--------------+------------------+ doubt:    (replica)
//	              whatever goes wrong: writers go on                refused, or it came back as a replica
//
// It has the node's turn to change the role, from the beginning to the end.
type handover struct {
	n      *Node
	from   *tenure
	feed   *feed
	to     Peer
	resume func() // lets the writers go that are held up; set by run
	began  time.Time
	step   atomic.Uint32 // a HandoverStep, for Status

	back chan struct{} // capacity 1: a token when the replica is heard to follow again; see replicaIsBack
}

// nearBytes is how far behind the replica may be when writers are held up for it: what
// takes a few milliseconds. One that never comes so near holds up nobody.
const nearBytes = 256 << 10

// handover hands the role of from over to the follower called replica.
func (n *Node) handover(ctx context.Context, from *tenure, replica string) (*tenure, error) {
	if _, ok := ctx.Deadline(); !ok {
		return nil, ErrNoDeadline
	}
	done, err := n.change(ctx, from)
	if err != nil {
		return nil, err
	}
	defer done()
	f, err := n.follower(replica)
	if err != nil {
		return nil, err
	}
	h := &handover{n: n, from: from, feed: f, to: f.link.peer, began: time.Now(), back: make(chan struct{}, 1)}
	n.handing.Store(h)
	defer n.handing.Store(nil)
	next, err := h.run(ctx)
	if err != nil {
		n.opts.Logger.Warn("handover failed", "to", h.to.Name, "err", err)
	}
	return next, err
}

// leased returns a [*LeaseError] for a master that writes by a lease, and does not hold it. What others
// have may be handed on by nobody: sentinels may be promoting another node, in an epoch that leaves room for
// that of one handover by the master whom they have leased to, and no more.
func (n *Node) leased() error {
	if n.gate.lease == nil {
		return nil
	}
	return n.gate.lease.lapsed()
}

// follower returns the feed of the follower that can take the writing over and is called
// so: by its id, or by its name if no other has that.
func (n *Node) follower(name string) (*feed, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	var found *feed
	for id, f := range n.mu.feeds {
		if id.String() == name {
			found = f
			break
		}
		if f.link.peer.Name != name {
			continue
		}
		if found != nil {
			return nil, fmt.Errorf("%w: %q is the name of several", ErrNoFollower, name)
		}
		found = f
	}
	if found == nil {
		return nil, fmt.Errorf("%w: %q", ErrNoFollower, name)
	}
	return found, nil
}

// run is the handover up to the point at which its outcome is known.
func (h *handover) run(ctx context.Context) (*tenure, error) {
	err := h.n.leased()
	if err == nil {
		err = h.near(ctx)
	}
	if err != nil {
		return nil, h.failed(StepNear, err)
	}
	h.step.Store(uint32(StepPrepare))
	h.resume = h.n.gate.pause()
	defer h.resume()
	o := h.newOrder(ctx)
	ready, err := h.prepare(ctx, o)
	if err == nil {
		err = h.n.leased()
	}
	if err != nil {
		return nil, h.failed(StepPrepare, err)
	}
	h.step.Store(uint32(StepCommit))
	switch promoted, err := h.commit(o, ready); {
	case promoted:
		return h.follow(nil)
	case errors.Is(err, ErrInDoubt):
		return h.follow(h.failed(StepCommit, err))
	default:
		return nil, h.failed(StepCommit, err)
	}
}

// A HandoverStatus describes a handover that is under way.
type HandoverStatus struct {
	To   string        `json:"to"`   // name of the replica
	Step HandoverStep  `json:"step"` // the present one
	Took time.Duration `json:"took_ns"`
}

// status returns how far h has come; nil for a nil h.
func (h *handover) status() *HandoverStatus {
	if h == nil {
		return nil
	}
	return &HandoverStatus{To: h.feed.link.peer.Name, Step: HandoverStep(h.step.Load()), Took: time.Since(h.began)}
}

func (h *handover) failed(step HandoverStep, err error) error {
	if err == ErrRoleChanged || err == ErrClosed {
		return err
	}
	return &HandoverError{To: h.to.Name, Step: step, Err: err}
}

// near waits until the replica has almost everything.
func (h *handover) near(ctx context.Context) error {
	a, gone := h.n.acks, false
	err := a.wait(ctx, h.from, func() bool {
		gone = h.feed.retired || h.from.fenced.Load()
		has := a.mu.applied[h.to.ID]
		return gone || has.feed == h.feed && has.offset+nearBytes >= h.n.log.End()
	})
	if err == nil && gone {
		err = h.gone()
	}
	return err
}

// gone returns why the replica, or the role, is lost.
func (h *handover) gone() error {
	if err := h.n.gate.fenced(); err != nil {
		return err
	}
	select {
	case <-h.feed.link.closed:
		if err := h.feed.link.cause; err != nil {
			return err
		}
	default:
	}
	return ErrLinkLost
}

// newOrder returns the order to take over what the log has now, when writers are held up.
// It is valid for a quarter of what is left of the time, and what has to be waited for
// is over before the end of it; see commit.
func (h *handover) newOrder(ctx context.Context) *order {
	deadline, _ := ctx.Deadline()
	left := max(time.Until(deadline), 0)
	return &order{
		id: h.n.orders.Add(1), end: h.n.log.Position(),
		valid: max(left/4, time.Millisecond).Truncate(time.Millisecond), patience: left / 2,
		armed: h.n.lease.isArmed(),
	}
}

// prepare asks the replica whether it will take over, when it has applied everything, and
// returns when the answer came.
func (h *handover) prepare(ctx context.Context, o *order) (ready time.Time, err error) {
	patience := time.NewTimer(o.patience)
	defer patience.Stop()
	p := o.part(kindPrepare)
	defer p.withdraw()
	for orders := h.feed.orders; ; {
		select {
		case orders <- p:
			orders = nil
		case a := <-h.feed.answers:
			switch {
			case a.order != o.id || a.kind != kindReady:
			case !a.yes:
				return ready, ErrDeclined
			case h.n.log.Position() != o.end:
				return ready, backlog.ErrReset // replaced behind the gate's back
			case a.at == "":
				return ready, fmt.Errorf("%w: it does not say where it can be reached", ErrNoFollower)
			default:
				h.to.Listen = a.at
				return time.Now(), nil
			}
		case <-h.feed.over:
			return ready, h.gone()
		case <-h.from.outranked:
			return ready, h.gone()
		case <-h.from.ctx.Done():
			return ready, h.from.valid()
		case <-ctx.Done():
			return ready, ctx.Err()
		case <-patience.C:
			return ready, fmt.Errorf("%w: no answer within half of the time", context.DeadlineExceeded)
		}
	}
}

// commit sends the order, and returns whether the replica has carried it out. From here
// on the context has no say. The replica takes no order later than o.valid after its
// Ready; with clocks that are wrong by 10 % each, that is over here a little less than 5/4
// of that after the Ready came. If it is not known by then what the replica has done, and
// so it may be writing, that is [ErrInDoubt].
func (h *handover) commit(o *order, ready time.Time) (promoted bool, err error) {
	limit := time.NewTimer(time.Until(ready.Add(o.valid * 5 / 4)))
	defer limit.Stop()
	p := o.part(kindCommit)
	over := h.feed.over
	for orders := h.feed.orders; ; {
		select {
		case orders <- p:
			orders = nil
		case a := <-h.feed.answers:
			if a.order == o.id && a.kind == kindPromoted {
				return a.yes, h.declined(a)
			}
		case <-over:
			if p.withdraw() {
				return false, h.gone() // the order has never gone out
			}
			over = nil // it may have arrived
			if promoted, known := h.lastAnswer(o); known {
				return promoted, ErrDeclined
			}
		case <-h.back:
			return false, ErrLinkLost
		case <-h.from.outranked:
			return h.n.standing().epoch.Node == h.to.ID, h.gone()
		case <-h.from.ctx.Done():
			if p.withdraw() {
				return false, h.from.valid()
			}
			return false, ErrInDoubt
		case <-limit.C:
			if p.withdraw() {
				return false, context.DeadlineExceeded
			}
			return false, ErrInDoubt
		}
	}
}

func (h *handover) declined(a answer) error {
	if a.yes {
		return nil
	}
	return ErrDeclined
}

// lastAnswer returns what the replica has answered before the link broke, if it did.
func (h *handover) lastAnswer(o *order) (promoted, known bool) {
	for {
		select {
		case a := <-h.feed.answers:
			if a.order == o.id && a.kind == kindPromoted {
				return a.yes, true
			}
		default:
			return false, false
		}
	}
}

// follow makes the node a follower of the replica, which is the master now, or may be:
// then doubt says so.
func (h *handover) follow(doubt error) (*tenure, error) {
	n, addr := h.n, h.to.Listen
	next := n.newTenure(RoleReplica, newUpstream(n, addr, 0))
	next.up.fresh.completeAt(time.Now())
	if err := n.succeed(h.from, next); err != nil {
		return nil, errors.Join(doubt, err)
	}
	h.resume() // before the program is told: it may wait for its writers then
	n.tell(RoleChange{Role: RoleReplica, Upstream: addr, Position: n.log.Position(), Err: doubt})
	if doubt != nil {
		return nil, doubt
	}
	return next, nil
}

// replicaIsBack notes that the follower of f, a newer link than that of the handover
// under way, has answered a heartbeat on it: so the older link is over for it, too, and
// with that any order that came by it; and as it is of no epoch above this node's, it has
// carried out none.
func (n *Node) replicaIsBack(f *feed, a ack) {
	h := n.handing.Load()
	if h == nil || f == h.feed || f.link.peer.ID != h.to.ID || a.echo == 0 || a.heard.epoch.Compare(n.log.Lineage().Epoch) > 0 {
		return
	}
	n.mu.Lock()
	newest := n.mu.feeds[f.link.peer.ID] == f // else it may be older than that of the handover
	n.mu.Unlock()
	if !newest {
		return
	}
	select {
	case h.back <- struct{}{}:
	default:
	}
}
