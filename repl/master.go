package repl

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/emberkv/ember/backlog"
)

// A Master is what a program can do with a node that takes writes. It is good
// until the node's role changes; after [Master.Demote] its methods that are about
// that role return [ErrRoleChanged]. They may be called concurrently.
type Master struct {
	node   *Node
	tenure *tenure
}

// NewMaster makes m the master of a group. From now on m takes writes, whether
// or not anybody follows; followers come through [Master.Serve]. A machine that was a
// replica's begins a new history at the end of its log: followers go on with it from
// there, but not the old master if it comes back as a follower with more than that. The
// error is an [*OptionError], or [ErrInUse] while another node that is not closed has
// m.
func NewMaster(m Machine, opts *Options) (*Master, error) {
	n, err := newNode(m, opts)
	if err != nil {
		return nil, err
	}
	closed := n.log.Refusing()
	if _, own := n.log.Origin(); !own || closed != nil && !errors.Is(closed, ErrNotEnoughReplicas) && !errors.Is(closed, ErrNoLease) {
		// It has followed, perhaps before it was closed and opened again. What is written
		// from now on is not in the history of the node that it followed, which may be
		// writing there still.
		n.beginEpoch(0)
	} else if n.log.Lineage().Epoch.IsZero() {
		n.log.Raise(n.standing().epoch.Next(n.opts.ID))
	}
	t := n.newTenure(RoleMaster, nil)
	t.initial.Store(true)
	n.open(t)
	return &Master{n, t}, nil
}

// Node returns the master's seat in the group.
func (m *Master) Node() *Node { return m.node }

// Serve accepts followers on ln until Close is called. See [Node.Serve].
func (m *Master) Serve(ln net.Listener) error { return m.node.Serve(ln) }

// Wait blocks until n directly attached replicas have applied the log up to pos
// and returns how many have. It returns early with ctx.Err; [ErrClosed]; [ErrLost] for a
// position that is not in this node's history (every replica has the zero one);
// [ErrRoleChanged] when this node stops being the master, even if enough had applied pos by
// then, wrapping a [*FencedError] if another master was heard of; or a [*LeaseError] when this
// node holds no lease, at first or when enough have applied it: call again. Replicas of
// replicas do not count, nor does a replica while it takes a full copy. Replicas are told apart
// by node id: one that has left no longer counts, and one that comes back counts, once, from
// the first ack on its newest link.
//
// To wait for your own write, take the Master before you write and the position after. A Master
// taken later may belong to a later term, whose history lacks the write: replicas then have the
// position, and nobody the write. The earlier Master returns ErrRoleChanged. Options.Ack does
// all that for every write.
//
// Like Redis WAIT, but it counts what was applied, not what was received
// (https://redis.io/commands/wait).
func (m *Master) Wait(ctx context.Context, pos backlog.Position, n int) (int, error) {
	return m.wait(ctx, pos, n, false)
}

// WaitDurable is [Master.Wait] for replicas that have the log up to pos on disk, so that it is
// there after a power failure: those whose machine is [Kept], as a *kv.Store of kv.Open is.
// Each syncs as its own options say; none is asked to sync sooner. This node's own disk does
// not count: see kv.Store.Durable. Like Redis WAITAOF (https://redis.io/commands/waitaof).
func (m *Master) WaitDurable(ctx context.Context, pos backlog.Position, n int) (int, error) {
	return m.wait(ctx, pos, n, true)
}

func (m *Master) wait(ctx context.Context, pos backlog.Position, n int, disk bool) (int, error) {
	if err := m.node.reigns(m.tenure); err != nil {
		return 0, err
	}
	if err := onLineage(m.node.log, pos); err != nil {
		return 0, err
	}
	return m.node.acks.waitApplied(ctx, m.tenure, pos.Offset, n, disk)
}

// Demote makes the node a replica of the node at address upstream, like Redis'
// REPLICAOF. From now on the machine refuses writes with a [*ReadOnlyError]; it
// keeps its data, and followers stay connected. The node follows while
// [Node.Run], or [Replica.Run] of the returned handle, runs. If what it has is
// part of the upstream's history, it goes on from there; otherwise it takes a
// full copy, if allow or Options let it, and serves what it has until that is
// complete.
//
// Demote does not wait for the upstream. It returns [ErrRoleChanged] when the node
// is no longer the master that m stands for, [ErrClosed], and an [*OptionError]
// for an empty address.
func (m *Master) Demote(upstream string, allow ...Allow) (*Replica, error) {
	t, err := m.node.demote(m.tenure, upstream, union(allow))
	if err != nil {
		return nil, err
	}
	return &Replica{m.node, t}, nil
}

// Handover hands the writing over to a follower, given by its id or its name, as a planned
// switch. It returns when that is the master and this node its replica, which follows it
// while [Node.Run] or [Replica.Run] runs. Nothing is lost and nobody takes a full copy:
// followers of this node stay with it, and follow the new master through it.
//
// Writers are held up, not refused, from when the replica has almost everything until
// it has taken over: a write waits outside all locks, and then gets a [*ReadOnlyError]
// with the address of the new master. With a replica that had caught up that takes a
// few round trips. One that is far behind holds up nobody until it has come near.
//
// The context must have a deadline. When the handover fails, for whatever reason, this node
// goes on as before, and every writer with it; the error is [ErrNoDeadline], [ErrNoFollower],
// [ErrRoleChanged], [ErrClosed], or a [*HandoverError] with the step and the reason. One reason passes: [ErrNoLease],
// for a master that writes by a lease (see Options.Supervised) and does not have it yet. There is one exception to
// going on: if the link breaks while the last order is on its way, or nothing is heard of the replica after it, and
// it does not come back as a replica in time, it may be the master. Then this node stays closed for writes and
// follows the replica's address, as if all had gone well, and the error is an [ErrInDoubt]: see which of the two can
// be reached, and promote this one if it is not the other. The order is not carried out later than that.
//
// No other change of the node's role comes between; those that are asked for meanwhile wait.
func (m *Master) Handover(ctx context.Context, replica string) (*Replica, error) {
	t, err := m.node.handover(ctx, m.tenure, replica)
	if err != nil {
		return nil, err
	}
	return &Replica{m.node, t}, nil
}

// onLineage returns ErrLost unless pos lies on the way to the log's end.
func onLineage(log *backlog.Log, pos backlog.Position) error {
	lin := log.Lineage()
	if pos.History == lin.Current || pos.IsZero() {
		return nil
	}
	for _, f := range lin.Earlier {
		if f.History == pos.History && pos.Offset <= f.End {
			return nil
		}
	}
	return fmt.Errorf("%w: %s", ErrLost, pos)
}

// Status returns the node's state now.
func (m *Master) Status() Status { return m.node.Status() }

// Close closes the links and waits for the node's goroutines. It is [Node.Close], which says what
// becomes of the machine; it may be called more than once, and returns nil.
func (m *Master) Close() error { return m.node.Close() }
