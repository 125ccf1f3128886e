package repl

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// A tenure is a node's time in one role. It never changes: a change of role, or
// Close, ends it, and a change is followed by another. A handle belongs to one
// tenure and is of no use beyond it.
type tenure struct {
	role Role
	up   *upstream // nil for a master

	initial  atomic.Bool // a master that nobody has promoted since it was made by NewMaster
	relapsed atomic.Bool // a master that has begun a new history because a follower had more of the old one

	fenced    atomic.Bool                 // a higher epoch has ended a master's writing
	why       atomic.Pointer[FencedError] // set right after
	outranked chan struct{}               // closed then

	// acked is how far followers had acked a master's log, as Options.Ack wants it, when it ended.
	acked atomic.Int64

	ctx  context.Context // ends with the tenure, for ErrRoleChanged or ErrClosed
	end  context.CancelCauseFunc
	over chan struct{} // closed when the next tenure has begun
}

func (n *Node) newTenure(role Role, up *upstream) *tenure {
	t := &tenure{role: role, up: up, over: make(chan struct{}), outranked: make(chan struct{})}
	t.acked.Store(noFloor)
	t.ctx, t.end = context.WithCancelCause(n.ctx)
	return t
}

// begin opens or closes the machine for writes, as the role of t wants it, and
// makes t the present tenure.
func (n *Node) begin(t *tenure) {
	if t.role == RoleReplica {
		// First: what is written from here on is refused.
		n.gate.change(func(r *causes) { r.role, r.fence = t.up.readOnly(), nil })
		// The settler stays: for writes that this node has let in, and that are on their way to it. They
		// get its verdict, that of a tenure that is over.
		n.setFollower(true)
		n.lease.begin(t, false) // before anybody is told of the role
		from := n.seat.Load()
		if from != nil {
			n.acks.endOf(from)
		}
		n.seat.Store(t)
		// A supervised node that is started as a replica was once set up as one, and may have been promoted
		// since: who is the master now is for its sentinels to say. But an epoch in which nothing was
		// written may end: it would cost the master its role.
		if from != nil || !n.opts.Supervised || n.isEpochEmpty() {
			n.yield()
		}
		t.up.fresh.begin()
		return
	}
	if from := n.seat.Load(); from != nil && from.up != nil {
		// The last words of a dead master may have come late. The machine, which took its clock from
		// them, would go on with one that is slow, for good.
		if clock, ok := from.up.fresh.end(); ok && clock > n.clock() {
			n.setClock(clock)
		}
	}
	n.setStaleAfter(time.Time{})
	n.setFollower(false)
	n.lease.begin(t, n.seat.Load() != nil)
	n.seat.Store(t)
	n.acks.refresh() // as a replica the node may have taken another log
	if n.opts.Ack > 0 {
		n.log.SetSettler(func(end int64) error { return n.acks.settle(t, end) })
	} else {
		n.log.SetSettler(nil)
	}
	// Last: the first write finds all in its place.
	n.gate.change(func(r *causes) {
		if r.role = nil; !t.fenced.Load() {
			r.fence = nil
		}
	})
	n.acks.refresh() // of what was acked before, the writers may count on now
}

func (n *Node) setFollower(follower bool) {
	if c, ok := n.machine.(Clocked); ok {
		c.SetFollower(follower)
	}
}

// change waits for its turn to change the role that from stands for, and returns
// a function that gives the turn back.
func (n *Node) change(ctx context.Context, from *tenure) (done func(), err error) {
	select {
	case n.changing <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-n.ctx.Done():
		return nil, ErrClosed
	}
	done = func() { <-n.changing }
	if err := from.valid(); err != nil {
		done()
		return nil, err
	}
	return done, nil
}

// valid returns ErrRoleChanged or ErrClosed once the tenure is over.
func (t *tenure) valid() error { return context.Cause(t.ctx) }

// reigns returns nil if what was counted just now was counted for the node that writes: if t
// lasts, and at this moment no other node can have been given the role. An error is
// [ErrRoleChanged], with the [*FencedError] in it if that is why, ErrClosed, or a [*LeaseError],
// which may pass.
func (n *Node) reigns(t *tenure) error {
	deposed := n.gate.deposed() // first: after it comes the end of the tenure, and then perhaps another
	err := t.valid()
	switch {
	case err != nil || deposed == nil:
	case errors.Is(deposed, ErrNoLease):
		return deposed
	default:
		err = ErrRoleChanged
	}
	if why := t.why.Load(); why != nil && err == ErrRoleChanged {
		err = fmt.Errorf("%w: %w", err, why)
	}
	return err
}

// ruledUntil returns up to when what this node, a master, has was all that there is: now, if no other one
// can have been given the role, or the end of the lease that it held last. The zero time says that
// it never was, or that it is not known until when.
func (n *Node) ruledUntil() time.Time {
	now, why := time.Now(), n.gate.deposed()
	switch {
	case why == nil:
		return now
	case errors.Is(why, ErrNoLease):
		return n.lease.ended()
	}
	return time.Time{}
}

// awaitsLease reports whether the node is a master only as it was started as one, and nobody has leased
// it the right to write since. What it has may be old.
func (n *Node) awaitsLease() bool {
	t := n.tenure()
	return t.role == RoleMaster && t.initial.Load() && n.gate.lease != nil && n.lease.isAwaited()
}

// promote ends from, in which the node followed, and makes it a master: in the epoch with
// that counter, or with 0 in one above all that it has heard of.
func (n *Node) promote(ctx context.Context, from *tenure, counter uint64) (*tenure, error) {
	done, err := n.change(ctx, from)
	if err != nil {
		return nil, err
	}
	defer done()
	if err := n.mayBegin(counter); err != nil {
		return nil, err
	}
	from.end(ErrRoleChanged)
	// What the link to the upstream is just applying is applied. There is no way
	// back from here, so ctx has no say; a link takes no longer than one message.
	from.up.turn <- struct{}{}

	if err := n.mayBegin(counter); err != nil { // it has heard of more by that message
		next := n.newTenure(RoleReplica, from.up.again())
		return nil, errors.Join(err, n.succeed(from, next))
	}
	n.beginEpoch(counter)
	next := n.newTenure(RoleMaster, nil)
	if err := n.succeed(from, next); err != nil {
		return nil, err
	}
	n.tell(RoleChange{Role: RoleMaster, Position: n.log.Position()})
	n.obey(n.opts.Name) // of what was heard since its epoch began
	return next, nil
}

// demote ends from, in which the node was a master, and makes it a follower.
func (n *Node) demote(from *tenure, addr string, allow Allow) (*tenure, error) {
	if err := checkUpstream(addr); err != nil {
		return nil, err
	}
	done, err := n.change(context.Background(), from)
	if err != nil {
		return nil, err
	}
	defer done()
	next := n.newTenure(RoleReplica, newUpstream(n, addr, allow))
	next.up.fresh.completeAt(n.ruledUntil())
	if err := n.succeed(from, next); err != nil {
		return nil, err
	}
	n.tell(RoleChange{Role: RoleReplica, Upstream: addr, Position: n.log.Position()})
	return next, nil
}

// follow gives the replica of t another upstream.
func (n *Node) follow(t *tenure, addr string, allow Allow) error {
	if err := checkUpstream(addr); err != nil {
		return err
	}
	done, err := n.change(context.Background(), t)
	if err != nil {
		return err
	}
	defer done()
	if !t.up.retarget(addr, allow) {
		return nil
	}
	n.gate.change(func(r *causes) { r.role = t.up.readOnly() })
	n.tell(RoleChange{Role: RoleReplica, Upstream: addr, Position: n.log.Position()})
	return nil
}

// succeed lets next follow on from. A node that is closed meanwhile, whose Close
// waits for this, is left in the new role all the same, and says that it is closed.
func (n *Node) succeed(from, next *tenure) error {
	n.begin(next)
	n.pathChanged()
	from.end(ErrRoleChanged)
	close(from.over)
	return next.valid()
}

// tell makes a change of role or upstream known to the program.
func (n *Node) tell(c RoleChange) {
	n.opts.Logger.Info("role", "role", c.Role, "upstream", c.Upstream, "position", c.Position)
	call(n.opts.Events.Role, c)
}

// Run follows the upstream whenever the node is a replica, through all changes of
// role, until ctx ends or Close is called; it returns ctx.Err or [ErrClosed]. A
// program whose node changes its role calls this in place of [Replica.Run]; while
// either runs, another call returns [ErrRunning].
func (n *Node) Run(ctx context.Context) error {
	for {
		t := n.tenure()
		if t.role == RoleReplica {
			if err := t.up.run(ctx, t); err != ErrRoleChanged {
				return err
			}
		}
		select {
		case <-t.over:
		case <-ctx.Done():
			return ctx.Err()
		case <-n.ctx.Done():
			return ErrClosed
		}
	}
}

// Master returns what can be done with the node while it is a master, and
// [ErrRoleChanged] when it is not.
func (n *Node) Master() (*Master, error) {
	if t := n.tenure(); t.role == RoleMaster {
		return &Master{n, t}, nil
	}
	return nil, ErrRoleChanged
}

// Replica returns what can be done with the node while it is a replica, and
// [ErrRoleChanged] when it is not.
func (n *Node) Replica() (*Replica, error) {
	if t := n.tenure(); t.role == RoleReplica {
		return &Replica{n, t}, nil
	}
	return nil, ErrRoleChanged
}

// Follow makes the node a replica of the node at address upstream, whatever it is now: it is
// [Master.Demote] or [Replica.Follow], and does not wait for the upstream either. It returns
// [ErrClosed], and an [*OptionError] for an empty address.
func (n *Node) Follow(upstream string, allow ...Allow) (*Replica, error) {
	for {
		t, err := n.tenure(), error(nil)
		if t.role == RoleMaster {
			t, err = n.demote(t, upstream, union(allow))
		} else {
			err = n.follow(t, upstream, union(allow))
		}
		switch err {
		case nil:
			return &Replica{n, t}, nil
		case ErrRoleChanged: // while it waited for its turn
		default:
			return nil, err
		}
	}
}
