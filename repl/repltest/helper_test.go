package repltest_test

import (
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"

	"github.com/emberkv/ember/repl/repltest"
)

// bubble runs f on virtual time with a network of its own, and fails when
// something of it is left.
func bubble(t *testing.T, f func(t *testing.T, n *repltest.Network)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := repltest.NewNetwork(1)
		defer n.Close()
		f(t, n)
	})
}

// connect dials from one host to another, which must not listen yet, and
// returns both ends.
func connect(t *testing.T, n *repltest.Network, from, to string) (near, far net.Conn) {
	t.Helper()
	l, err := n.Host(to).Listen(to)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		c, _ := l.Accept()
		accepted <- c
	}()
	near, err = n.Host(from).Dial(t.Context(), to)
	if err != nil {
		t.Fatal(err)
	}
	return near, <-accepted
}

func want(t *testing.T, what string, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("%s: %v, want %v", what, err, target)
	}
}

func write(t *testing.T, c net.Conn, s string) {
	t.Helper()
	if n, err := c.Write([]byte(s)); n != len(s) || err != nil {
		t.Errorf("Write(%.20q): %d, %v", s, n, err)
	}
}

func expect(t *testing.T, c net.Conn, s string) {
	t.Helper()
	p := make([]byte, len(s))
	if n, err := io.ReadFull(c, p); string(p[:n]) != s {
		t.Errorf("read %.40q, %v, want %.40q", p[:n], err, s)
	}
}
