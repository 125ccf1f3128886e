package pipe

import "net"

// An Addr is the [net.Addr] of a network that knows its nodes by name.
type Addr struct {
	Net  string // what Network returns
	Name string // what String returns
}

// Network returns the name of the network, as in "memory".
func (a Addr) Network() string { return a.Net }

// String returns the name of the node or of its end of a connection.
func (a Addr) String() string { return a.Name }

// OpError returns err with the operation and the two ends of a connection, as
// the connections of package net do. Neither [io.EOF] nor nil may be wrapped.
func OpError(op string, local, remote net.Addr, err error) error {
	e := &net.OpError{Op: op, Source: local, Addr: remote, Err: err}
	switch {
	case local != nil:
		e.Net = local.Network()
	case remote != nil:
		e.Net = remote.Network()
	}
	return e
}
