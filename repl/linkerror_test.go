package repl_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/emberkv/ember/repl"
)

// TestLinkErrorsNamePeersOnce: what package net says again of the operation and of addresses is left out of the
// text; what it says of another address stays. The cause stays whole for errors.Is and As.
func TestLinkErrorsNamePeersOnce(t *testing.T) {
	at := func(s string) net.Addr {
		a, err := net.ResolveTCPAddr("tcp", s)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	refused := os.NewSyscallError("connect", syscall.ECONNREFUSED)
	for _, c := range []struct {
		op, peer string
		err      error
		want     string
	}{
		{"dial", "10.0.0.1:7000", &net.OpError{Op: "dial", Net: "tcp", Addr: at("10.0.0.1:7000"), Err: refused},
			"repl: dial 10.0.0.1:7000: connect: connection refused"},
		{"dial", "localhost:7000", &net.OpError{Op: "dial", Net: "tcp", Addr: at("127.0.0.1:7000"), Err: refused},
			"repl: dial localhost:7000: 127.0.0.1:7000: connect: connection refused"},
		{"dial", "10.0.0.1", &net.OpError{Op: "dial", Net: "tcp", Err: &net.AddrError{Err: "missing port in address", Addr: "10.0.0.1"}},
			"repl: dial 10.0.0.1: missing port in address"},
		{"dial", "a.example:7000", &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "a.example"}},
			"repl: dial a.example:7000: lookup a.example: no such host"},
		{"dial", "10.0.0.1:7000", fmt.Errorf("%w: %w", repl.ErrTimeout, &net.OpError{Op: "dial", Net: "tcp", Addr: at("10.0.0.1:7000"), Err: os.ErrDeadlineExceeded}),
			"repl: dial 10.0.0.1:7000: peer timed out: i/o timeout"},
		{"follow", "10.0.0.1:7000 (a)", &net.OpError{Op: "read", Net: "tcp", Source: at("10.0.0.2:40000"), Addr: at("10.0.0.1:7000"), Err: os.NewSyscallError("read", syscall.ECONNRESET)},
			"repl: follow 10.0.0.1:7000 (a): read: connection reset by peer"},
		{"serve", "10.0.0.1:40000 (b)", fmt.Errorf("%w: %w", repl.ErrTimeout, &net.OpError{Op: "write", Net: "tcp", Source: at("10.0.0.2:7000"), Addr: at("10.0.0.1:40000"), Err: os.ErrDeadlineExceeded}),
			"repl: serve 10.0.0.1:40000 (b): peer timed out: write: i/o timeout"},
		{"follow", "10.0.0.1:7000 (a)", repl.ErrForeign,
			"repl: follow 10.0.0.1:7000 (a): upstream shares no history with this node"},
	} {
		err := error(&repl.LinkError{Op: c.op, Peer: c.peer, Err: c.err})
		if got := err.Error(); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
		var op, was *net.OpError
		if errors.As(err, &op) != errors.As(c.err, &was) || op != was || errors.Is(err, repl.ErrTimeout) != errors.Is(c.err, repl.ErrTimeout) {
			t.Errorf("%v hides its cause, %v", err, c.err)
		}
	}
}

// TestRefusalsNameThePeerOnce: a refusal says who has refused what, whether it is all that there is to say or
// is why a link has ended, and a farewell is not called a refusal.
func TestRefusalsNameThePeerOnce(t *testing.T) {
	const peer = "10.0.0.1:7000 (a)"
	link := func(err error) error { return &repl.LinkError{Op: "follow", Peer: peer, Err: err} }
	for _, c := range []struct {
		err  error
		want string
	}{
		{&repl.RefusedError{Peer: peer, Err: repl.ErrNotSupervised}, "repl: refused by 10.0.0.1:7000 (a): node takes no orders"},
		{&repl.RefusedError{Peer: peer, Err: repl.ErrPeerClosed}, "repl: refused by 10.0.0.1:7000 (a): peer is closed"},
		{&repl.RefusedError{Err: repl.ErrBusy}, "repl: refused by the peer: peer is busy"},
		{link(&repl.RefusedError{Err: repl.ErrBusy}), "repl: follow 10.0.0.1:7000 (a): refused by the peer: peer is busy"},
		{link(&repl.RefusedError{Err: repl.ErrBusy, Text: "repl: later"}),
			"repl: follow 10.0.0.1:7000 (a): refused by the peer: peer is busy, in its words: later"},
		{link(&repl.RefusedError{Err: repl.ErrPeerClosed}), "repl: follow 10.0.0.1:7000 (a): peer is closed"},
		{link(&repl.RefusedError{Err: repl.ErrPeerLeft, Text: "promoted"}),
			"repl: follow 10.0.0.1:7000 (a): peer has left, in its words: promoted"},
	} {
		if got := c.err.Error(); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
