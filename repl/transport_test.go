package repl_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/emberkv/ember/repl"
	"github.com/emberkv/ember/repl/repltest"
)

const anyPort = "127.0.0.1:0"

// TestTransports runs the conformance suite on every transport of this package;
// repltest does so for its network.
func TestTransports(t *testing.T) {
	ca := newAuthority(t, "ours")
	mutual := ca.group(ca.issue(t, time.Hour))
	oneSided := ca.group(ca.issue(t, time.Hour))
	oneSided.ClientAuth, oneSided.ClientCAs = tls.NoClientCert, nil
	memory := repl.NewMemory()
	withName := mutual.Clone()
	withName.ServerName = "localhost"
	socket := func(t *testing.T) string { return filepath.Join(t.TempDir(), "s") }
	port := lastingPort
	for _, c := range []struct {
		name           string
		server, client repl.Transport
		addr           func(*testing.T) string
	}{
		{"TCP", repl.TCP{}, repl.TCP{}, port},
		{"TCP with options", &repl.TCP{KeepAlive: -1, BufferBytes: 256 << 10, Nagle: true}, repl.TCP{}, port},
		{"Unix", repl.Unix{}, repl.Unix{}, socket},
		{"TLS", repl.TLS{Config: oneSided}, repl.TLS{Config: &tls.Config{RootCAs: ca.pool}}, port},
		{"mutual TLS", repl.TLS{Config: mutual}, repl.TLS{Config: mutual}, port},
		{"mutual TLS over Unix", repl.TLS{Over: repl.Unix{}, Config: mutual}, repl.TLS{Over: repl.Unix{}, Config: withName}, socket},
		{"TLS over Memory", repl.TLS{Over: memory, Config: mutual}, repl.TLS{Over: memory, Config: mutual}, port},
		{"a program's own", roster{over: repl.TCP{}}, roster{over: repl.TCP{}}, port},
	} {
		t.Run(c.name, func(t *testing.T) { repltest.CheckTransport(t, c.server, c.client, c.addr(t)) })
	}
}

// lastingPort returns an address that is listened at again and again. Its port is below those
// that the system hands out, or another process might have it in between.
func lastingPort(t *testing.T) string {
	t.Helper()
	for range 100 {
		addr := fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(20_000))
		if l, err := net.Listen("tcp", addr); err == nil {
			l.Close()
			return addr
		}
	}
	t.Fatal("no port is free")
	return ""
}

func TestTCPRefusesNegativeBuffer(t *testing.T) {
	bad := repl.TCP{BufferBytes: -1}
	const want = "repl: invalid option: TCP.BufferBytes is -1, want at least 0"
	if _, err := bad.Dial(t.Context(), anyPort); err == nil || err.Error() != want {
		t.Errorf("Dial: %v", err)
	}
	if _, err := bad.Listen(anyPort); err == nil || err.Error() != want {
		t.Errorf("Listen: %v", err)
	}
}

// greet accepts one connection and says hello.
func greet(l net.Listener) {
	if c, err := l.Accept(); err == nil {
		io.WriteString(c, "hello")
		c.Close()
	}
}

// greeting dials addr and returns what it is told.
func greeting(tr repl.Transport, addr string) string {
	c, err := tr.Dial(context.Background(), addr)
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	b, _ := io.ReadAll(c)
	return string(b)
}

func ExampleTCP() {
	tcp := repl.TCP{KeepAlive: 30 * time.Second}
	listener, err := tcp.Listen("127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer listener.Close()
	go greet(listener)
	fmt.Println(greeting(tcp, listener.Addr().String()))
	// Output: hello
}

func ExampleUnix() {
	dir, err := os.MkdirTemp("", "unix")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "ember.sock")
	listener, err := repl.Unix{}.Listen(path)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer listener.Close()
	go greet(listener)
	fmt.Println(greeting(repl.Unix{}, path))
	// Output: hello
}

func ExampleTLS() {
	// A program loads its own certificates; the name that is dialed must be in
	// the one that answers.
	config, err := newGroup("master")
	if err != nil {
		fmt.Println(err)
		return
	}
	transport := repl.TLS{Over: repl.NewMemory(), Config: config}
	listener, err := transport.Listen("master")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer listener.Close()
	go greet(listener)
	fmt.Println(greeting(transport, "master"))
	// Output: hello
}

// A roster is a transport of a program's own: nodes are known by name, and where
// they are is looked up at each dial, here in a map.
type roster struct {
	over repl.Transport
	at   map[string]string
}

func (r roster) Dial(ctx context.Context, name string) (net.Conn, error) {
	return r.over.Dial(ctx, r.lookup(name))
}

func (r roster) Listen(name string) (net.Listener, error) {
	return r.over.Listen(r.lookup(name))
}

func (r roster) lookup(name string) string {
	if addr, ok := r.at[name]; ok {
		return addr
	}
	return name // an address, not a name
}

// Whatever dials and listens will do; repltest.CheckTransport says whether it does
// so well enough.
func ExampleTransport_own() {
	transport := roster{
		over: repl.NewMemory(),
		at:   map[string]string{"paris": "10.0.0.1:7000"},
	}
	listener, err := transport.Listen("paris")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer listener.Close()
	go greet(listener)
	fmt.Println(listener.Addr(), "says", greeting(transport, "paris"))
	// Output: 10.0.0.1:7000 says hello
}

// One program, one network, no sockets: what stores that live together use.
func ExampleTransport() {
	var transport repl.Transport = repl.NewMemory()
	listener, err := transport.Listen("master")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer listener.Close()
	go greet(listener)
	fmt.Println(greeting(transport, "master"))
	// Output: hello
}
