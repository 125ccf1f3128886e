package repl

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"
)

// A Transport connects nodes. Supplied are [TCP], [Unix], [TLS] over either, and
// [Memory] within a process; package repltest has one with faults, and a check
// for those that a program brings itself.
//
// Methods may be called concurrently. Addresses are the transport's own; the
// library stores and compares them but never looks inside.
type Transport interface {
	// Dial connects to addr. It blocks until the connection stands, fails, or
	// ctx ends; ctx has no say over the connection afterwards.
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
	// for connections that are past or before them.
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
	if err := t.check(); err != nil {
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
// [net.Listen].
func (t TCP) Listen(addr string) (net.Listener, error) {
	if err := t.check(); err != nil {
		return nil, err
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

func (t TCP) check() error {
	if t.BufferBytes < 0 {
		return fmt.Errorf("repl: TCP.BufferBytes is %d, must not be negative", t.BufferBytes)
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

// Unix is the [Transport] over Unix domain sockets, for nodes on one machine;
// addresses are paths. The zero value is ready to use.
type Unix struct{}

// Dial connects to the socket at path. Errors are those of
// [net.Dialer.DialContext].
func (Unix) Dial(ctx context.Context, path string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "unix", path)
}

// Listen makes a socket at path and removes it when the listener is closed. A
// socket that a killed process has left there, on which nobody listens, is
// replaced. Errors are those of [net.Listen].
func (Unix) Listen(path string) (net.Listener, error) {
	l, err := net.Listen("unix", path)
	if !errors.Is(err, syscall.EADDRINUSE) || !abandoned(path) {
		return l, err
	}
	if err := os.Remove(path); err != nil {
		return nil, err
	}
	return net.Listen("unix", path)
}

// abandoned reports whether path is a socket that nobody listens on. Two
// processes that start at once may both find it so, and one then takes the
// socket from the other; what must be exclusive is the store's folder, and that
// has a lock.
func abandoned(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Type() != os.ModeSocket {
		return false
	}
	c, err := net.Dial("unix", path)
	if err == nil {
		c.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

// TLS is the [Transport] that encrypts another one. Nodes both dial and listen,
// so one Config serves both roles: Certificates, RootCAs to verify whom they
// dial, and ClientCAs with ClientAuth set to [tls.RequireAndVerifyClientCert]
// to admit only those who belong to the group.
type TLS struct {
	// Over carries the encrypted bytes; nil means TCP{}.
	Over Transport

	// Config must not be nil nor be changed afterwards. Where MinVersion is 0
	// it is TLS 1.3: both ends are this library. Where ServerName is empty it is
	// the host of the address that is dialed.
	Config *tls.Config
}

// Dial connects to addr and completes the handshake, which ctx bounds too.
// Errors are those of Over and of [tls.Conn.HandshakeContext].
func (t TLS) Dial(ctx context.Context, addr string) (net.Conn, error) {
	config, err := t.config()
	if err != nil {
		return nil, err
	}
	if config.ServerName == "" {
		config.ServerName = addr
		if host, _, err := net.SplitHostPort(addr); err == nil {
			config.ServerName = host
		}
	}
	raw, err := t.over().Dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	c := tls.Client(raw, config)
	if err := c.HandshakeContext(ctx); err != nil {
		raw.Close()
		return nil, err
	}
	return c, nil
}

// Listen takes addr. Accept does not wait for a handshake: the first Read or
// Write performs it, under the deadline of the one who calls it, so that a
// silent peer holds up nobody else. Errors are those of Over.
func (t TLS) Listen(addr string) (net.Listener, error) {
	config, err := t.config()
	if err != nil {
		return nil, err
	}
	l, err := t.over().Listen(addr)
	if err != nil {
		return nil, err
	}
	return tls.NewListener(l, config), nil
}

func (t TLS) over() Transport {
	if t.Over == nil {
		return TCP{}
	}
	return t.Over
}

func (t TLS) config() (*tls.Config, error) {
	if t.Config == nil {
		return nil, errors.New("repl: TLS.Config is nil")
	}
	c := t.Config.Clone()
	if c.MinVersion == 0 {
		c.MinVersion = tls.VersionTLS13
	}
	return c, nil
}
