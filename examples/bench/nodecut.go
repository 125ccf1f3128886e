package main

import (
	"context"
	"errors"
	"net"
	"sync"

	"github.com/emberkv/ember/repl"
)

// A cuttable is a transport whose connections can be broken, refused, and held up.
type cuttable struct {
	repl.Transport

	mu struct {
		sync.Mutex
		down  bool
		held  chan struct{} // closed when whoever dials may go on; nil if at once
		conns []net.Conn
	}
}

var errCut = errors.New("the link is cut")

// Dial implements [repl.Transport].
func (c *cuttable) Dial(ctx context.Context, addr string) (net.Conn, error) {
	if err := c.pass(ctx); err != nil {
		return nil, err
	}
	conn, err := c.Transport.Dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.down { // cut while it was being dialled
		conn.Close()
		return nil, errCut
	}
	c.mu.conns = append(c.mu.conns, conn)
	return conn, nil
}

// pass waits until there may be connections, or returns why there may not.
func (c *cuttable) pass(ctx context.Context) error {
	c.mu.Lock()
	down, held := c.mu.down, c.mu.held
	c.mu.Unlock()
	if down {
		return errCut
	}
	if held == nil {
		return nil
	}
	select {
	case <-held:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// hold closes every connection, and lets new ones wait.
func (c *cuttable) hold() {
	c.mu.Lock()
	c.mu.held = make(chan struct{})
	c.mu.Unlock()
	c.sever()
}

// cut closes every connection and refuses new ones.
func (c *cuttable) cut() {
	c.mu.Lock()
	c.mu.down = true
	c.mu.Unlock()
	c.sever()
}

// sever closes every connection.
func (c *cuttable) sever() {
	c.mu.Lock()
	conns := c.mu.conns
	c.mu.conns = nil
	c.mu.Unlock()
	for _, conn := range conns {
		conn.Close()
	}
}

// heal lets connections through again.
func (c *cuttable) heal() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.down = false
	if c.mu.held != nil {
		close(c.mu.held)
		c.mu.held = nil
	}
}
