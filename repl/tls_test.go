package repl_test

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emberkv/ember/repl"
)

// An authority signs the certificates of a group's nodes.
type authority struct {
	cert *x509.Certificate
	key  ed25519.PrivateKey
	pool *x509.CertPool
}

func newAuthority(t testing.TB, name string) *authority {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{cert: template, key: private, pool: x509.NewCertPool()}
	a.cert = a.sign(t, template, public)
	a.pool.AddCert(a.cert)
	return a
}

func (a *authority) sign(t testing.TB, template *x509.Certificate, public ed25519.PublicKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(nil, template, a.cert, public, a.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// issue returns the certificate of a node of this machine. It expires after so
// long.
func (a *authority) issue(t testing.TB, after time.Duration) tls.Certificate {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	cert := a.sign(t, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "node"},
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(after),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"},
	}, public)
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: private}
}

// group returns the configuration of a node with that certificate: both ends of
// every link show one of this authority.
func (a *authority) group(own tls.Certificate) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{own}, RootCAs: a.pool, ClientCAs: a.pool, ClientAuth: tls.RequireAndVerifyClientCert}
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
	if _, err := (repl.TLS{Config: &tls.Config{}}).Listen(anyPort); err == nil || err.Error() != "repl: TLS.Config has no certificate to listen with" {
		t.Errorf("Listen without a certificate: %v", err)
	}
	// A list of authorities that nobody is asked for, or that no certificate is compared
	// with, lets everybody in.
	asking := func(kind tls.ClientAuthType) repl.Transport {
		c := groupTLS(t)
		c.ClientAuth = kind
		return repl.TLS{Config: c}
	}
	for _, bad := range []repl.Transport{
		repl.TLS{}, &repl.TLS{}, asking(tls.NoClientCert), asking(tls.RequestClientCert), asking(tls.RequireAnyClientCert), repl.TCP{BufferBytes: -1}, repl.TLS{Over: repl.TCP{BufferBytes: -1}, Config: groupTLS(t)},
	} {
		if _, err := bad.Listen(anyPort); !errors.Is(err, repl.ErrOption) {
			t.Errorf("Listen of %T: %v, want ErrOption", bad, err)
		}
		if _, err := repl.NewReplica(newLedger(nil), "a", &repl.Options{Transport: bad}); !errors.Is(err, repl.ErrOption) {
			t.Errorf("NewReplica with %T: %v, want ErrOption", bad, err)
		}
	}
	// A program that looks at certificates itself may ask as it likes.
	own := groupTLS(t)
	own.ClientAuth, own.VerifyConnection = tls.RequireAnyClientCert, func(tls.ConnectionState) error { return nil }
	for _, good := range []repl.Transport{asking(tls.VerifyClientCertIfGiven), repl.TLS{Config: own}} {
		if _, err := repl.NewReplica(newLedger(nil), "a", &repl.Options{Transport: good}); err != nil {
			t.Errorf("NewReplica with %T: %v", good, err)
		}
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
