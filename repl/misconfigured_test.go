package repl_test

import (
	"context"
	"crypto/tls"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/emberkv/ember/repl"
)

// first returns what comes first from c, in real time.
func first(t *testing.T, what string, c <-chan error) string {
	t.Helper()
	select {
	case err := <-c:
		return err.Error()
	case <-time.After(time.Minute):
		t.Fatal("nothing from " + what)
		return ""
	}
}

// put sends err, unless nobody has taken those before.
func put(c chan error, err error) {
	select {
	case c <- err:
	default:
	}
}

// TestMisconfiguredTLS: two nodes that do not get together over TCP say why, each
// in words for its own operator; nothing is half done, and as soon as the fault is
// mended they do.
func TestMisconfiguredTLS(t *testing.T) {
	ours, theirs := newAuthority(t, "ours"), newAuthority(t, "theirs")
	good := repl.TLS{Config: ours.group(ours.issue(t, time.Hour))}
	of := func(cert tls.Certificate) repl.TLS { return repl.TLS{Config: ours.group(cert)} }
	stubborn := of(theirs.issue(t, time.Hour)) // shows its certificate though the upstream names other authorities
	stubborn.Config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		return &stubborn.Config.Certificates[0], nil
	}
	none := &tls.Config{RootCAs: ours.pool}
	for _, c := range []struct {
		name             string
		upstream, below  repl.Transport
		replica, refused string // what their operators read
	}{
		{
			"the upstream's certificate is of another authority", of(theirs.issue(t, time.Hour)), good,
			"certificate signed by unknown authority", "does not accept this node's certificate: remote error: tls: bad certificate",
		},
		{
			"the follower's is", good, stubborn,
			"does not accept this node's certificate: remote error: tls: unknown certificate authority", "certificate signed by unknown authority",
		},
		{
			"the upstream's has expired", of(ours.issue(t, -time.Minute)), good,
			"certificate has expired or is not yet valid", "does not accept this node's certificate",
		},
		{
			"the follower's has", good, of(ours.issue(t, -time.Minute)),
			"does not accept this node's certificate", "certificate has expired or is not yet valid",
		},
		{
			"the follower has none", good, repl.TLS{Config: none},
			"does not accept this node's certificate: remote error: tls: certificate required", "client didn't provide a certificate",
		},
		{
			"the follower speaks no TLS", good, repl.TCP{},
			"closed without an answer; it may be no node, or one that expects TLS", "the other end does not speak TLS",
		},
		{
			"the upstream speaks none", repl.TCP{}, good,
			"closed during the TLS handshake, perhaps because no TLS is spoken there", "begins with a TLS handshake, and no TLS is spoken here",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := newLedger(nil), newLedger(nil)
			fill(t, a, "k", 10)
			refused, ended := make(chan error, 1), make(chan error, 1)
			m, err := repl.NewMaster(a, seeded(t, &repl.Options{Events: repl.Events{Refused: func(_ repl.Peer, err error) { put(refused, err) }}}))
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			ln, err := c.upstream.Listen(anyPort)
			if err != nil {
				t.Fatal(err)
			}
			go m.Serve(ln)
			wrong := &openConns{Transport: c.below}
			r, err := repl.NewReplica(b, ln.Addr().String(), seeded(t, &repl.Options{Transport: wrong, Events: repl.Events{
				Disconnected: func(_ repl.Peer, err error) { put(ended, err) },
			}}))
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			ran := make(chan error)
			go func() { ran <- r.Run(ctx) }()
			if text := first(t, "the replica", ended); !strings.Contains(text, c.replica) || strings.Count(text, "repl: ") > 2 {
				t.Errorf("the replica says %q, want %q", text, c.replica)
			}
			if text := first(t, "the master", refused); !strings.Contains(text, c.refused) {
				t.Errorf("the master says %q, want %q", text, c.refused)
			}
			if s := r.Status().Upstream; s.LastError == "" || s.Fulls != 0 || len(b.state()) != 0 {
				t.Errorf("half done: %+v", s)
			}
			cancel()
			<-ran
			if open := wrong.n.Load(); open != 0 {
				t.Errorf("%d connections are open", open)
			}
			r.Close()

			// The listener and the follower get what they should have had.
			if c.upstream != good {
				if ln, err = good.Listen(anyPort); err != nil {
					t.Fatal(err)
				}
				go m.Serve(ln)
			}
			synced(t, m, a, replica(t, b, good, ln.Addr().String(), nil))
			same(t, a, b)
		})
	}
}

// TestMisconfiguredAddresses: what an operator reads when an address is wrong, and
// that a node which cannot listen or dial goes on as it was.
func TestMisconfiguredAddresses(t *testing.T) {
	taken, err := repl.TCP{}.Listen(anyPort)
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	if _, err := (repl.TCP{}).Listen(taken.Addr().String()); err == nil || err.Error() != "listen tcp "+taken.Addr().String()+": bind: address already in use" {
		t.Errorf("a port in use: %v", err)
	}
	for _, addr := range []string{"", "127.0.0.1", "127.0.0.1:99999", "[::1:7000", "nosuch.invalid:7000", "127.0.0.1:nosuch"} {
		if l, err := (repl.TCP{}).Listen(addr); err == nil {
			l.Close()
			t.Errorf("listens at %q", addr)
		}
		if addr == "" {
			continue // NewReplica refuses it
		}
		ended := make(chan error, 1)
		b := newLedger(nil)
		r, err := repl.NewReplica(b, addr, seeded(t, &repl.Options{Events: repl.Events{Disconnected: func(_ repl.Peer, err error) { put(ended, err) }}}))
		if err != nil {
			t.Fatal(err)
		}
		go r.Run(t.Context())
		text := first(t, "the replica", ended)
		// A machine whose name server does not answer says so after a time-out.
		if !strings.HasPrefix(text, "repl: dial "+addr+": ") || strings.Contains(text, "dial tcp") || strings.Contains(text, "\n") {
			t.Errorf("address %q: %s", addr, text)
		}
		r.Close()
	}
}

// TestSocketMended: a replica whose upstream's socket is missing, or is somebody
// else's file, says so and is there when the socket is.
func TestSocketMended(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	ended := make(chan error, 1)
	a, b := newLedger(nil), newLedger(nil)
	fill(t, a, "k", 10)
	r := replica(t, b, repl.Unix{}, path, &repl.Options{Events: repl.Events{Disconnected: func(_ repl.Peer, err error) { put(ended, err) }}})
	if text, want := first(t, "the replica", ended), "repl: dial "+path+": connect: no such file or directory"; text != want {
		t.Errorf("%q, want %q", text, want)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for text := first(t, "the replica", ended); !strings.HasSuffix(text, "it is a file, not a socket"); {
		text = first(t, "the replica", ended)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	m := master(t, a, repl.Unix{}, path, nil)
	synced(t, m, a, r)
	same(t, a, b)
	if f := m.Status().Followers[0].Peer; f.Addr == "" {
		t.Errorf("a follower on a socket: %+v", f)
	}
}

// A hatch is a listener of a program's own: its connections are the ends of
// net.Pipe, which hold no byte that nobody reads.
type hatch struct {
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func (h *hatch) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.closed:
		return nil, net.ErrClosed
	}
}

func (h *hatch) Close() error   { h.once.Do(func() { close(h.closed) }); return nil }
func (h *hatch) Addr() net.Addr { return &net.UnixAddr{Name: "hatch", Net: "hatch"} }

func (h *hatch) Listen(string) (net.Listener, error) { return h, nil }

func (h *hatch) Dial(ctx context.Context, _ string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case h.conns <- far:
		return near, nil
	case <-h.closed:
		return nil, syscall.ECONNREFUSED
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// TestAnyListener: what is served need not come from a Transport.
func TestAnyListener(t *testing.T) {
	ca := newAuthority(t, "ours")
	config := ca.group(ca.issue(t, time.Hour))
	listen := func() net.Listener {
		ln, err := net.Listen("tcp", anyPort)
		if err != nil {
			t.Fatal(err)
		}
		return ln
	}
	inherited := func() net.Listener { // as from a supervisor that has opened the port
		opened := listen()
		defer opened.Close()
		file, err := opened.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		ln, err := net.FileListener(file)
		if err != nil {
			t.Fatal(err)
		}
		return ln
	}
	h := &hatch{conns: make(chan net.Conn), closed: make(chan struct{})}
	for name, c := range map[string]struct {
		ln   net.Listener
		dial repl.Transport
	}{
		"net.Listen":      {listen(), repl.TCP{}},
		"tls.NewListener": {tls.NewListener(listen(), config), repl.TLS{Config: config}},
		"inherited":       {inherited(), repl.TCP{}},
		"net.Pipe":        {h, h},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := newLedger(nil), newLedger(nil)
			fill(t, a, "before", 100)
			m, err := repl.NewMaster(a, seeded(t, nil))
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			go m.Serve(c.ln)
			r := replica(t, b, c.dial, c.ln.Addr().String(), nil)
			synced(t, m, a, r)
			fill(t, a, "after", 100)
			synced(t, m, a, r)
			same(t, a, b)
		})
	}
}
