package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// failoverRest is how long a group is left alone before its master is killed, beyond the time
// that its sentinels take to find a node down.
const failoverRest = 300 * time.Millisecond

// failover measures how long a group is without a master: three nodes and three sentinels,
// each in a process of its own, from kill -9 of the master to the first write that another node
// takes. Every run has a new group.
func failover(downAfter time.Duration) measurement {
	return func(ctx context.Context, b *bench, s *series) error {
		for range b.runs * b.pick(3, 1) { // they are short, and each is different
			took, err := measureFailover(ctx, downAfter)
			if err != nil {
				return err
			}
			s.add(rowFirstWrite, milliseconds, float64(took)/float64(time.Millisecond))
		}
		return nil
	}
}

func measureFailover(ctx context.Context, downAfter time.Duration) (time.Duration, error) {
	var members []*member
	defer func() {
		for _, m := range members {
			m.stop()
		}
	}()
	start := func(name string) (*member, error) {
		m, err := startMember(ctx, name, ownProcess, wire{})
		if err == nil {
			members = append(members, m)
		}
		return m, err
	}
	var upstream string
	for _, name := range []string{"master", "replica-1", "replica-2"} {
		m, err := start(name)
		if err != nil {
			return 0, err
		}
		var addr string
		if err := m.call(ctx, "Join", JoinArgs{Name: name, Upstream: upstream}, &addr); err != nil {
			return 0, err
		}
		if upstream == "" {
			upstream = addr
		}
	}
	master, replicas := members[0], members[1:3]
	for _, name := range []string{"sentinel-1", "sentinel-2", "sentinel-3"} {
		m, err := start(name)
		if err != nil {
			return 0, err
		}
		if err := m.do(ctx, "Guard", GuardArgs{Name: name, Monitor: upstream, DownAfter: downAfter}); err != nil {
			return 0, err
		}
	}
	for _, m := range members[3:] {
		if err := m.knowsAll(ctx); err != nil {
			return 0, err
		}
	}
	if _, err := firstWrite(ctx, master); err != nil { // its sentinels let it write
		return 0, err
	}
	time.Sleep(downAfter + failoverRest)
	began := time.Now()
	master.stop()
	accepted, err := firstWrite(ctx, replicas...)
	return accepted.Sub(began.Round(0)), err // by the clock that processes share
}

// knowsAll waits until a sentinel has found three nodes and two others of its kind.
func (m *member) knowsAll(ctx context.Context) error {
	for {
		var k Known
		if err := m.call(ctx, "Known", None{}, &k); err != nil || k == (Known{Nodes: 3, Sentinels: 2}) {
			return err
		}
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("%s has found %+v: %w", m.name, k, ctx.Err())
		}
	}
}

// firstWrite waits until one of the members has written, and returns when that was.
func firstWrite(ctx context.Context, members ...*member) (time.Time, error) {
	for {
		for _, m := range members {
			var at int64
			if err := m.call(ctx, "Accepted", None{}, &at); err != nil {
				return time.Time{}, err
			}
			if at > 0 {
				return time.Unix(0, at), nil
			}
		}
		select {
		case <-time.After(2 * time.Millisecond):
		case <-ctx.Done():
			return time.Time{}, errors.Join(errors.New("nobody has written"), ctx.Err())
		}
	}
}
