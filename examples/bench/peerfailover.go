package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// peerFailover is failover for the peer and its sentinels.
func peerFailover(downAfter time.Duration) peerMeasurement {
	return func(ctx context.Context, b *bench, s *series) error {
		for range b.pick(3, 1) {
			took, err := b.peer.measureFailover(ctx, downAfter)
			if err != nil {
				return err
			}
			s.add(rowFirstWrite, milliseconds, float64(took)/float64(time.Millisecond))
		}
		return nil
	}
}

func (p *peer) measureFailover(ctx context.Context, downAfter time.Duration) (time.Duration, error) {
	g, err := p.startGroup(ctx)
	if err != nil {
		return 0, err
	}
	defer g.stop()
	if err := g.attachAll(ctx, 2); err != nil {
		return 0, err
	}
	var sentinels []*server
	for range 3 {
		v, err := p.startSentinel(ctx, g.master, downAfter)
		if err != nil {
			return 0, err
		}
		defer v.stop()
		sentinels = append(sentinels, v)
	}
	for _, v := range sentinels {
		if err := v.waitSentinel(ctx); err != nil {
			return 0, err
		}
	}
	time.Sleep(downAfter + failoverRest)
	began := time.Now()
	g.master.kill()
	accepted, err := firstSet(ctx, g.replicas)
	return accepted.Sub(began), err
}

// peerGroupName is what sentinels call the group.
const peerGroupName = "bench"

// startSentinel starts a sentinel that watches the group of a master.
func (p *peer) startSentinel(ctx context.Context, master *server, downAfter time.Duration) (*server, error) {
	dir, err := os.MkdirTemp("", "ember-peer-")
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	conf := fmt.Appendf(nil, "port %d\nbind 127.0.0.1\ndir %s\nlogfile %s\n", port, dir, filepath.Join(dir, "log"))
	conf = fmt.Appendf(conf, "sentinel monitor %s 127.0.0.1 %s 2\n", peerGroupName, master.addr[len("127.0.0.1:"):])
	conf = fmt.Appendf(conf, "sentinel down-after-milliseconds %s %d\n", peerGroupName, downAfter.Milliseconds())
	conf = fmt.Appendf(conf, "sentinel failover-timeout %s 10000\n", peerGroupName)
	path := filepath.Join(dir, "sentinel.conf")
	if err := os.WriteFile(path, conf, 0o600); err != nil {
		return nil, err
	}
	v, err := p.run(ctx, dir, port, []string{path, "--sentinel"})
	if err != nil {
		os.RemoveAll(dir)
	}
	return v, err
}

// waitSentinel waits until a sentinel has found both replicas and both others of its kind.
func (s *server) waitSentinel(ctx context.Context) error {
	for {
		v, err := s.c.do("SENTINEL", "MASTER", peerGroupName)
		if err != nil {
			return err
		}
		fields := make(map[any]any)
		list, _ := v.([]any)
		for i := 0; i+1 < len(list); i += 2 {
			fields[list[i]] = list[i+1]
		}
		if fields["num-slaves"] == strconv.Itoa(2) && fields["num-other-sentinels"] == strconv.Itoa(2) {
			return nil
		}
		select {
		case <-time.After(coarsePoll):
		case <-ctx.Done():
			return fmt.Errorf("a sentinel knows %v: %w", v, ctx.Err())
		}
	}
}

// firstSet waits until one of the servers takes a write, and returns when that was.
func firstSet(ctx context.Context, servers []*server) (time.Time, error) {
	for {
		for _, v := range servers {
			if _, err := v.c.do("SET", "attempt", ""); err == nil {
				return time.Now(), nil
			} else if readOnly := replyError(""); !errors.As(err, &readOnly) {
				v.c.close() // a promotion closes the connections
				if c, err := dialRESP(v.addr); err == nil {
					v.c = c
				}
			}
		}
		select {
		case <-time.After(attemptEvery):
		case <-ctx.Done():
			return time.Time{}, errors.Join(errors.New("nobody has written"), ctx.Err())
		}
	}
}
