package main

import (
	"context"
	"sync"
	"time"

	"github.com/emberkv/ember/backlog"
)

// writers is how many goroutines write at once in a closed loop.
const writers = 2

// LoadArgs say what is written.
type LoadArgs struct {
	Writes     int
	Space      int // number of different keys
	ValueBytes int
	Seed       uint64
	Replicas   int  // that must have applied the last write
	Pipeline   int  // how many writes a writer hands over at once; 0 for one by Set
	Rate       int  // of an open loop, writes a second
	Idle       bool // the open loop writes nothing
}

// Fill sets every key of the space once, in ascending order in each of the
// writers' parts, and returns when the replicas have them.
func (n *Node) Fill(a LoadArgs, _ *None) error {
	err := split(a.Space, func(_, from, to int) error {
		e := newEntry(a.ValueBytes)
		for i := from; i < to; i++ {
			if err := n.store.Set(e.keyOf(uint64(i)), e.valueOf(uint64(i))); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return n.waitApplied(a.Replicas)
}

// Write overwrites random keys, each writer as fast as it can, and replies with
// the time until the replicas have applied the last one.
func (n *Node) Write(a LoadArgs, took *time.Duration) error {
	begin := time.Now()
	err := split(a.Writes, func(writer, from, to int) error {
		e := newEntry(a.ValueBytes)
		x := splitmix(a.Seed<<8 | uint64(writer))
		p := n.store.Pipeline()
		for i := from; i < to; i++ {
			x = splitmix(x)
			key, value := e.keyOf(x%uint64(a.Space)), e.valueOf(x)
			if a.Pipeline == 0 {
				if err := n.store.Set(key, value); err != nil {
					return err
				}
				continue
			}
			if err := p.Set(key, value); err != nil {
				return err
			}
			if p.Len() == a.Pipeline || i == to-1 {
				if _, err := p.Exec(); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err == nil {
		err = n.waitApplied(a.Replicas)
	}
	*took = time.Since(begin)
	return err
}

// Miss overwrites random keys without waiting for anybody, and replies with the
// position after them.
func (n *Node) Miss(a LoadArgs, pos *backlog.Position) error {
	a.Replicas = 0
	var took time.Duration
	err := n.Write(a, &took)
	*pos = n.store.Position()
	return err
}

// Lag overwrites random keys one by one, each after the replica has
// acknowledged the one before as applied, and replies with how long it took from
// the call of Set to the acknowledgement.
func (n *Node) Lag(a LoadArgs, l *Latency) error {
	ctx, cancel := context.WithTimeout(context.Background(), stepTimeout)
	defer cancel()
	e := newEntry(a.ValueBytes)
	samples := make([]time.Duration, a.Writes)
	x := splitmix(a.Seed)
	for i := range samples {
		x = splitmix(x)
		key, value := e.keyOf(x%uint64(a.Space)), e.valueOf(x)
		begin := time.Now()
		if err := n.store.Set(key, value); err != nil {
			return err
		}
		if _, err := n.master.Wait(ctx, n.store.Position(), a.Replicas); err != nil {
			return err
		}
		samples[i] = time.Since(begin)
	}
	*l = summarize(samples)
	return nil
}

// StartLoad begins an open loop of a.Rate writes a second.
func (n *Node) StartLoad(a LoadArgs, _ *None) error {
	s := n.store
	if a.Idle {
		s = nil
	}
	n.load = startOpenLoop(s, a)
	return nil
}

// A Window is a span of time on the clock that both ends of a call share.
type Window struct{ From, To time.Time }

// LoadLatency replies with the latencies of the open loop's writes that were
// due in a window.
func (n *Node) LoadLatency(w Window, l *Latency) error {
	*l = summarize(n.load.window(w.From, w.To))
	return nil
}

// StopLoad ends the open loop.
func (n *Node) StopLoad(None, *None) error {
	err := n.load.stop()
	n.load = nil
	return err
}

func (n *Node) waitApplied(replicas int) error {
	if replicas == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), stepTimeout)
	defer cancel()
	_, err := n.master.Wait(ctx, n.store.Position(), replicas)
	return err
}

// split runs do for equal parts of [0, n), one for each writer, and returns the
// first error.
func split(n int, do func(writer, from, to int) error) error {
	var wg sync.WaitGroup
	errs := make(chan error, writers)
	for w := range writers {
		wg.Go(func() { errs <- do(w, n*w/writers, n*(w+1)/writers) })
	}
	wg.Wait()
	for range writers {
		if err := <-errs; err != nil {
			return err
		}
	}
	return nil
}
