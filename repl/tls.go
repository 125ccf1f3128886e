package repl

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
)

// TLS is the [Transport] that encrypts another one. Nodes both dial and listen,
// so one Config serves both roles: Certificates, RootCAs to verify whom they
// dial, and ClientCAs with ClientAuth set to [tls.RequireAndVerifyClientCert]
// to admit only members of the group:
//
//	transport := repl.TLS{Config: &tls.Config{
//		Certificates: []tls.Certificate{certificate}, // for both ends of a link
//		RootCAs:      group,                          // an *x509.CertPool
//		ClientCAs:    group,
//		ClientAuth:   tls.RequireAndVerifyClientCert,
//	}}
//	ln, err := transport.Listen(":7000")
//	go master.Serve(ln)
//
//	replica, err := repl.NewReplica(store, "ember-1.internal:7000", &repl.Options{Transport: transport})
type TLS struct {
	// Over carries the encrypted bytes; nil means TCP{}.
	Over Transport

	// Config must not be nil nor be changed afterwards. It is refused if it has ClientCAs but
	// neither a ClientAuth that checks certificates against them nor a function of the program
	// that may: whoever dials would be let in, and somebody meant otherwise. A MinVersion of 0
	// means TLS 1.3: both ends are this library. An empty ServerName means the host of the
	// address that is dialed; an address without a host, such as a socket's path, is taken
	// whole, so set ServerName over Unix.
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
		if brokenOff(err) {
			err = fmt.Errorf("closed during the TLS handshake, perhaps because no TLS is spoken there: %w", unexpected(err))
		}
		return nil, err
	}
	return c, nil
}

// Listen takes addr. Accept does not wait for a handshake: the first Read or
// Write performs it, under its caller's deadline, so that a silent peer holds up
// nobody else. Errors are those of Over, and one for a Config without a
// certificate.
func (t TLS) Listen(addr string) (net.Listener, error) {
	config, err := t.config()
	if err != nil {
		return nil, err
	}
	if len(config.Certificates) == 0 && config.GetCertificate == nil && config.GetConfigForClient == nil {
		return nil, errors.New("repl: TLS.Config has no certificate to listen with")
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

// fault returns what is wrong with t as an option, or nil.
func (t TLS) fault() error {
	switch c := t.Config; {
	case c == nil:
		return &OptionError{Field: "TLS.Config", Value: nil, Want: "a configuration"}
	case c.ClientCAs != nil && c.GetConfigForClient == nil && letsAnyoneIn(c):
		return &OptionError{Field: "TLS.Config.ClientAuth", Value: c.ClientAuth, Want: "RequireAndVerifyClientCert, since ClientCAs are set"}
	}
	return faultOf(t.Over)
}

// letsAnyoneIn reports whether c has a server ask for no certificate, or for one that
// neither it nor the program looks at.
func letsAnyoneIn(c *tls.Config) bool {
	switch c.ClientAuth {
	case tls.NoClientCert:
		return true
	case tls.RequestClientCert, tls.RequireAnyClientCert:
		return c.VerifyPeerCertificate == nil && c.VerifyConnection == nil
	}
	return false
}

func (t TLS) config() (*tls.Config, error) {
	if err := t.fault(); err != nil {
		return nil, err
	}
	c := t.Config.Clone()
	if c.MinVersion == 0 {
		c.MinVersion = tls.VersionTLS13
	}
	return c, nil
}

// brokenOff reports whether err says that the other end has closed.
func brokenOff(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET)
}

// refusesCertificate reports whether err is the other end's word that it does not
// accept the certificate it was shown, or the lack of one.
func refusesCertificate(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error" && strings.Contains(op.Err.Error(), "certificate")
}

// tlsReason puts what an error of TLS means before its text.
func tlsReason(err error) error {
	var noTLS tls.RecordHeaderError
	switch {
	case refusesCertificate(err):
		return fmt.Errorf("the other end does not accept this node's certificate: %w", err)
	case errors.As(err, &noTLS):
		return fmt.Errorf("the other end does not speak TLS: %w", err)
	}
	return err
}
