package main

import (
	"context"
	"errors"
	"net"
	"sync"

	"github.com/emberkv/ember/repl"
)

// A cuttable is TCP with a plug that can be pulled: a Transport of our own.
type cuttable struct {
	repl.TCP
	mu    sync.Mutex
	down  bool
	conns []net.Conn
}

func newCuttable() *cuttable { return &cuttable{} }

// Dial implements repl.Transport.
func (c *cuttable) Dial(ctx context.Context, addr string) (net.Conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.down {
		return nil, errors.New("the plug is pulled")
	}
	conn, err := c.TCP.Dial(ctx, addr)
	if err == nil {
		c.conns = append(c.conns, conn)
	}
	return conn, err
}

// cut breaks every connection and lets no new one through.
func (c *cuttable) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.down = true
	for _, conn := range c.conns {
		conn.Close()
	}
	c.conns = nil
}

// heal lets connections through again.
func (c *cuttable) heal() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.down = false
}
