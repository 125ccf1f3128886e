package main

import (
	"context"
	"time"

	"github.com/emberkv/ember/backlog"
)

// betweenCuts is how long a link works before it is cut again: a node that has
// just been cut off may wait longer before it tries again.
const betweenCuts = 1100 * time.Millisecond

// catchUpBlip breaks the connection, as Redis' CLIENT KILL does, and writes 1000
// keys. The replica may dial again at once.
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
		time.Sleep(betweenCuts / time.Duration(b.pick(1, 10)))
		if err := g.measureCatchUp(ctx, s, r, args, away); err != nil {
			return err
		}
		_, replicas, err := g.check(ctx, int64(run)+1)
		if err != nil {
			return err
		}
		s.add(rowResync, milliseconds, float64(replicas[0].Resync)/float64(time.Millisecond))
	}
	return nil
}

func (g *group) measureCatchUp(ctx context.Context, s *series, r *member, args LoadArgs, away time.Duration) error {
	begin, how := time.Now(), "Cut"
	if away == 0 {
		how = "Break"
	}
	if err := r.do(ctx, how, None{}); err != nil {
		return err
	}
	var pos backlog.Position
	if err := g.master.call(ctx, "Miss", args, &pos); err != nil {
		return err
	}
	time.Sleep(away)
	back := time.Now()
	if err := r.do(ctx, "Heal", pos); err != nil {
		return err
	}
	level := time.Now()
	inMilliseconds := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	if away == 0 {
		s.add(rowFromBreak, milliseconds, inMilliseconds(level.Sub(begin)))
	} else {
		s.add(rowFromReturn, milliseconds, inMilliseconds(level.Sub(back)))
	}
	return nil
}
