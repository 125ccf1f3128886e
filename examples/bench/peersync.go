package main

import (
	"context"
	"fmt"
	"strconv"
	"time"
)

// peerSyncIdle is syncIdle for the peer, in its fastest mode: no disk at either end.
func peerSyncIdle(ctx context.Context, b *bench, s *series) error {
	return peerSync(ctx, b, s, false, "--repl-diskless-sync", "yes", "--repl-diskless-load", "on-empty-db")
}

// peerSyncLoaded is syncLoaded for the peer, by way of the disk: the mode in which its writes
// are held up least.
func peerSyncLoaded(ctx context.Context, b *bench, s *series) error {
	return peerSync(ctx, b, s, true, "--repl-diskless-sync", "no", "--repl-diskless-load", "disabled")
}

func peerSync(ctx context.Context, b *bench, s *series, loaded bool, options ...string) error {
	g, err := b.peer.startGroup(ctx, options...)
	if err != nil {
		return err
	}
	defer g.stop()
	a := LoadArgs{Space: b.keys, ValueBytes: b.valueBytes, Rate: loadedRate, Seed: 1 << 32}
	if err := g.master.fill(a); err != nil {
		return err
	}
	r, err := b.peer.start(ctx, options...)
	if err != nil {
		return err
	}
	g.replicas = append(g.replicas, r)
	var (
		load   *peerOpenLoop
		before Window
	)
	if loaded {
		if load, err = startPeerOpenLoop(g.master.addr, a); err != nil {
			return err
		}
		defer load.stop()
		before = load.before(b)
	}
	pid := g.master.cmd.Process.Pid
	rest := processMemory(pid)
	resetPeakOf(pid)
	began := time.Now()
	if err := r.follow(g.master.addr); err != nil {
		return err
	}
	if err := r.waitLevel(ctx, g.master, coarsePoll); err != nil {
		return err
	}
	end := time.Now()
	s.add(rowCaughtUp, seconds, end.Sub(began).Seconds())
	if loaded {
		if err := load.stop(); err != nil {
			return err
		}
		s.addLatency(rowBefore, summarize(load.window(before)))
		s.addLatency(rowDuring, summarize(load.window(Window{began, end})))
	}
	return g.reportSync(s, rest)
}

// reportSync checks that the replica has all keys, and adds what memory the copy took: with
// what the child that wrote it had to copy of the master's.
func (g *peerGroup) reportSync(s *series, rest Memory) error {
	ours, err := g.master.c.do("DBSIZE")
	if err != nil {
		return err
	}
	theirs, err := g.replicas[0].c.do("DBSIZE")
	if err != nil {
		return err
	}
	if ours != theirs {
		return fmt.Errorf("the replica has %v keys, the master %v", theirs, ours)
	}
	info, err := g.master.c.info("persistence")
	if err != nil {
		return err
	}
	copied, err := strconv.ParseInt(info["rdb_last_cow_size"], 10, 64)
	if err != nil {
		return err
	}
	s.addMemory(rowResident, rest.Resident)
	if peak := processMemory(g.master.cmd.Process.Pid).Peak; peak > 0 {
		s.addMemory(rowMasterPeak, peak+copied)
	}
	s.addMemory(rowReplicaPeak, processMemory(g.replicas[0].cmd.Process.Pid).Peak)
	return nil
}
