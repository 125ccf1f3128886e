package main

import (
	"context"
	"time"
)

// writeSpace is how many keys there are where writes overwrite random ones.
const writeSpace = 1_000_000

// writes measures how fast writes reach so many replicas.
func writes(replicas int) func(context.Context, *bench, string) error {
	return func(ctx context.Context, b *bench, name string) error {
		g, err := b.startGroup(ctx, name, ownProcess, replicas)
		if err != nil {
			return err
		}
		defer g.stop()
		for range replicas {
			if _, err := g.attach(ctx); err != nil {
				return err
			}
		}
		args := LoadArgs{
			Writes: b.pick(2_000_000, 100_000), Space: b.pick(writeSpace, 50_000),
			ValueBytes: b.valueBytes, Replicas: replicas,
		}
		if err := g.master.do(ctx, "Fill", args); err != nil {
			return err
		}
		s := b.newSeries(name)
		for run := range b.runs {
			args.Seed = uint64(run) + 1
			if err := g.measureWrites(ctx, s, run, args); err != nil {
				return err
			}
		}
		return b.table.print(s)
	}
}

func (g *group) measureWrites(ctx context.Context, s *series, run int, args LoadArgs) error {
	stop, err := g.profile(ctx, run)
	if err != nil {
		return err
	}
	var took time.Duration
	if err := g.master.call(ctx, "Write", args, &took); err != nil {
		return err
	}
	if err := stop(); err != nil {
		return err
	}
	master, replicas, err := g.check(ctx, 0)
	if err != nil {
		return err
	}
	s.add(rowRate, perSecond, float64(args.Writes)/took.Seconds())
	s.addMemory(rowMasterPeak, master.Memory.Peak)
	s.addMemory(rowReplicaPeak, greatestPeak(replicas))
	return nil
}

func greatestPeak(reports []Report) (peak int64) {
	for _, r := range reports {
		peak = max(peak, r.Memory.Peak)
	}
	return peak
}
