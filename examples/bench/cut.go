package main

import (
	"context"
	"errors"
	"net"
	"sync"

	"github.com/emberkv/ember/repl"
)

// A cuttable is a transport whose connections can be broken and refused.
type cuttable struct {
	repl.Transport

	mu struct {
		sync.Mutex
		down  bool
		conns []net.Conn
	}
}

var errCut = errors.New("the link is cut")

// Dial implements [repl.Transport].
func (c *cuttable) Dial(ctx context.Context, addr string) (net.Conn, error) {
	if c.isDown() {
		return nil, errCut
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

func (c *cuttable) isDown() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mu.down
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
}
