package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/repl"
)

// A stranger is a node that tries to follow the master, and lacks something.
type stranger struct {
	who       string
	transport repl.Transport
	secrets   []repl.Secret
}

// A once dials once, so that the master has one thing to say of a stranger. It is for the one
// goroutine that dials for a replica.
type once struct {
	repl.Transport
	dialled bool
}

func (o *once) Dial(ctx context.Context, addr string) (net.Conn, error) {
	if o.dialled {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	o.dialled = true
	return o.Transport.Dial(ctx, addr)
}

// strangers lets those try who lack something. Each is told no more than that he was not let
// in; the master's operator reads why.
func (s *show) strangers() error {
	s.say("\nStrangers dial the master.")
	theirs, err := newAuthority("somebody else's authority")
	if err != nil {
		return err
	}
	good, err := s.ours.transport("guest")
	if err != nil {
		return err
	}
	foreign, err := theirs.certificate("guest")
	if err != nil {
		return err
	}
	stubborn := repl.TLS{Config: &tls.Config{
		RootCAs: s.ours.pool, // he trusts the group; it does not trust him
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return &foreign, nil
		},
	}}
	for _, g := range []stranger{
		{"no TLS", repl.TCP{}, []repl.Secret{s.secret}},
		{"no certificate", repl.TLS{Config: &tls.Config{RootCAs: s.ours.pool}}, []repl.Secret{s.secret}},
		{"another authority's certificate", stubborn, []repl.Secret{s.secret}},
		{"a certificate and no secret", good, nil},
		{"a certificate and a secret of his own", good, []repl.Secret{repl.NewSecret()}},
	} {
		if err := s.try(g); err != nil {
			return fmt.Errorf("%s: %w", g.who, err)
		}
	}
	return nil
}

// try lets a stranger dial the master, and returns nil when it was refused.
func (s *show) try(g stranger) error {
	select {
	case <-s.master().told: // of an earlier one
	default:
	}
	store := kv.New(nil)
	defer store.Close()
	ended := make(chan error, 1)
	r, err := repl.NewReplica(store, s.master().addr, &repl.Options{
		Name: "guest", Group: "accounts", Transport: &once{Transport: g.transport}, Security: repl.Security{Secrets: g.secrets},
		Events: repl.Events{
			Connected:    func(repl.Peer) { offer(ended, errors.New("he was let in")) },
			Disconnected: func(_ repl.Peer, err error) { offer(ended, err) },
		},
	})
	if err != nil {
		return err
	}
	defer r.Close()
	go r.Run(s.ctx) // until Close
	heard := next(s.ctx, ended)
	r.Close()
	var link *repl.LinkError
	if !errors.As(heard, &link) || store.Len() != 0 {
		return fmt.Errorf("%w, and has %d keys", heard, store.Len())
	}
	told := next(s.ctx, s.master().told)
	if !errors.As(told, &link) {
		return fmt.Errorf("the master has refused nobody: %w", told)
	}
	s.say("  %s\n    he reads:         %s\n    the master's log: %s", g.who, reason(heard), reason(told))
	return nil
}

// reason returns what a link's error says, without where.
func reason(err error) string {
	if link := (*repl.LinkError)(nil); errors.As(err, &link) {
		err = link.Err
	}
	return strings.ReplaceAll(err.Error(), "repl: ", "")
}
