package main

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/emberkv/ember/repl"
	"github.com/emberkv/ember/repl/sentinel"
)

// guarded is what a Node has in the lines about failover: a seat in a group that sentinels
// watch, or a sentinel.
type guarded struct {
	seat     *repl.Node
	sentinel *sentinel.Sentinel
	accepted atomic.Int64 // when its first write was, in Unix nanoseconds; 0 before
}

// attemptEvery is how often a node that may not write tries to.
const attemptEvery = 250 * time.Microsecond

// JoinArgs say what a node of a watched group is.
type JoinArgs struct {
	Name     string
	Upstream string // empty for the master
}

// Join makes the node a master or a replica that takes the orders of sentinels and writes only
// while they let it, and replies with its address. From then on it tries to write until it
// has written once.
func (n *Node) Join(a JoinArgs, addr *string) error {
	ln, err := repl.TCP{}.Listen("127.0.0.1:0")
	if err != nil {
		return err
	}
	*addr = ln.Addr().String()
	opts := &repl.Options{
		Name: a.Name, Announce: *addr, Supervision: repl.Supervision{Supervised: true, Fenced: true},
	}
	if a.Upstream == "" {
		if n.master, err = repl.NewMaster(n.store, opts); err != nil {
			return err
		}
		n.guarded.seat = n.master.Node()
	} else {
		if n.replica, err = repl.NewReplica(n.store, a.Upstream, opts); err != nil {
			return err
		}
		n.guarded.seat = n.replica.Node()
	}
	go n.guarded.seat.Serve(ln)
	go n.guarded.seat.Run(context.Background())
	go n.attempt()
	return nil
}

func (n *Node) attempt() {
	for n.store.Set("attempt", nil) != nil {
		time.Sleep(attemptEvery)
	}
	n.guarded.accepted.Store(time.Now().UnixNano())
}

// Accepted replies with when the node's first write was, in Unix nanoseconds, or 0.
func (n *Node) Accepted(_ None, at *int64) error {
	*at = n.guarded.accepted.Load()
	return nil
}

// GuardArgs say what a sentinel watches.
type GuardArgs struct {
	Name, Monitor string
	DownAfter     time.Duration
}

// Guard starts a sentinel in the process.
func (n *Node) Guard(a GuardArgs, _ *None) (err error) {
	n.guarded.sentinel, err = sentinel.New(&sentinel.Options{
		Name: a.Name, Monitor: []string{a.Monitor}, Quorum: 2, DownAfter: a.DownAfter,
	})
	if err != nil {
		return err
	}
	ln, err := repl.TCP{}.Listen("127.0.0.1:0")
	if err != nil {
		return err
	}
	go n.guarded.sentinel.Serve(ln)
	return nil
}

// Known is what a sentinel has found.
type Known struct {
	Nodes, Sentinels int // the others
}

// Known replies with what the sentinel in the process has found so far.
func (n *Node) Known(_ None, k *Known) error {
	s := n.guarded.sentinel.Status()
	*k = Known{Nodes: len(s.Nodes), Sentinels: len(s.Sentinels)}
	return nil
}
