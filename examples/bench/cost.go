package main

import (
	"context"
	"fmt"
)

// costSpace is how many keys there are where the cost of ten times as many is measured.
const costSpace = 200_000

// costOfReplicas measures what the master and the replicas work for a write, with one replica
// and with more.
func costOfReplicas(ctx context.Context, b *bench, s *series) error {
	for _, replicas := range []int{1, 2, 4} {
		c := costCase{name: fmt.Sprintf("%d replicas", replicas), replicas: replicas, space: costSpace, valueBytes: b.valueBytes}
		if err := c.measure(ctx, b, s); err != nil {
			return err
		}
	}
	return nil
}

// costOfKeys measures it with one replica, and ten times the keys.
func costOfKeys(ctx context.Context, b *bench, s *series) error {
	for _, times := range []int{1, 10} {
		c := costCase{name: fmt.Sprintf("%d times the keys", times), replicas: 1, space: times * costSpace, valueBytes: b.valueBytes}
		if err := c.measure(ctx, b, s); err != nil {
			return err
		}
	}
	return nil
}

// costOfValue measures it with one replica, and values of ten times the size.
func costOfValue(ctx context.Context, b *bench, s *series) error {
	for _, times := range []int{1, 10} {
		c := costCase{name: fmt.Sprintf("%d times the value", times), replicas: 1, space: costSpace, valueBytes: times * b.valueBytes}
		if err := c.measure(ctx, b, s); err != nil {
			return err
		}
	}
	return nil
}

// A costCase is one of the groups whose work for a write is compared.
type costCase struct {
	name       string
	replicas   int
	space      int
	valueBytes int
}

func (c costCase) measure(ctx context.Context, b *bench, s *series) error {
	g, err := b.startGroup(ctx, s.line, ownProcess, c.replicas)
	if err != nil {
		return err
	}
	defer g.stop()
	for range c.replicas {
		if _, err := g.attach(ctx); err != nil {
			return err
		}
	}
	args := LoadArgs{
		Writes: b.pick(200_000, 20_000), Space: b.pick(c.space, c.space/50), ValueBytes: c.valueBytes, Replicas: c.replicas,
	}
	if err := g.master.do(ctx, "Fill", args); err != nil {
		return err
	}
	for run := range b.runs {
		args.Seed = uint64(run) + 1
		l, err := g.write(ctx, args)
		if err != nil {
			return err
		}
		s.addWork("master, "+c.name, l.master, args.Writes)
		s.addWork("a replica, "+c.name, l.replicas, args.Writes*c.replicas)
	}
	_, _, err = g.check(ctx, 0)
	return err
}
