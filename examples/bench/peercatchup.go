package main

import (
	"context"
	"fmt"
	"time"
)

// A peerMiss lets a peer's replica miss writes, and returns the moment from which on the time
// counts.
type peerMiss func(*peerGroup, *proxy, LoadArgs) (time.Time, error)

// peerBlip is catchUpBlip for the peer: one transaction has the master close the replica's
// connection and set 1000 keys, so that it is gone for all of them.
func peerBlip(ctx context.Context, b *bench, s *series) error {
	miss := func(g *peerGroup, _ *proxy, a LoadArgs) (time.Time, error) {
		c, e, x := g.master.c, newEntry(a.ValueBytes), splitmix(a.Seed)
		c.command("MULTI")
		c.command("CLIENT", "KILL", "TYPE", "replica")
		for range a.Writes {
			x = splitmix(x)
			c.set(e.keyOf(x%uint64(a.Space)), e.valueOf(x))
		}
		c.command("EXEC")
		began := time.Now()
		if err := c.flush(); err != nil {
			return began, err
		}
		return began, c.receiveAll(a.Writes + 3)
	}
	return peerCatchUp(ctx, b, s, rowFromBreak, 1000, miss)
}

// peerSecond is catchUpSecond for the peer, whose link goes through a proxy.
func peerSecond(ctx context.Context, b *bench, s *series) error {
	miss := func(g *peerGroup, p *proxy, a LoadArgs) (time.Time, error) {
		p.cut()
		err := g.master.overwrite(a, 1, peerPipeline)
		time.Sleep(time.Second)
		back := time.Now()
		p.heal()
		return back, err
	}
	return peerCatchUp(ctx, b, s, rowFromReturn, 20_000, miss)
}

// peerCatchUp lets a replica miss writes, some times, and adds how long it takes to be level.
func peerCatchUp(ctx context.Context, b *bench, s *series, row string, missed int, miss peerMiss) error {
	g, err := b.peer.startGroup(ctx)
	if err != nil {
		return err
	}
	defer g.stop()
	p, err := startProxy(g.master.addr)
	if err != nil {
		return err
	}
	defer p.stop()
	a := LoadArgs{Writes: missed, Space: b.pick(writeSpace, 50_000), ValueBytes: b.valueBytes}
	if err := g.master.fill(a); err != nil {
		return err
	}
	upstream := g.master.addr
	if row == rowFromReturn {
		upstream = p.addr() // else it is not in the way
	}
	r, err := g.attach(ctx, g.master, upstream)
	if err != nil {
		return err
	}
	for cut := range b.pick(3, 1) {
		a.Seed = uint64(cut) + 1
		time.Sleep(betweenCuts)
		before, err := g.master.partials()
		if err != nil {
			return err
		}
		began, err := miss(g, p, a)
		if err != nil {
			return err
		}
		if err := g.master.waitPartial(ctx, before); err != nil {
			return err
		}
		if err := r.waitLevel(ctx, g.master, finePoll); err != nil {
			return err
		}
		s.add(row, milliseconds, float64(time.Since(began))/float64(time.Millisecond))
	}
	return nil
}

// partials returns how many partial resyncs the server has served; it fails when there was
// more than the first full one.
func (s *server) partials() (string, error) {
	info, err := s.c.info("stats")
	if err == nil && info["sync_full"] != "1" {
		err = fmt.Errorf("%s full copies for one replica", info["sync_full"])
	}
	return info["sync_partial_ok"], err
}

// waitPartial waits until there is one more than before.
func (s *server) waitPartial(ctx context.Context, before string) error {
	for {
		now, err := s.partials()
		if err != nil || now != before {
			return err
		}
		select {
		case <-time.After(finePoll):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
