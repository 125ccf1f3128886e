package repl_test

import (
	"net"
	"testing"
	"testing/synctest"

	"github.com/emberkv/ember/repl"
)

// A tappedListener is a program's own, whose values cannot be compared, nor those of
// its connections.
type tappedListener struct {
	net.Listener
	taps []func(net.Conn)
}

type tappedConn struct {
	net.Conn
	taps []func(net.Conn)
}

func (l tappedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return tappedConn{c, l.taps}, nil
}

// TestListenersOfAnyType: a node takes listeners and connections whatever they are
// made of, several at once, and announces the first that is served still.
func TestListenersOfAnyType(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, a := repl.NewMemory(), newLedger(nil)
		fill(t, a, "k", 5)
		m := master(t, a, net, "plain", nil)
		synctest.Wait()
		ln, err := net.Listen("tapped")
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- m.Serve(tappedListener{Listener: ln, taps: nil}) }()
		b := newLedger(nil)
		r := replica(t, b, net, "tapped", nil)
		synced(t, m, a, r)
		same(t, a, b)
		if s := m.Status().Announce; s != "plain" {
			t.Errorf("announced is %q", s)
		}
		m.Close()
		if err := <-ended; err != repl.ErrClosed {
			t.Errorf("Serve: %v", err)
		}
		if s := m.Status().Announce; s != "" {
			t.Errorf("announced after Close is %q", s)
		}
	})
}
