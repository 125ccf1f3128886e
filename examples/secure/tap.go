package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/emberkv/ember/repl"
)

// A tap is TCP, with somebody who listens on every connection that is dialled.
type tap struct {
	repl.TCP
	mu struct {
		sync.Mutex
		heard []byte
	}
}

type tappedConn struct {
	net.Conn
	tap *tap
}

func (t *tap) Dial(ctx context.Context, addr string) (net.Conn, error) {
	c, err := t.TCP.Dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	return tappedConn{c, t}, nil
}

func (c tappedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.tap.hear(p[:n])
	return n, err
}

func (c tappedConn) Write(p []byte) (int, error) {
	c.tap.hear(p)
	return c.Conn.Write(p)
}

func (t *tap) hear(p []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mu.heard = append(t.mu.heard, p...)
}

// heardOf reports whether text went by.
func (t *tap) heardOf(text string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return bytes.Contains(t.mu.heard, []byte(text))
}

// listen shows what one reads who listens on a wire without TLS.
func (s *show) listen() error {
	s.say("\nWithout TLS, somebody listens on the wire.")
	for _, secrets := range [][]repl.Secret{nil, {s.secret}} {
		t := &tap{}
		reads, err := s.overTap(t, secrets)
		if err != nil {
			return err
		}
		what := "with a secret, "
		if secrets == nil {
			what = "without a secret, "
		}
		if reads != (secrets == nil) {
			return fmt.Errorf("%she reads the value: %v", what, reads)
		}
		if reads {
			what += "he reads the group's name, the keys and the values"
		} else {
			what += "he reads none of them"
		}
		s.say("  %s", what)
	}
	return nil
}

// overTap makes a pair of nodes over t. It reports whether what they say of the group, a key
// and a value can be read there, and returns an error if it is only some of them.
func (s *show) overTap(t *tap, secrets []repl.Secret) (reads bool, err error) {
	master, err := newMember("a", repl.TCP{}, "", secrets...)
	if err != nil {
		return false, err
	}
	defer master.close()
	replica, err := newMember("b", t, master.addr, secrets...)
	if err != nil {
		return false, err
	}
	defer replica.close()
	if err := errors.Join(replica.synced(s.ctx), master.set("account/1", "the balance is 1000"),
		replica.has(s.ctx, master, "account/1", "the balance is 1000"), replica.same(master)); err != nil {
		return false, err
	}
	found := 0
	for _, text := range []string{"accounts", "account/1", "the balance is 1000"} {
		if t.heardOf(text) {
			found++
		}
	}
	if found != 0 && found != 3 {
		return false, fmt.Errorf("%d of 3 can be read", found)
	}
	return found == 3, nil
}
