package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/emberkv/ember/backlog"
)

// A group is a master and its replicas, for the time of one line.
type group struct {
	bench    *bench
	line     string
	where    place
	wire     wire
	master   *member
	addr     string
	replicas []*member
}

// startGroup starts a master that expects so many replicas. The caller must
// call stop.
func (b *bench) startGroup(ctx context.Context, line string, where place, expected int) (*group, error) {
	w := newWire(where)
	m, err := startMember(ctx, "master", where, w)
	if err != nil {
		return nil, err
	}
	g := &group{bench: b, line: line, where: where, wire: w, master: m}
	if err := m.call(ctx, "Serve", ServeArgs{Replicas: expected}, &g.addr); err != nil {
		g.stop()
		return nil, err
	}
	return g, nil
}

// attach starts a replica and lets it catch up.
func (g *group) attach(ctx context.Context) (*member, error) {
	r, err := g.newReplica(ctx)
	if err != nil {
		return nil, err
	}
	return r, g.follow(ctx, r)
}

// newReplica starts the process of a replica, which does not follow yet.
func (g *group) newReplica(ctx context.Context) (*member, error) {
	r, err := startMember(ctx, fmt.Sprintf("replica-%d", len(g.replicas)+1), g.where, g.wire)
	if err != nil {
		return nil, err
	}
	g.replicas = append(g.replicas, r)
	return r, nil
}

// follow attaches r and waits until it is level with what the master had when
// the link had come up and the copy was complete.
func (g *group) follow(ctx context.Context, r *member) error {
	if err := r.do(ctx, "Follow", FollowArgs{Name: r.name, Upstream: g.addr}); err != nil {
		return err
	}
	return g.waitLevel(ctx, r)
}

// waitLevel waits until r shows what the master shows now.
func (g *group) waitLevel(ctx context.Context, r *member) error {
	var pos backlog.Position
	if err := g.master.call(ctx, "Position", None{}, &pos); err != nil {
		return err
	}
	return r.do(ctx, "WaitLevel", pos)
}

// detach ends the newest replica.
func (g *group) detach() {
	last := len(g.replicas) - 1
	g.replicas[last].stop()
	g.replicas = g.replicas[:last]
}

// check compares every replica with the master, which must be idle, and returns
// the reports of all. It fails when one has taken another full copy than its
// first, or has come back by fewer partial ones than its link was cut. More of
// those are a fault too, a link that broke by itself, but one from which it has
// recovered: it is told, and the line stands.
func (g *group) check(ctx context.Context, cuts int64) (master Report, replicas []Report, err error) {
	if master, err = g.master.report(ctx); err != nil {
		return master, nil, err
	}
	for _, m := range g.replicas {
		if err := g.waitLevel(ctx, m); err != nil {
			return master, nil, err
		}
		r, err := m.report(ctx)
		switch {
		case err != nil:
			return master, nil, err
		case r.Fulls != 1 || r.Partials < cuts:
			return master, nil, fmt.Errorf("%s took %d full and %d partial syncs, want 1 and %d; its last link ended with: %s (master: %s)",
				m.name, r.Fulls, r.Partials, cuts, r.LastError, master.LastError)
		case r.Keys != master.Keys || r.Sum != master.Sum:
			return master, nil, fmt.Errorf("%s has %d keys with digest %016x, the master %d with %016x",
				m.name, r.Keys, r.Sum, master.Keys, master.Sum)
		case r.Partials > cuts+m.broken:
			m.broken = r.Partials - cuts
			fmt.Fprintf(os.Stderr, "bench: %s: %s lost its link and went on: %s (master: %s)\n", g.line, m.name, r.LastError, master.LastError)
		}
		replicas = append(replicas, r)
	}
	return master, replicas, nil
}

// profile starts a CPU profile of each process if the command line asks for
// them. The function that it returns ends them.
func (g *group) profile(ctx context.Context, run int) (stop func() error, err error) {
	if g.bench.profiles == "" {
		return func() error { return nil }, nil
	}
	members := append([]*member{g.master}, g.replicas...)
	if g.where != ownProcess {
		members = members[:1]
	}
	for _, m := range members {
		name := fmt.Sprintf("%s-%s-%d.pprof", strings.ReplaceAll(g.line, "/", "-"), m.name, run+1)
		path, err := filepath.Abs(filepath.Join(g.bench.profiles, name))
		if err != nil {
			return nil, err
		}
		if err := m.do(ctx, "StartProfile", path); err != nil {
			return nil, err
		}
	}
	return func() error {
		for _, m := range members {
			if err := m.do(ctx, "StopProfile", None{}); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

func (g *group) stop() {
	for len(g.replicas) > 0 {
		g.detach()
	}
	g.master.stop()
}
