package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime/pprof"
	"sync/atomic"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/repl"
)

// Bounds that the measured nodes run with.
const (
	maxUnacked  = 16 << 20 // of log between a write and the replicas
	ackTimeout  = time.Minute
	stepTimeout = 5 * time.Minute // of a call that waits for the other node
)

// A Node is one store and its role. Its exported methods, save Close, are what a
// [member] can be asked for, by net/rpc. Calls come one at a time.
type Node struct {
	store   *kv.Store
	master  *repl.Master
	replica *repl.Replica
	wire    wire
	link    cuttable // of a replica
	load    *openLoop
	profile *os.File
	guarded guarded

	lost atomic.Pointer[string] // why a master's link to a follower last ended
}

func newNode(w wire) *Node {
	return &Node{store: kv.New(nil), wire: w, link: cuttable{Transport: w}}
}

// None is for calls without arguments, or without a reply.
type None struct{}

// ServeArgs say how a master is set up.
type ServeArgs struct {
	Replicas int // that are to follow; each write stays within maxUnacked of all
}

// Serve makes the node a master and replies with its address.
func (n *Node) Serve(a ServeArgs, addr *string) (err error) {
	opts := &repl.Options{Name: "master"}
	opts.Events.Disconnected = func(p repl.Peer, err error) {
		why := fmt.Sprintf("%s: %v", p.Name, err)
		n.lost.Store(&why)
	}
	if a.Replicas > 0 {
		opts.Safety = repl.Safety{Ack: a.Replicas, MaxUnacked: maxUnacked, AckTimeout: ackTimeout}
	}
	if n.master, err = repl.NewMaster(n.store, opts); err != nil {
		return err
	}
	return n.listen(n.master.Serve, addr)
}

// listen serves whoever comes, and replies with where.
func (n *Node) listen(serve func(net.Listener) error, addr *string) error {
	ln, err := n.wire.listenAnywhere()
	if err != nil {
		return err
	}
	*addr = ln.Addr().String()
	go serve(ln)
	return nil
}

// Relay makes a replica serve replicas of its own and replies with its address.
func (n *Node) Relay(_ None, addr *string) error { return n.listen(n.replica.Serve, addr) }

// FollowArgs name whom a replica follows.
type FollowArgs struct {
	Name, Upstream string
}

// Follow makes the node a replica, and returns when it has caught up.
func (n *Node) Follow(a FollowArgs, _ *None) (err error) {
	n.replica, err = repl.NewReplica(n.store, a.Upstream, &repl.Options{Name: a.Name, Transport: &n.link})
	if err != nil {
		return err
	}
	go n.replica.Run(context.Background())
	ctx, cancel := context.WithTimeout(context.Background(), stepTimeout)
	defer cancel()
	if err := n.replica.WaitSynced(ctx); err != nil {
		return fmt.Errorf("%w: %s", err, n.replica.Status().Upstream.LastError)
	}
	return nil
}

// Position replies with the end of the node's log.
func (n *Node) Position(_ None, pos *backlog.Position) error {
	*pos = n.store.Position()
	return nil
}

// WaitLevel returns when the node shows all that was written up to pos.
func (n *Node) WaitLevel(pos backlog.Position, _ *None) error {
	ctx, cancel := context.WithTimeout(context.Background(), stepTimeout)
	defer cancel()
	return n.store.Wait(ctx, pos)
}

// Hold breaks a replica's link, and holds up who dials until Heal.
func (n *Node) Hold(None, *None) error {
	n.link.hold()
	return nil
}

// Cut breaks a replica's link, and refuses who dials until Heal.
func (n *Node) Cut(None, *None) error {
	n.link.cut()
	return nil
}

// Heal lets a replica connect again, and replies with how long it takes to be level with pos.
func (n *Node) Heal(pos backlog.Position, took *time.Duration) error {
	begin := time.Now()
	n.link.heal()
	if err := n.WaitLevel(pos, nil); err != nil {
		return err
	}
	*took = time.Since(begin)
	return nil
}

// Report is how a node stands.
type Report struct {
	Keys     int64
	Sum      uint64 // digest of the contents
	Memory   Memory
	Fulls    int64 // full copies that a replica has begun to take
	Partials int64

	LastError string // why a link last ended, as this node saw it
}

// Report replies with how the node stands.
func (n *Node) Report(_ None, r *Report) error {
	d, err := n.store.Digest()
	if err != nil {
		return err
	}
	*r = Report{Keys: d.Keys, Sum: d.Sum, Memory: readMemory()}
	if why := n.lost.Load(); why != nil {
		r.LastError = *why
	}
	if n.replica != nil {
		up := n.replica.Status().Upstream
		r.Fulls, r.Partials, r.LastError = up.Fulls, up.Partials, up.LastError
	}
	return nil
}

// Worked replies with what the node's process has worked, on all processors together; 0 if the
// system does not say.
func (n *Node) Worked(_ None, worked *time.Duration) error {
	*worked = processorTime()
	return nil
}

// ResetPeak lets the peak of the process's memory begin anew.
func (n *Node) ResetPeak(None, *None) error {
	resetPeak()
	return nil
}

// StartProfile writes a CPU profile of the process to path until StopProfile.
func (n *Node) StartProfile(path string, _ *None) (err error) {
	if n.profile, err = os.Create(path); err != nil {
		return err
	}
	return pprof.StartCPUProfile(n.profile)
}

// StopProfile ends the profile.
func (n *Node) StopProfile(None, *None) error {
	pprof.StopCPUProfile()
	return n.profile.Close()
}

// Close ends what the node has started.
func (n *Node) Close() error {
	var errs []error
	if n.load != nil {
		errs = append(errs, n.load.stop())
	}
	if n.guarded.sentinel != nil {
		errs = append(errs, n.guarded.sentinel.Close())
	}
	if n.replica != nil {
		errs = append(errs, n.replica.Close())
	}
	if n.master != nil {
		errs = append(errs, n.master.Close())
	}
	return errors.Join(append(errs, n.store.Close())...)
}
