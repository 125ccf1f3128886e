package main

import "context"

// lagSpace is how many keys there are where one write is made at a time.
const lagSpace = 100_000

// lag measures how long one write takes until a replica has it, with both nodes
// in the place given.
func lag(where place) measurement {
	return func(ctx context.Context, b *bench, s *series) error {
		g, err := b.startGroup(ctx, s.line, where, 1)
		if err != nil {
			return err
		}
		defer g.stop()
		if _, err := g.attach(ctx); err != nil {
			return err
		}
		args := LoadArgs{
			Writes: b.pick(20_000, 2_000), Space: b.pick(lagSpace, 10_000),
			ValueBytes: b.valueBytes, Replicas: 1,
		}
		if err := g.master.do(ctx, "Fill", args); err != nil {
			return err
		}
		for run := range b.runs {
			args.Seed = uint64(run) + 1
			if err := g.measureLag(ctx, s, run, args); err != nil {
				return err
			}
		}
		_, _, err = g.check(ctx, 0)
		return err
	}
}

func (g *group) measureLag(ctx context.Context, s *series, run int, args LoadArgs) error {
	stop, err := g.profile(ctx, run)
	if err != nil {
		return err
	}
	var l Latency
	if err := g.master.call(ctx, "Lag", args, &l); err != nil {
		return err
	}
	s.addLatency(rowAck, l)
	return stop()
}
