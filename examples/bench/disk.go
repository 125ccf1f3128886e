package main

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emberkv/ember/kv"
)

// diskWriters are how many goroutines write at once.
var diskWriters = [...]int{1, 8, 64}

// diskWrites measures how many writes a second return under a policy of kv.Fsync, or, as
// "memory", without a journal.
func diskWrites(policy string) measurement {
	return func(ctx context.Context, b *bench, s *series) error {
		for range b.runs {
			for _, writers := range diskWriters {
				rate, err := b.measureDiskWrites(ctx, policy, writers)
				if err != nil {
					return err
				}
				s.add(fmt.Sprintf("returned, %d writers", writers), perSecond, rate)
			}
		}
		return nil
	}
}

// measureDiskWrites lets so many writers overwrite random keys for a while, and returns how
// many writes returned in a second.
func (b *bench) measureDiskWrites(ctx context.Context, policy string, writers int) (float64, error) {
	store, remove, err := openDisk(policy)
	if err != nil {
		return 0, err
	}
	defer remove()
	var wg sync.WaitGroup
	var written atomic.Int64
	var failed atomic.Pointer[error]
	took := time.Duration(b.pick(3000, 300)) * time.Millisecond
	ctx, cancel := context.WithTimeout(ctx, took)
	defer cancel()
	began := time.Now()
	for w := range writers {
		wg.Go(func() {
			e, space, seed := newEntry(b.valueBytes), uint64(b.pick(writeSpace, 50_000)), splitmix(uint64(w))
			n := uint64(0)
			for ; ctx.Err() == nil; n++ {
				if err := store.Set(e.keyOf(splitmix(seed+n)%space), e.valueOf(seed+n)); err != nil {
					failed.CompareAndSwap(nil, &err)
					break
				}
			}
			written.Add(int64(n))
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return 0, *err
	}
	rate := float64(written.Load()) / time.Since(began).Seconds()
	return rate, store.Close()
}

// openDisk opens a store in a temporary folder, or, as "memory", makes one in memory. The
// function closes it and removes the folder.
func openDisk(policy string) (*kv.Store, func(), error) {
	if policy == "memory" {
		store := kv.New(nil)
		return store, func() { store.Close() }, nil
	}
	opts := &kv.Options{Durability: kv.Durability{SavePoints: []kv.SavePoint{}}}
	if err := opts.Fsync.UnmarshalText([]byte(policy)); err != nil {
		return nil, nil, err
	}
	dir, err := os.MkdirTemp("", "ember-bench-")
	if err != nil {
		return nil, nil, err
	}
	store, err := kv.Open(dir, opts)
	if err != nil {
		os.RemoveAll(dir)
		return nil, nil, err
	}
	return store, func() { store.Close(); os.RemoveAll(dir) }, nil
}

// diskLoad measures how fast a store is saved, and how fast it is there again from the
// snapshot and from the journal alone.
func diskLoad(_ context.Context, b *bench, s *series) error {
	for range b.runs {
		for _, from := range []string{"journal", "snapshot"} {
			if err := b.measureDiskLoad(s, from); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *bench) measureDiskLoad(s *series, from string) error {
	dir, err := os.MkdirTemp("", "ember-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	opts := &kv.Options{Durability: kv.Durability{Fsync: kv.FsyncNever, SavePoints: []kv.SavePoint{}}}
	store, err := kv.Open(dir, opts)
	if err != nil {
		return err
	}
	defer func() { store.Close() }() // again, if it was
	e := newEntry(b.valueBytes)
	for i := range uint64(b.keys) {
		if err := store.Set(e.keyOf(i), e.valueOf(i)); err != nil {
			return err
		}
	}
	if from == "snapshot" {
		began := time.Now()
		if _, err := store.Save(context.Background()); err != nil {
			return err
		}
		s.add("saved after", seconds, time.Since(began).Seconds())
	}
	if err := store.Close(); err != nil {
		return err
	}
	began := time.Now()
	again, err := kv.Open(dir, opts)
	if err != nil {
		return err
	}
	store = again
	s.add("loaded from the "+from, seconds, time.Since(began).Seconds())
	if n := store.Len(); n != b.keys {
		return fmt.Errorf("%d keys were loaded, %d saved", n, b.keys)
	}
	return nil
}
