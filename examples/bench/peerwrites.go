package main

import (
	"context"
	"strconv"
	"time"
)

// peerWrites is writes for the peer: the clock stops when WAIT says that all replicas have
// acknowledged the last write. Its clients always pipeline, so there is one figure for both
// of Ember's.
func peerWrites(replicas int) peerMeasurement {
	return func(ctx context.Context, b *bench, s *series) error {
		g, err := b.peer.startGroup(ctx)
		if err != nil {
			return err
		}
		defer g.stop()
		if err := g.attachAll(ctx, replicas); err != nil {
			return err
		}
		a := LoadArgs{Writes: b.pick(2_000_000, 100_000), Space: b.pick(writeSpace, 50_000), ValueBytes: b.valueBytes, Seed: 1}
		if err := g.master.fill(a); err != nil {
			return err
		}
		if err := g.master.waitApplied(replicas); err != nil {
			return err
		}
		settle := a
		settle.Writes, settle.Seed = settling*a.Space, 0
		if err := g.master.overwrite(settle, peerConns, peerPipeline); err != nil {
			return err
		}
		if err := g.master.waitApplied(replicas); err != nil {
			return err
		}
		worked := g.worked()
		began := time.Now()
		if err := g.master.overwrite(a, peerConns, peerPipeline); err != nil {
			return err
		}
		if err := g.master.waitApplied(replicas); err != nil {
			return err
		}
		rate, work := float64(a.Writes)/time.Since(began).Seconds(), g.worked()-worked
		s.add(rowRate, perSecond, rate)
		s.addWork(rowWork, work, a.Writes)
		s.add(rowPipelined, perSecond, rate)
		s.addWork(rowPipelinedWork, work, a.Writes)
		s.addMemory(rowMasterPeak, processMemory(g.master.cmd.Process.Pid).Peak)
		var greatest int64
		for _, r := range g.replicas {
			greatest = max(greatest, processMemory(r.cmd.Process.Pid).Peak)
		}
		s.addMemory(rowReplicaPeak, greatest)
		return nil
	}
}

// worked returns what the servers have worked since they were started, without their client,
// or 0 if one does not say.
func (g *peerGroup) worked() (sum time.Duration) {
	for _, s := range append([]*server{g.master}, g.replicas...) {
		info, err := s.c.info("cpu")
		if err != nil {
			return 0
		}
		for _, field := range []string{"used_cpu_sys", "used_cpu_user"} {
			seconds, err := strconv.ParseFloat(info[field], 64)
			if err != nil {
				return 0
			}
			sum += time.Duration(seconds * float64(time.Second))
		}
	}
	return sum
}
