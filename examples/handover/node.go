package main

import (
	"context"
	"net"

	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/repl"
)

// A node is a store and its place in the group.
type node struct {
	name   string
	addr   string
	store  *kv.Store
	member *repl.Node
	link   *freezable // to its upstream
	unmade chan error // why it is no longer a master, though nobody told it to stop
}

// start makes a node that serves on a port of its own, and follows upstream if there is
// one.
func start(name, upstream string, store *kv.Store) (*node, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	n := &node{name: name, addr: ln.Addr().String(), store: store, link: &freezable{}, unmade: make(chan error, 1)}
	opts := &repl.Options{Name: name, Transport: n.link, Announce: n.addr}
	opts.Events.Role = n.role
	if upstream == "" {
		master, err := repl.NewMaster(store, opts)
		if err != nil {
			return nil, err
		}
		n.member = master.Node()
	} else {
		replica, err := repl.NewReplica(store, upstream, opts)
		if err != nil {
			return nil, err
		}
		n.member = replica.Node()
	}
	go n.member.Serve(ln)
	go n.member.Run(context.Background()) // until leave closes the node
	return n, nil
}

func (n *node) role(c repl.RoleChange) {
	if c.Err != nil {
		n.unmade <- c.Err
	}
}

// follow points the node at another one, whatever it was.
func (n *node) follow(up *node) error {
	replica, err := n.member.Replica()
	if err != nil {
		return err
	}
	return replica.Follow(up.addr)
}

// synced returns when the node streams from whom it follows now.
func (n *node) synced(ctx context.Context) error {
	replica, err := n.member.Replica()
	if err != nil {
		return err
	}
	return replica.WaitSynced(ctx)
}

// leave ends the node, and returns the store that is left of it.
func (n *node) leave() *kv.Store {
	n.link.thaw()
	n.member.Close()
	return n.store
}

func (n *node) close() { n.leave().Close() }
