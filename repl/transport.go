package repl

import (
	"context"
	"errors"
	"net"
	"time"
)

// A Transport connects nodes. Supplied are [TCP], [Unix], [TLS] over either, and
// [Memory] within a process; package repltest has one with faults, and a check
// for a program's own.
//
// Methods may be called concurrently. Addresses are the transport's own; the
// library stores and compares them but never looks inside.
type Transport interface {
	// Dial connects to addr. It blocks until the connection is up or has
	// failed, or ctx ends; afterwards ctx does not affect the connection.
	Dial(ctx context.Context, addr string) (net.Conn, error)

	// Listen takes addr until the listener is closed. It does not block.
	Listen(addr string) (net.Listener, error)
}

// TCP is the [Transport] over TCP; addresses are "host:port". The zero value is
// ready to use and good for a network of any speed. Small frames leave at once:
// TCP_NODELAY is on.
type TCP struct {
	// KeepAlive is how long a connection is silent before the kernel probes
	// the peer, and the time between probes. 0 means 15 seconds; negative turns
	// probes off. The library's heartbeats find a dead peer sooner; probes are
	// for connections before the first heartbeat or after the last.
	KeepAlive time.Duration

	// BufferBytes is the kernel's buffer for each connection and direction. 0
	// leaves the size to the kernel, which adapts it to the round trip;
	// negative is refused.
	BufferBytes int

	// Nagle lets the kernel hold small frames back to send fewer packets, which
	// delays them, and so the acknowledgements that writers wait for, by up to
	// 40 ms.
	Nagle bool
}

// Dial connects to addr, trying its resolved addresses in turn. Errors are those
// of [net.Dialer.DialContext].
func (t TCP) Dial(ctx context.Context, addr string) (net.Conn, error) {
	if err := t.fault(); err != nil {
		return nil, err
	}
	d := net.Dialer{KeepAliveConfig: t.keepAlive(), KeepAlive: -1}
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return t.tune(c)
}

// Listen takes addr; port 0 is one that the kernel chooses. Errors are those of
// [net.Listen]. An empty addr, which net.Listen would take for any port of
// every interface, is refused: somebody forgot to set it.
func (t TCP) Listen(addr string) (net.Listener, error) {
	if err := t.fault(); err != nil {
		return nil, err
	}
	if addr == "" {
		return nil, addrError("listen", "tcp", nil, "missing address")
	}
	lc := net.ListenConfig{KeepAliveConfig: t.keepAlive(), KeepAlive: -1}
	// An address that needs resolving is the program's own; there is nothing
	// to wait for that a context would have to end.
	l, err := lc.Listen(context.Background(), "tcp", addr)
	if err != nil {
		return nil, err
	}
	return tcpListener{Listener: l, tcp: t}, nil
}

// fault returns what is wrong with t as an option, or nil.
func (t TCP) fault() error {
	if t.BufferBytes < 0 {
		return &OptionError{Field: "TCP.BufferBytes", Value: t.BufferBytes, Want: "at least 0"}
	}
	return nil
}

// faultOf returns what is wrong with one of this package's transports, of which that can
// be known before it dials.
func faultOf(t Transport) error {
	if c, ok := t.(interface{ fault() error }); ok {
		return c.fault()
	}
	return nil
}

func (t TCP) keepAlive() net.KeepAliveConfig {
	return net.KeepAliveConfig{Enable: t.KeepAlive >= 0, Idle: t.KeepAlive, Interval: t.KeepAlive}
}

// tune applies what differs from the defaults of package net. It closes c on an
// error.
func (t TCP) tune(c net.Conn) (net.Conn, error) {
	tc, ok := c.(*net.TCPConn)
	if !ok {
		return c, nil
	}
	var errs []error
	if t.Nagle {
		errs = append(errs, tc.SetNoDelay(false))
	}
	if t.BufferBytes > 0 {
		errs = append(errs, tc.SetReadBuffer(t.BufferBytes), tc.SetWriteBuffer(t.BufferBytes))
	}
	if err := errors.Join(errs...); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// addrError returns what package net returns for an address that is none.
func addrError(op, network string, addr net.Addr, what string) error {
	return &net.OpError{Op: op, Net: network, Addr: addr, Err: errors.New(what)}
}

type tcpListener struct {
	net.Listener
	tcp TCP
}

func (l tcpListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		// A peer that is gone before its options are set concerns nobody: an
		// error from Accept would look like the listener's own.
		if c, err := l.tcp.tune(c); err == nil {
			return c, nil
		}
	}
}
