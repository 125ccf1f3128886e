package main

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// peerPolicies are the options that stand for those of kv.Fsync.
var peerPolicies = map[string][]string{
	"memory":   nil,
	"never":    {"--appendonly", "yes", "--appendfsync", "no"},
	"everysec": {"--appendonly", "yes", "--appendfsync", "everysec"},
	"always":   {"--appendonly", "yes", "--appendfsync", "always"},
}

// peerDiskWrites is diskWrites for the peer: each writer has a connection, and sends a SET when
// the one before is answered. What it measures with few writers is the way to another process.
func peerDiskWrites(policy string) peerMeasurement {
	return func(ctx context.Context, b *bench, s *series) error {
		for _, writers := range diskWriters {
			rate, err := b.measurePeerDisk(ctx, policy, writers)
			if err != nil {
				return err
			}
			s.add(fmt.Sprintf("returned, %d writers", writers), perSecond, rate)
		}
		return nil
	}
}

func (b *bench) measurePeerDisk(ctx context.Context, policy string, writers int) (float64, error) {
	v, err := b.peer.start(ctx, peerPolicies[policy]...)
	if err != nil {
		return 0, err
	}
	defer v.stop()
	took := time.Duration(b.pick(3000, 300)) * time.Millisecond
	ctx, cancel := context.WithTimeout(ctx, took)
	defer cancel()
	var (
		wg      sync.WaitGroup
		written atomic.Int64
		failed  atomic.Pointer[error]
	)
	began := time.Now()
	for w := range writers {
		wg.Go(func() {
			n, err := v.setUntil(ctx, LoadArgs{Space: b.pick(writeSpace, 50_000), ValueBytes: b.valueBytes, Seed: splitmix(uint64(w))})
			written.Add(n)
			if err != nil {
				failed.CompareAndSwap(nil, &err)
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return 0, *err
	}
	return float64(written.Load()) / time.Since(began).Seconds(), nil
}

// setUntil overwrites random keys one by one until ctx ends, and returns how many.
func (s *server) setUntil(ctx context.Context, a LoadArgs) (n int64, err error) {
	c, err := dialRESP(s.addr)
	if err != nil {
		return 0, err
	}
	defer c.close()
	e, x := newEntry(a.ValueBytes), a.Seed
	for ; ctx.Err() == nil; n++ {
		x = splitmix(x)
		c.set(e.keyOf(x%uint64(a.Space)), e.valueOf(x))
		if err := c.flush(); err != nil {
			return n, err
		}
		if err := c.receiveAll(1); err != nil {
			return n, err
		}
	}
	return n, nil
}

// peerDiskLoad is diskLoad for the peer: SAVE, and two starts, with what it has saved and with
// its file of commands alone.
func peerDiskLoad(ctx context.Context, b *bench, s *series) error {
	for _, from := range []string{"journal", "snapshot"} {
		options := append([]string{"--aof-use-rdb-preamble", "no", "--auto-aof-rewrite-percentage", "0"}, peerPolicies["never"]...)
		if from == "snapshot" {
			options = nil
		}
		if err := b.measurePeerLoad(ctx, s, from, options); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) measurePeerLoad(ctx context.Context, s *series, from string, options []string) error {
	dir, err := os.MkdirTemp("", "ember-peer-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	v, err := b.peer.startIn(ctx, dir, options...)
	if err != nil {
		return err
	}
	defer func() { v.kill() }() // whichever it is by then
	if err := v.fill(LoadArgs{Space: b.keys, ValueBytes: b.valueBytes}); err != nil {
		return err
	}
	if from == "snapshot" {
		began := time.Now()
		if _, err := v.c.do("SAVE"); err != nil {
			return err
		}
		s.add("saved after", seconds, time.Since(began).Seconds())
	}
	v.kill() // what it has written is the system's
	began := time.Now()
	again, err := b.peer.startIn(ctx, dir, options...)
	if err != nil {
		return err
	}
	v = again
	s.add("loaded from the "+from, seconds, time.Since(began).Seconds())
	n, err := v.c.do("DBSIZE")
	if err == nil && n != int64(b.keys) {
		err = fmt.Errorf("%v keys were loaded, %d saved", n, b.keys)
	}
	return err
}
