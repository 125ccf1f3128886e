package main

import (
	"net"
	"strconv"
	"sync/atomic"

	"github.com/emberkv/ember/repl"
)

// A place says where a member runs, and by what it talks to the others.
type place uint8

const (
	ownProcess  place = iota // over TCP
	sameProcess              // as the bench, over TCP
	sameNetwork              // as the bench, over a network within the process
)

// A wire is what the nodes of a group talk by: TCP, or the network within this process.
type wire struct {
	repl.Transport
	names *atomic.Int64 // of those who listen within the process; nil for TCP
}

// newWire returns what the nodes in that place talk by.
func newWire(where place) wire {
	if where == sameNetwork {
		return wire{repl.NewMemory(), new(atomic.Int64)}
	}
	return wire{Transport: repl.TCP{}}
}

// listenAnywhere listens where nobody else does.
func (w wire) listenAnywhere() (net.Listener, error) {
	if w.names != nil {
		return w.Listen("node-" + strconv.FormatInt(w.names.Add(1), 10))
	}
	return w.Listen("127.0.0.1:0")
}
