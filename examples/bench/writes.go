package main

import (
	"context"
	"time"
)

// writeSpace is how many keys there are where writes overwrite random ones.
const writeSpace = 1_000_000

// settling is how many overwrites a key has had before writes are measured: after as many the
// store moves as much as it ever will, and the process has the memory that it needs. What a
// page costs that it never had depends on the machine, on a virtual one up to ten
// microseconds.
const settling = 3

// writes measures how fast writes reach so many replicas.
func writes(replicas int) measurement {
	return func(ctx context.Context, b *bench, s *series) error {
		g, err := b.startGroup(ctx, s.line, ownProcess, replicas)
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
		settle := args
		settle.Writes = settling * args.Space
		if _, err := g.write(ctx, settle); err != nil {
			return err
		}
		for run := range b.runs {
			args.Seed = uint64(run)*2 + 1
			if err := g.measureWrites(ctx, s, run, args); err != nil {
				return err
			}
			args.Seed, args.Pipeline = args.Seed+1, peerPipeline
			if err := g.measurePipelines(ctx, s, args); err != nil {
				return err
			}
			args.Pipeline = 0
		}
		return nil
	}
}

func (g *group) measureWrites(ctx context.Context, s *series, run int, args LoadArgs) error {
	stop, err := g.profile(ctx, run)
	if err != nil {
		return err
	}
	l, err := g.write(ctx, args)
	if err != nil {
		return err
	}
	if err := stop(); err != nil {
		return err
	}
	master, replicas, err := g.check(ctx, 0)
	if err != nil {
		return err
	}
	s.add(rowRate, perSecond, float64(args.Writes)/l.took.Seconds())
	s.addWork(rowWork, l.master+l.replicas, args.Writes)
	s.addMemory(rowMasterPeak, master.Memory.Peak)
	s.addMemory(rowReplicaPeak, greatestPeak(replicas))
	return nil
}

// measurePipelines measures the same writes, handed over as many at once as the peer's.
func (g *group) measurePipelines(ctx context.Context, s *series, args LoadArgs) error {
	l, err := g.write(ctx, args)
	if err != nil {
		return err
	}
	s.add(rowPipelined, perSecond, float64(args.Writes)/l.took.Seconds())
	s.addWork(rowPipelinedWork, l.master+l.replicas, args.Writes)
	return nil
}

// labour is what a load has cost: the time until all replicas had it, and what the nodes have
// worked, on all processors together; that is 0 where it is not known.
type labour struct {
	took, master, replicas time.Duration
}

// write lets the master write, and the replicas apply.
func (g *group) write(ctx context.Context, args LoadArgs) (l labour, err error) {
	before, err := g.worked(ctx)
	if err != nil {
		return l, err
	}
	if err := g.master.call(ctx, "Write", args, &l.took); err != nil {
		return l, err
	}
	after, err := g.worked(ctx)
	l.master, l.replicas = after.master-before.master, after.replicas-before.replicas
	return l, err
}

// worked returns what the nodes have worked since they were started.
func (g *group) worked(ctx context.Context) (l labour, err error) {
	if err := g.master.call(ctx, "Worked", None{}, &l.master); err != nil {
		return l, err
	}
	for _, r := range g.replicas {
		var worked time.Duration
		if err := r.call(ctx, "Worked", None{}, &worked); err != nil {
			return l, err
		}
		l.replicas += worked
	}
	return l, nil
}

func greatestPeak(reports []Report) (peak int64) {
	for _, r := range reports {
		peak = max(peak, r.Memory.Peak)
	}
	return peak
}
