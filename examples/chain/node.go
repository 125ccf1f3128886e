package main

import (
	"context"
	"errors"
	"net"
	"sync"

	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/repl"
)

// A node is a store and its place in the chain.
type node struct {
	name   string
	addr   string
	store  *kv.Store
	member *repl.Node

	mu      sync.Mutex
	waiting map[error]chan error // for a link that ends so
}

// start makes a node that serves on a port of its own, and follows upstream if there is
// one.
func start(name, upstream string, store *kv.Store) (*node, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	n := &node{name: name, addr: ln.Addr().String(), store: store, waiting: make(map[error]chan error)}
	opts := &repl.Options{Name: name}
	opts.Events.Disconnected = n.disconnected
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

// follow points the node elsewhere. What it has stays.
func (n *node) follow(addr string) error {
	replica, err := n.member.Replica()
	if err != nil {
		return err
	}
	return replica.Follow(addr)
}

// leave ends the node. Its store is left.
func (n *node) leave() { n.member.Close() }

// close ends the node and its store.
func (n *node) close() {
	n.leave()
	n.store.Close()
}

// expect returns a channel with the first error for which a link ends that is target.
func (n *node) expect(target error) <-chan error {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := make(chan error, 1)
	n.waiting[target] = c
	return c
}

func (n *node) disconnected(_ repl.Peer, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for target, c := range n.waiting {
		if errors.Is(err, target) {
			c <- err
			delete(n.waiting, target)
		}
	}
}
