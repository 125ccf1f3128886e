package repl_test

import (
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/repl"
	"github.com/emberkv/ember/repl/repltest"
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

// TestMaxFollowers: one more than there may be is refused and says why, until another
// has left; one that comes again is not one more.
func TestMaxFollowers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, a := repltest.NewNetwork(1), newLedger(nil)
		fill(t, a, "k", 5)
		m := master(t, a, net.Host("a"), "a", &repl.Options{MaxFollowers: 2})
		var replicas []*repl.Replica
		for _, name := range []string{"b", "c", "d"} {
			replicas = append(replicas, replica(t, newLedger(nil), net.Host(name), "a", nil))
			time.Sleep(time.Second)
		}
		refused := func(r *repl.Replica) bool {
			s := r.Status().Upstream
			return s.State != repl.LinkStreaming && strings.Contains(s.LastError, "peer is busy")
		}
		if n := len(m.Status().Followers); n != 2 || !refused(replicas[2]) {
			t.Errorf("%d followers; the last: %+v", n, replicas[2].Status().Upstream)
		}
		replicas[0].Close()
		time.Sleep(10 * time.Second)
		synced(t, m, a, replicas[1:]...)
		replicas[1].Close()
		synctest.Wait()
		follow(t, net.Host("x"), "a", someone(3).at(a))
		follow(t, net.Host("x"), "a", someone(3).at(a)) // its older link is open still
	})
}

// An anonymousConn does not know who is at its other end, as [net.Conn] allows.
type anonymousConn struct{ net.Conn }

func (anonymousConn) RemoteAddr() net.Addr { return nil }

type anonymousListener struct{ net.Listener }

func (l anonymousListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return anonymousConn{c}, nil
}

// TestConnectionsWithoutAnAddress are served, and leave an address as it was announced.
func TestConnectionsWithoutAnAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, a := repl.NewMemory(), newLedger(nil)
		m := master(t, a, net, "plain", nil)
		ln, err := net.Listen("anonymous")
		if err != nil {
			t.Fatal(err)
		}
		go m.Serve(anonymousListener{ln})
		r := replica(t, newLedger(nil), net, "anonymous", &repl.Options{Announce: "0.0.0.0:7000"})
		synced(t, m, a, r)
		if p := m.Status().Followers[0].Peer; p.Addr != "" || p.Listen != "0.0.0.0:7000" {
			t.Errorf("%+v", p)
		}
	})
}
