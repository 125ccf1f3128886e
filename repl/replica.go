package repl

import (
	"context"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"time"
)

// A Replica is what a program can do with a node that follows another. Its
// methods may be called concurrently.
type Replica struct {
	node    *Node
	running atomic.Bool
}

// NewReplica makes m a follower of the node at address upstream, which
// Options.Transport dials. From now on m refuses writes with a
// [*ReadOnlyError]. It follows while [Replica.Run] runs. The error is an
// [*OptionError].
func NewReplica(m Machine, upstream string, opts *Options) (*Replica, error) {
	n, err := newNode(m, RoleReplica, opts)
	if err != nil {
		return nil, err
	}
	n.up = newUpstream(n, upstream)
	refusal := &ReadOnlyError{Master: upstream}
	n.log.SetGate(func() error { return refusal })
	n.log.SetSettler(nil)
	if c, ok := m.(Clocked); ok {
		c.SetFollower(true)
	}
	return &Replica{node: n}, nil
}

// Node returns the replica's seat in the group.
func (r *Replica) Node() *Node { return r.node }

// Run follows the upstream until ctx ends or Close is called, and returns
// ctx.Err or [ErrClosed]. When a link breaks that has worked, it dials again at
// once. When that fails, or the upstream refuses, it tries again and again: each
// time after a random time of up to a twentieth of the outage so far, but not
// under 5 ms nor over 5 s. What went wrong is in [Replica.Status] and
// Events. A second Run at the same time returns [ErrRunning].
func (r *Replica) Run(ctx context.Context) error {
	if !r.running.CompareAndSwap(false, true) {
		return ErrRunning
	}
	defer r.running.Store(false)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	if !r.node.start(func() { done <- r.follow(ctx) }) {
		return ErrClosed
	}
	return <-done
}

func (r *Replica) follow(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(r.node.ctx, cancel)()
	up := r.node.up
	defer up.dropLoad()
	jitter := rand.New(rand.NewPCG(seeds(r.node.opts.ID)))
	for {
		began := time.Now()
		err := up.session(ctx)
		switch {
		case r.node.ctx.Err() != nil:
			return ErrClosed
		case ctx.Err() != nil:
			return ctx.Err()
		}
		pause := reconnectDelay(up.outage(), jitter.Float64())
		if up.lastWorked().Sub(began) >= minReconnect {
			pause = 0 // there is no outage yet, only a link that broke
		}
		up.retry(err, pause)
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
		}
	}
}

// Bounds of the pause before the next try.
const (
	minReconnect   = 5 * time.Millisecond
	maxReconnect   = 5 * time.Second
	reconnectShare = 20 // of the outage so far
)

// reconnectDelay returns how long to wait after an outage that has lasted so
// long. It grows with the outage, so a blip costs milliseconds and a dead
// master is not hammered; random is in [0, 1), so a crowd does not come at once.
func reconnectDelay(outage time.Duration, random float64) time.Duration {
	limit := min(outage/reconnectShare, maxReconnect)
	return max(minReconnect, time.Duration(random*float64(limit)))
}

// seeds turns a node id into the seed of its jitter, so that a simulation with
// fixed ids repeats.
func seeds(id NodeID) (a, b uint64) {
	for i := range 8 {
		a, b = a<<8|uint64(id[i]), b<<8|uint64(id[8+i])
	}
	return a, b
}

// Serve accepts followers on ln: replicas of this replica, which get the same
// bytes at the same offsets. See [Node.Serve]. They are refused with
// [ErrNotReady] as long as this node has no data.
func (r *Replica) Serve(ln net.Listener) error { return r.node.Serve(ln) }

// WaitSynced blocks until the replica streams and has caught up with what the
// upstream had when the link came up. It returns early with [ErrClosed], or with
// ctx.Err and the error that ended the last link, if one did.
func (r *Replica) WaitSynced(ctx context.Context) error {
	return r.node.up.waitSynced(ctx)
}

// Status returns the node's state now.
func (r *Replica) Status() Status { return r.node.Status() }

// Close ends Run, closes the links and waits for the node's goroutines. The
// machine stays read-only. It may be called more than once.
func (r *Replica) Close() error { return r.node.Close() }
