package main

import (
	"context"
	"time"
)

// loadedRate is how many writes a second a loaded master takes.
const loadedRate = 20_000

// Spans around a loaded full copy: until the open loop runs evenly, and for how
// long its latencies before the copy are taken.
const (
	loadSettles = time.Second
	loadBefore  = 3 * time.Second
)

// syncIdle measures full copies of a master that takes no writes.
func syncIdle(ctx context.Context, b *bench, s *series) error {
	return fullSync(ctx, b, s, false)
}

// syncLoaded measures full copies of a master that takes writes meanwhile.
func syncLoaded(ctx context.Context, b *bench, s *series) error {
	return fullSync(ctx, b, s, true)
}

func fullSync(ctx context.Context, b *bench, s *series, loaded bool) error {
	g, err := b.startGroup(ctx, s.line, ownProcess, 0)
	if err != nil {
		return err
	}
	defer g.stop()
	args := LoadArgs{Space: b.keys, ValueBytes: b.valueBytes, Rate: loadedRate}
	if err := g.master.do(ctx, "Fill", args); err != nil {
		return err
	}
	for run := range b.runs {
		args.Seed = uint64(run+1) << 32
		if err := g.measureSync(ctx, s, run, args, loaded); err != nil {
			return err
		}
	}
	return nil
}

// measureSync lets a new replica take a full copy.
func (g *group) measureSync(ctx context.Context, s *series, run int, args LoadArgs, loaded bool) error {
	r, err := g.newReplica(ctx)
	if err != nil {
		return err
	}
	defer g.detach()
	var before Window
	if loaded {
		if err := g.measureClock(ctx, s, args); err != nil {
			return err
		}
		if before, err = g.startLoad(ctx, args); err != nil {
			return err
		}
	}
	rest, err := g.master.report(ctx)
	if err != nil {
		return err
	}
	if err := g.master.do(ctx, "ResetPeak", None{}); err != nil {
		return err
	}
	stop, err := g.profile(ctx, run)
	if err != nil {
		return err
	}
	begin := time.Now()
	if err := g.follow(ctx, r); err != nil {
		return err
	}
	end := time.Now()
	s.add(rowCaughtUp, seconds, end.Sub(begin).Seconds())
	if err := stop(); err != nil {
		return err
	}
	if loaded {
		if err := g.stopLoad(ctx, s, before, Window{From: begin, To: end}); err != nil {
			return err
		}
	}
	return g.reportSync(ctx, s, rest)
}

// reportSync compares the nodes and adds what memory it took.
func (g *group) reportSync(ctx context.Context, s *series, rest Report) error {
	master, replicas, err := g.check(ctx, 0)
	if err != nil {
		return err
	}
	s.addMemory(rowResident, rest.Memory.Resident)
	s.addMemory(rowMasterPeak, master.Memory.Peak)
	s.addMemory(rowReplicaPeak, greatestPeak(replicas))
	return nil
}

// measureClock adds the latencies of an open loop that writes nothing: how late this machine
// lets it be.
func (g *group) measureClock(ctx context.Context, s *series, args LoadArgs) error {
	args.Idle = true
	window, err := g.startLoad(ctx, args)
	if err != nil {
		return err
	}
	if err := g.addLoad(ctx, s, rowClock, window); err != nil {
		return err
	}
	return g.master.do(ctx, "StopLoad", None{})
}

// startLoad starts the open loop and returns the window before the copy.
func (g *group) startLoad(ctx context.Context, args LoadArgs) (Window, error) {
	if err := g.master.do(ctx, "StartLoad", args); err != nil {
		return Window{}, err
	}
	share := time.Duration(g.bench.pick(1, 10)) // -short has no time for whole seconds
	time.Sleep(loadSettles / share)
	from := time.Now()
	time.Sleep(loadBefore / share)
	return Window{From: from, To: time.Now()}, nil
}

// stopLoad ends the open loop and adds its latencies in both windows.
func (g *group) stopLoad(ctx context.Context, s *series, before, during Window) error {
	if err := g.addLoad(ctx, s, rowBefore, before); err != nil {
		return err
	}
	if err := g.addLoad(ctx, s, rowDuring, during); err != nil {
		return err
	}
	return g.master.do(ctx, "StopLoad", None{})
}

// addLoad adds the latencies of the open loop in a window.
func (g *group) addLoad(ctx context.Context, s *series, measure string, w Window) error {
	var l Latency
	if err := g.master.call(ctx, "LoadLatency", w, &l); err != nil {
		return err
	}
	s.addLatency(measure, l)
	return nil
}
