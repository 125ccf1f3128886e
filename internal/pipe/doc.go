// Package pipe is a connection within one process: a [net.Conn] pair with a
// bounded buffer for each direction, and the [Listener] that hands one end of
// such a pair to a server.
//
// It differs from [net.Pipe], which has no buffer: there a write returns only
// when somebody has read it, so "sent but not yet delivered" cannot happen, and
// two peers that both write first wait for each other for ever. Those are the
// very states that a replication protocol has to survive.
//
// Every wait is on a [sync.Cond], and no mutex is held during one, so all of it
// works on the virtual time of testing/synctest.
//
// The files in the order in which bytes pass through them: conn.go (the two
// ends), ring.go (one direction), deadline.go (what ends a wait), listener.go
// (how a server gets its end), addr.go.
package pipe
