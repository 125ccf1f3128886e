package repl

import (
	"context"
	"fmt"
	"net"

	"github.com/emberkv/ember/backlog"
)

// A Master is what a program can do with a node that takes writes. Its methods
// may be called concurrently.
type Master struct{ node *Node }

// NewMaster makes m the master of a group. From now on m takes writes, whether
// or not anybody follows; followers come through [Master.Serve]. A machine that
// was a replica's begins a new history at the end of its log: followers go on
// with it from there, and the old master, should it come back as a follower with
// more than that, does not. The error is an [*OptionError].
func NewMaster(m Machine, opts *Options) (*Master, error) {
	n, err := newNode(m, RoleMaster, opts)
	if err != nil {
		return nil, err
	}
	if c, ok := m.(Clocked); ok {
		c.SetFollower(false)
	}
	if n.log.Closed() != nil {
		// It has followed. What is written from now on is not in the history of
		// the node that it followed, which may be writing there still.
		n.log.Fork(backlog.NewHistory())
	}
	n.log.SetGate(nil)
	if n.opts.MaxUnacked > 0 {
		n.log.SetSettler(n.acks.settle)
	}
	return &Master{n}, nil
}

// Node returns the master's seat in the group.
func (m *Master) Node() *Node { return m.node }

// Serve accepts followers on ln until Close is called. See [Node.Serve].
func (m *Master) Serve(ln net.Listener) error { return m.node.Serve(ln) }

// Wait blocks until n directly attached replicas have applied the log up to pos
// and returns how many have. It returns early with ctx.Err or [ErrClosed], and
// with [ErrLost] for a position that is not in this node's history. Replicas
// of replicas do not count, nor does a replica while it takes a full copy.
// Like Redis WAIT, but it counts what was applied, not what was received
// (https://redis.io/commands/wait).
func (m *Master) Wait(ctx context.Context, pos backlog.Position, n int) (int, error) {
	if err := onLineage(m.node.log, pos); err != nil {
		return 0, err
	}
	return m.node.acks.waitApplied(ctx, pos.Offset, n)
}

// onLineage returns ErrLost unless pos lies on the way to the log's end.
func onLineage(log *backlog.Log, pos backlog.Position) error {
	lin := log.Lineage()
	if pos.History == lin.Current {
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

// Close closes the links and waits for the node's goroutines. The machine goes
// on taking writes, which nobody follows. It may be called more than once.
func (m *Master) Close() error { return m.node.Close() }
