package repl_test

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/emberkv/ember/repl"
	"github.com/emberkv/ember/repl/repltest"
)

const anyPort = "127.0.0.1:0"

func TestTCPIsATransport(t *testing.T) {
	repltest.CheckTransport(t, repl.TCP{}, repl.TCP{}, anyPort)
}

func TestTCPOptionsAreATransport(t *testing.T) {
	tuned := &repl.TCP{KeepAlive: -1, BufferBytes: 256 << 10, Nagle: true}
	repltest.CheckTransport(t, tuned, tuned, anyPort)
}

func TestUnixIsATransport(t *testing.T) {
	repltest.CheckTransport(t, repl.Unix{}, repl.Unix{}, filepath.Join(t.TempDir(), "s"))
}

func TestTLSIsATransport(t *testing.T) {
	for name, over := range map[string]repl.Transport{"TCP": nil, "Memory": repl.NewMemory()} {
		t.Run(name, func(t *testing.T) {
			tr := repl.TLS{Over: over, Config: groupTLS(t)}
			repltest.CheckTransport(t, tr, tr, anyPort)
		})
	}
}

func TestTCPRefusesNegativeBuffer(t *testing.T) {
	bad := repl.TCP{BufferBytes: -1}
	const want = "repl: TCP.BufferBytes is -1, must not be negative"
	if _, err := bad.Dial(t.Context(), anyPort); err == nil || err.Error() != want {
		t.Errorf("Dial: %v", err)
	}
	if _, err := bad.Listen(anyPort); err == nil || err.Error() != want {
		t.Errorf("Listen: %v", err)
	}
}

// A socket that a killed process left is replaced; one that is served, and a
// file that is no socket, are not.
func TestUnixReplacesAbandonedSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	dead.Close()
	l, err := repl.Unix{}.Listen(path)
	if err != nil {
		t.Fatalf("Listen where a socket was left: %v", err)
	}
	if _, err := (repl.Unix{}).Listen(path); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("Listen where somebody listens: %v", err)
	}
	l.Close()
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := (repl.Unix{}).Listen(path); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("Listen where a file is: %v", err)
	}
	if b, err := os.ReadFile(path); string(b) != "precious" {
		t.Errorf("the file that was in the way holds %q, %v", b, err)
	}
}

func TestTLSAdmitsOnlyTheGroup(t *testing.T) {
	network := repl.NewMemory()
	ours := repl.TLS{Over: network, Config: groupTLS(t)}
	l, err := ours.Listen("master")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	served := make(chan error)
	serve := func() {
		c, err := l.Accept()
		if err == nil {
			_, err = io.ReadFull(c, make([]byte, 1))
			c.Close()
		}
		served <- err
	}

	go serve()
	c, err := ours.Dial(t.Context(), "master")
	if err != nil {
		t.Fatal(err)
	}
	c.Write([]byte{1})
	if err := <-served; err != nil {
		t.Errorf("a member was refused: %v", err)
	}
	c.Close()

	go serve()
	if _, err := (repl.TLS{Over: network, Config: groupTLS(t)}).Dial(t.Context(), "master"); err == nil {
		t.Error("a node of another group trusts this one")
	}
	if err := <-served; err == nil {
		t.Error("a node of another group was admitted")
	}
}

// openConns counts the connections that a transport dialed and that are open.
type openConns struct {
	repl.Transport
	n atomic.Int64
}

type countedConn struct {
	net.Conn
	open *atomic.Int64
}

func (o *openConns) Dial(ctx context.Context, addr string) (net.Conn, error) {
	c, err := o.Transport.Dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	o.n.Add(1)
	return countedConn{c, &o.n}, nil
}

func (c countedConn) Close() error {
	c.open.Add(-1)
	return c.Conn.Close()
}

// A failed handshake leaves no connection.
func TestTLSDialClosesWhatFails(t *testing.T) {
	network := &openConns{Transport: repl.NewMemory()}
	l, err := network.Listen("master")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		if c, err := l.Accept(); err == nil {
			io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n")
			c.Close()
		}
	}()
	if _, err := (repl.TLS{Over: network, Config: groupTLS(t)}).Dial(t.Context(), "master"); err == nil {
		t.Error("a handshake with a web server succeeded")
	}
	if open := network.n.Load(); open != 0 {
		t.Errorf("%d connections are open", open)
	}
}

// Nodes speak TLS 1.3 unless their configuration says otherwise.
func TestTLSVersion(t *testing.T) {
	for _, least := range []uint16{0, tls.VersionTLS12} {
		network := repl.NewMemory()
		config := groupTLS(t)
		config.MinVersion = least
		l, err := repl.TLS{Over: network, Config: config}.Listen("master")
		if err != nil {
			t.Fatal(err)
		}
		go greet(l)
		old := config.Clone()
		old.MaxVersion = tls.VersionTLS12
		old.MinVersion = tls.VersionTLS12
		got := greeting(repl.TLS{Over: network, Config: old}, "master")
		if (got == "hello") != (least == tls.VersionTLS12) {
			t.Errorf("with least version %#x a node that speaks TLS 1.2 gets %q", least, got)
		}
		l.Close()
	}
}

// A peer that accepts but never answers does not outlast the context.
func TestTLSDialObeysContext(t *testing.T) {
	network := repl.NewMemory()
	l, err := network.Listen("silent")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
	defer cancel()
	if _, err := (repl.TLS{Over: network, Config: groupTLS(t)}).Dial(ctx, "silent"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Dial: %v, want context.DeadlineExceeded", err)
	}
}

func TestTLSNeedsConfig(t *testing.T) {
	if _, err := (repl.TLS{}).Dial(t.Context(), anyPort); err == nil {
		t.Error("Dial without a config succeeded")
	}
	if _, err := (repl.TLS{}).Listen(anyPort); err == nil {
		t.Error("Listen without a config succeeded")
	}
}

func groupTLS(t testing.TB) *tls.Config {
	t.Helper()
	c, err := newGroup("master", "silent")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// newGroup returns the configuration of a group whose nodes share one
// certificate, which is its own authority.
func newGroup(nodes ...string) (*tls.Config, error) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "group"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(time.Hour),
		DNSNames:              nodes,
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(nil, template, template, public, private)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: private}},
		RootCAs:      pool,
		ClientCAs:    pool,
		ClientAuth:   tls.RequireAndVerifyClientCert,
	}, nil
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
