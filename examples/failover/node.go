package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/rpc"
	"time"

	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/repl"
)

// ackTimeout is how long a write waits for a replica to have it. When it is over the client
// does not count the write, and writes again.
const ackTimeout = 300 * time.Millisecond

// runNode is the process of a node: its store, its place in the group, and what clients call.
func runNode(args []string) error {
	f := flag.NewFlagSet(nodeArgument, flag.ExitOnError)
	name := f.String("name", "", "the node's name")
	follow := f.String("follow", "", "`address` of the node to follow; without it this one is a master")
	f.Parse(args)

	store := kv.New(nil)
	opts := &repl.Options{
		Name: *name,
		// A write returns when a replica has it.
		Safety: repl.Safety{Ack: 1, AckTimeout: ackTimeout},
		// It takes the sentinels' orders, and writes only while they say so, from the start.
		Supervision: repl.Supervision{Supervised: true, Fenced: true},
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	opts.Announce = ln.Addr().String()
	node, err := join(store, *follow, opts)
	if err != nil {
		return err
	}
	go node.Serve(ln)
	go node.Run(context.Background())

	clients, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := rpc.NewServer()
	if err := server.Register(&Store{store}); err != nil {
		return err
	}
	fmt.Println(ln.Addr(), clients.Addr())
	go server.Accept(clients)
	lastAsLongAsParent()
	return nil
}

// join gives the store its place in the group.
func join(store *kv.Store, upstream string, opts *repl.Options) (*repl.Node, error) {
	if upstream == "" {
		m, err := repl.NewMaster(store, opts)
		if err != nil {
			return nil, err
		}
		return m.Node(), nil
	}
	r, err := repl.NewReplica(store, upstream, opts)
	if err != nil {
		return nil, err
	}
	return r.Node(), nil
}

// A Store is what a client can ask of a node, by net/rpc.
type Store struct{ store *kv.Store }

// Write is a key with its value.
type Write struct {
	Key   string
	Value []byte
}

// Set returns when the node has written w and a replica has it, or an error: only the master
// can be written.
func (s *Store) Set(w Write, _ *struct{}) error { return s.store.Set(w.Key, w.Value) }

// Count replies with how many of these keys the node has.
func (s *Store) Count(keys []string, n *int) error {
	for _, key := range keys {
		if has, err := s.store.Has(key); err != nil {
			return err
		} else if has {
			*n++
		}
	}
	return nil
}

// Digest replies with what the node holds, in brief.
func (s *Store) Digest(_ struct{}, d *kv.Digest) (err error) {
	*d, err = s.store.Digest()
	return err
}
