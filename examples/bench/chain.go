package main

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"time"

	"github.com/emberkv/ember/repl"
)

// chainDepth is how many replicas follow one another.
const chainDepth = 3

// chain measures how long one write takes until the last of a chain of replicas shows it.
func chain(where place) measurement {
	return func(ctx context.Context, b *bench, s *series) error {
		g, err := b.startGroup(ctx, s.line, where, 0)
		if err != nil {
			return err
		}
		defer g.stop()
		args := LoadArgs{
			Writes: b.pick(20_000, 2_000), Space: b.pick(lagSpace, 10_000), ValueBytes: b.valueBytes,
		}
		if err := g.master.do(ctx, "Fill", args); err != nil {
			return err
		}
		last, err := g.attachChain(ctx, chainDepth)
		if err != nil {
			return err
		}
		for run := range b.runs {
			args.Seed = uint64(run) + 1
			if err := g.measureChain(ctx, s, run, last, args); err != nil {
				return err
			}
		}
		_, _, err = g.check(ctx, 0)
		return err
	}
}

// attachChain lets a replica follow the master, one more follow that, and so on, and returns
// the last.
func (g *group) attachChain(ctx context.Context, depth int) (last *member, err error) {
	for range depth {
		if last, err = g.attach(ctx); err != nil {
			return nil, err
		}
		if err := last.call(ctx, "Relay", None{}, &g.addr); err != nil {
			return nil, err
		}
	}
	return last, nil
}

func (g *group) measureChain(ctx context.Context, s *series, run int, last *member, args LoadArgs) error {
	stop, err := g.profile(ctx, run)
	if err != nil {
		return err
	}
	to := ArriveArgs{LoadArgs: args}
	if err := last.call(ctx, "Arrivals", None{}, &to.Arrivals); err != nil {
		return err
	}
	var l Latency
	if err := g.master.call(ctx, "Arrive", to, &l); err != nil {
		return err
	}
	s.addLatency(rowVisible, l)
	return stop()
}

// Arrivals replies with an address; whoever connects there is sent the moment of each change
// that becomes visible in the node's store, in Unix nanoseconds, 8 bytes each.
func (n *Node) Arrivals(_ None, addr *string) error {
	ln, err := repl.TCP{}.Listen("127.0.0.1:0")
	if err != nil {
		return err
	}
	*addr = ln.Addr().String()
	go func() { // until the other end closes the connection, and writes once more
		defer ln.Close()
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		n.sendArrivals(conn)
	}()
	return nil
}

func (n *Node) sendArrivals(conn net.Conn) {
	var at [8]byte
	next := n.store.Position()
	for {
		if _, err := conn.Write(at[:]); err != nil { // the first one says that this has begun
			return
		}
		next.Offset++
		if err := n.store.Wait(context.Background(), next); err != nil {
			return
		}
		binary.LittleEndian.PutUint64(at[:], uint64(time.Now().UnixNano()))
		next = n.store.Position()
	}
}

// ArriveArgs say what is written, and where the arrivals are told.
type ArriveArgs struct {
	LoadArgs
	Arrivals string
}

// Arrive overwrites random keys one by one, each after the one before is visible at the other
// end, and replies with how long each took from the call of Set to that moment.
func (n *Node) Arrive(a ArriveArgs, l *Latency) error {
	conn, err := net.DialTimeout("tcp", a.Arrivals, stepTimeout)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(stepTimeout))
	e, x := newEntry(a.ValueBytes), splitmix(a.Seed)
	samples := make([]time.Duration, a.Writes)
	var at [8]byte
	if _, err := io.ReadFull(conn, at[:]); err != nil {
		return err
	}
	for i := range samples {
		x = splitmix(x)
		key, value := e.keyOf(x%uint64(a.Space)), e.valueOf(x)
		begin := time.Now()
		if err := n.store.Set(key, value); err != nil {
			return err
		}
		if _, err := io.ReadFull(conn, at[:]); err != nil {
			return err
		}
		visible := time.Unix(0, int64(binary.LittleEndian.Uint64(at[:])))
		samples[i] = visible.Sub(begin.Round(0)) // by the clock that processes share
	}
	*l = summarize(samples)
	return nil
}
