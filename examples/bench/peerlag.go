package main

import (
	"context"
	"time"
)

// peerLag is lag for the peer: SET and WAIT 1 are sent together, so that one round trip to the
// client is all that is added to what the servers take.
func peerLag(ctx context.Context, b *bench, s *series) error {
	g, err := b.peer.startGroup(ctx)
	if err != nil {
		return err
	}
	defer g.stop()
	if err := g.attachAll(ctx, 1); err != nil {
		return err
	}
	a := LoadArgs{Writes: b.pick(20_000, 2_000), Space: b.pick(lagSpace, 10_000), ValueBytes: b.valueBytes, Seed: 1}
	if err := g.master.fill(a); err != nil {
		return err
	}
	if err := g.master.waitApplied(1); err != nil {
		return err
	}
	c, e, x := g.master.c, newEntry(a.ValueBytes), splitmix(a.Seed)
	samples := make([]time.Duration, a.Writes)
	for i := range samples {
		x = splitmix(x)
		key, value := e.keyOf(x%uint64(a.Space)), e.valueOf(x)
		began := time.Now()
		c.set(key, value)
		c.command("WAIT", "1", "60000")
		if err := c.flush(); err != nil {
			return err
		}
		if err := c.receiveAll(2); err != nil {
			return err
		}
		samples[i] = time.Since(began)
	}
	s.addLatency(rowAck, summarize(samples))
	return nil
}

// peerChain is chain for the peer: the last replica tells a subscriber of the key as soon as it
// has set it.
func peerChain(ctx context.Context, b *bench, s *series) error {
	g, err := b.peer.startGroup(ctx, "--notify-keyspace-events", "E$")
	if err != nil {
		return err
	}
	defer g.stop()
	a := LoadArgs{Writes: b.pick(20_000, 2_000), Space: b.pick(lagSpace, 10_000), ValueBytes: b.valueBytes, Seed: 1}
	if err := g.master.fill(a); err != nil {
		return err
	}
	last := g.master
	for range chainDepth {
		if last, err = g.attach(ctx, last, last.addr); err != nil {
			return err
		}
	}
	heard, err := dialRESP(last.addr)
	if err != nil {
		return err
	}
	defer heard.close()
	if _, err := heard.do("SUBSCRIBE", "__keyevent@0__:set"); err != nil {
		return err
	}
	c, e, x := g.master.c, newEntry(a.ValueBytes), splitmix(a.Seed)
	samples := make([]time.Duration, a.Writes)
	for i := range samples {
		x = splitmix(x)
		c.set(e.keyOf(x%uint64(a.Space)), e.valueOf(x))
		began := time.Now()
		if err := c.flush(); err != nil {
			return err
		}
		if err := heard.receiveAll(1); err != nil {
			return err
		}
		samples[i] = time.Since(began)
		if err := c.receiveAll(1); err != nil {
			return err
		}
	}
	s.addLatency(rowVisible, summarize(samples))
	return nil
}
