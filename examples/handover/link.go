package main

import (
	"context"
	"net"
	"sync"

	"github.com/emberkv/ember/repl"
)

// A freezable is TCP whose connections can be made to hang: nothing arrives any more, but
// nothing is closed. It is a Transport of our own.
type freezable struct {
	repl.TCP
	mu     sync.Mutex
	thawed chan struct{} // closed by thaw; nil while nothing is frozen
}

// Dial implements repl.Transport.
func (f *freezable) Dial(ctx context.Context, addr string) (net.Conn, error) {
	conn, err := f.TCP.Dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	return &frozen{conn, f}, nil
}

func (f *freezable) freeze() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.thawed == nil {
		f.thawed = make(chan struct{})
	}
}

func (f *freezable) thaw() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.thawed != nil {
		close(f.thawed)
		f.thawed = nil
	}
}

// wait returns when nothing is frozen.
func (f *freezable) wait() {
	f.mu.Lock()
	thawed := f.thawed
	f.mu.Unlock()
	if thawed != nil {
		<-thawed
	}
}

type frozen struct {
	net.Conn
	link *freezable
}

func (c *frozen) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.link.wait() // behind the read, in which it usually is when the link freezes
	return n, err
}
