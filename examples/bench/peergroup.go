package main

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"time"
)

// A peerGroup is a master of the peer's and its replicas, for the time of one run.
type peerGroup struct {
	peer     *peer
	master   *server
	replicas []*server
	options  []string // of every server
}

// startGroup starts a master. The caller must call stop.
func (p *peer) startGroup(ctx context.Context, options ...string) (*peerGroup, error) {
	m, err := p.start(ctx, options...)
	if err != nil {
		return nil, err
	}
	return &peerGroup{peer: p, master: m, options: options}, nil
}

// attach starts a replica of the server at addr, and waits until it is level with from.
func (g *peerGroup) attach(ctx context.Context, from *server, addr string) (*server, error) {
	r, err := g.peer.start(ctx, g.options...)
	if err != nil {
		return nil, err
	}
	g.replicas = append(g.replicas, r)
	if err := r.follow(addr); err != nil {
		return nil, err
	}
	return r, r.waitLevel(ctx, from, coarsePoll)
}

// attachAll starts so many replicas of the master.
func (g *peerGroup) attachAll(ctx context.Context, n int) error {
	for range n {
		if _, err := g.attach(ctx, g.master, g.master.addr); err != nil {
			return err
		}
	}
	return nil
}

func (g *peerGroup) stop() {
	for _, r := range g.replicas {
		r.stop()
	}
	g.master.stop()
}

// follow makes the server a replica of the one at addr.
func (s *server) follow(addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	_, err = s.c.do("REPLICAOF", host, port)
	return err
}

// How often a server is asked how far it is, where that is measured in seconds or in
// milliseconds. Asking costs it time, too.
const (
	coarsePoll = 10 * time.Millisecond
	finePoll   = 500 * time.Microsecond
)

// waitLevel waits until the link to from is up, and what from had then is applied.
func (s *server) waitLevel(ctx context.Context, from *server, poll time.Duration) error {
	if err := s.waitInfo(ctx, poll, func(info map[string]string) bool {
		return info["master_link_status"] == "up"
	}); err != nil {
		return err
	}
	theirs, err := from.c.info("replication")
	if err != nil {
		return err
	}
	end, err := strconv.ParseInt(theirs["master_repl_offset"], 10, 64)
	if err != nil {
		return err
	}
	return s.waitInfo(ctx, poll, func(info map[string]string) bool {
		applied, err := strconv.ParseInt(info["slave_repl_offset"], 10, 64)
		return err == nil && applied >= end
	})
}

// waitInfo waits until enough is true of what the server says of its replication.
func (s *server) waitInfo(ctx context.Context, poll time.Duration, enough func(map[string]string) bool) error {
	for {
		info, err := s.c.info("replication")
		if err != nil || enough(info) {
			return err
		}
		select {
		case <-time.After(poll):
		case <-ctx.Done():
			return fmt.Errorf("%s stays at %v: %w", s.addr, info, ctx.Err())
		}
	}
}

// waitApplied waits until so many replicas have acknowledged what was written before.
func (s *server) waitApplied(replicas int) error {
	if replicas == 0 {
		return nil
	}
	s.c.set("fence", nil) // WAIT asks for what this connection has written
	s.c.command("WAIT", strconv.Itoa(replicas), strconv.FormatInt(respTimeout.Milliseconds(), 10))
	if err := s.c.flush(); err != nil {
		return err
	}
	if err := s.c.receiveAll(1); err != nil {
		return err
	}
	n, err := s.c.receive()
	if err == nil && n != int64(replicas) {
		err = fmt.Errorf("%v of %d replicas acknowledged", n, replicas)
	}
	return err
}
