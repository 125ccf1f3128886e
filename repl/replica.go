package repl

import (
	"context"
	"net"
)

// A Replica is what a program can do with a node that follows another. It is good
// until the node's role changes; after [Replica.Promote] its methods that are
// about that role return [ErrRoleChanged]. They may be called concurrently.
type Replica struct {
	node   *Node
	tenure *tenure
}

// NewReplica makes m a follower of the node at address upstream, which
// Options.Transport dials. From now on m refuses writes with a
// [*ReadOnlyError]. It follows while [Replica.Run] runs; until then nothing is dialed,
// and an address where nobody listens is no error. The error is an [*OptionError], or
// [ErrInUse] while another node that is not closed has m.
func NewReplica(m Machine, upstream string, opts *Options) (*Replica, error) {
	if err := checkUpstream(upstream); err != nil {
		return nil, err
	}
	n, err := newNode(m, opts)
	if err != nil {
		return nil, err
	}
	t := n.newTenure(RoleReplica, newUpstream(n, upstream, 0))
	n.open(t)
	return &Replica{n, t}, nil
}

func checkUpstream(addr string) error {
	if addr == "" {
		return &OptionError{Field: "upstream", Value: addr, Want: "an address"}
	}
	return nil
}

// Node returns the replica's seat in the group.
func (r *Replica) Node() *Node { return r.node }

// Run follows the upstream until ctx ends, Close is called or the node's role
// changes, and returns ctx.Err, [ErrClosed] or [ErrRoleChanged]. When a link that has worked breaks,
// it dials again at once. When that fails, or the upstream refuses, it tries again and again. Each
// pause is random, between 5 ms and an upper end: a twentieth of the outage so far, but at least 25 ms
// and at most 5 s. If the upstream had at most eight followers and cannot be connected to at all, that
// end is a hundredth, at least 10 ms. What went wrong is in [Replica.Status] and Events. A second Run
// at the same time returns [ErrRunning].
func (r *Replica) Run(ctx context.Context) error { return r.tenure.up.run(ctx, r.tenure) }

// Follow gives the replica another upstream, like Redis' REPLICAOF: it ends the
// link and dials the new one at once, if Run runs. The data stay, followers stay
// connected, and if what the node has is part of the new upstream's history, it
// goes on from there. Otherwise it takes a full copy, if allow or Options let it,
// and serves what it has until that is complete. Following the node that it
// follows already changes nothing, unless there is something to allow: then it is
// dialed anew.
//
// Follow does not wait, neither for the upstream nor for the message of the old one
// that is just being applied; that is the last. It returns [ErrRoleChanged],
// [ErrClosed], and an [*OptionError] for an empty address.
func (r *Replica) Follow(upstream string, allow ...Allow) error {
	return r.node.follow(r.tenure, upstream, union(allow))
}

// Promote makes the node a master, like Redis' REPLICAOF NO ONE. It ends the link
// to the upstream, keeps the data, whatever their state, and begins a new history
// where the log ends; the followers stay connected and hear of it. A full copy
// that is under way is given up. When Promote returns, the machine takes writes.
//
// It waits for the message that is being applied, no longer. It returns
// [ErrRoleChanged], [ErrClosed], and ctx.Err if ctx ends while another role
// change is under way.
func (r *Replica) Promote(ctx context.Context) (*Master, error) {
	t, err := r.node.promote(ctx, r.tenure, 0)
	if err != nil {
		return nil, err
	}
	return &Master{r.node, t}, nil
}

// Allow lets a replica accept what Options forbid, for the first copy that it
// takes from an upstream.
type Allow uint8

const (
	// AllowEmpty accepts an upstream of another history that holds nothing. See
	// Options.AllowEmpty.
	AllowEmpty Allow = 1 << iota
	// AllowForeign accepts an upstream that shares no history with the node. See
	// Options.AllowForeign.
	AllowForeign
)

func union(allow []Allow) (all Allow) {
	for _, a := range allow {
		all |= a
	}
	return all
}

// Serve accepts followers on ln: replicas of this replica, which get the same
// bytes at the same offsets. See [Node.Serve]. They are refused with
// [ErrNotReady] as long as this node has no data.
func (r *Replica) Serve(ln net.Listener) error { return r.node.Serve(ln) }

// WaitSynced blocks until the replica streams and has caught up with what the
// upstream had when the link came up. It returns early with [ErrClosed] or
// [ErrRoleChanged], or with ctx.Err and the error that ended the last link, if one did.
func (r *Replica) WaitSynced(ctx context.Context) error {
	return r.tenure.up.waitSynced(ctx, r.tenure)
}

// Status returns the node's state now.
func (r *Replica) Status() Status { return r.node.Status() }

// Close ends Run, closes the links and waits for the node's goroutines. The
// machine stays read-only. It is [Node.Close], may be called more than once, and returns nil.
func (r *Replica) Close() error { return r.node.Close() }
