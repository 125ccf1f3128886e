package main

import (
	"context"
	"time"

	"github.com/emberkv/ember/backlog"
)

// betweenCuts is how long a link works before it is cut again: a node that has
// just been cut off may wait longer before it tries again.
const betweenCuts = 1100 * time.Millisecond

// catchUpBlip breaks the connection and writes 1000 keys, as Redis does that is told to CLIENT
// KILL and to set in one transaction: the replica dials at once, and gets through when they
// are written.
func catchUpBlip(ctx context.Context, b *bench, s *series) error {
	return catchUp(ctx, b, s, 1000, 0)
}

// catchUpSecond takes the link away for a second and 20,000 writes.
func catchUpSecond(ctx context.Context, b *bench, s *series) error {
	return catchUp(ctx, b, s, 20_000, time.Second)
}

func catchUp(ctx context.Context, b *bench, s *series, missed int, away time.Duration) error {
	g, err := b.startGroup(ctx, s.line, ownProcess, 0)
	if err != nil {
		return err
	}
	defer g.stop()
	r, err := g.attach(ctx)
	if err != nil {
		return err
	}
	args := LoadArgs{Writes: missed, Space: b.pick(writeSpace, 50_000), ValueBytes: b.valueBytes, Replicas: 1}
	if err := g.master.do(ctx, "Fill", args); err != nil {
		return err
	}
	cuts := b.runs * b.pick(3, 1) // they are short, and each is different
	for run := range cuts {
		args.Seed = uint64(run) + 1
		time.Sleep(betweenCuts)
		if err := g.measureCatchUp(ctx, s, r, args, away); err != nil {
			return err
		}
		if _, _, err := g.check(ctx, int64(run)+1); err != nil {
			return err
		}
	}
	return nil
}

func (g *group) measureCatchUp(ctx context.Context, s *series, r *member, args LoadArgs, away time.Duration) error {
	begin, how := time.Now(), "Cut"
	if away == 0 {
		how = "Hold"
	}
	if err := r.do(ctx, how, None{}); err != nil {
		return err
	}
	var pos backlog.Position
	if err := g.master.call(ctx, "Miss", args, &pos); err != nil {
		return err
	}
	time.Sleep(away)
	var fromReturn time.Duration
	if err := r.call(ctx, "Heal", pos, &fromReturn); err != nil {
		return err
	}
	fromBreak := time.Since(begin)
	inMilliseconds := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	if away == 0 {
		s.add(rowFromBreak, milliseconds, inMilliseconds(fromBreak))
	}
	s.add(rowFromReturn, milliseconds, inMilliseconds(fromReturn))
	return nil
}
