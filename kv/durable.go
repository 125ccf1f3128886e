package kv

import (
	"context"
	"time"

	"github.com/emberkv/ember/backlog"
)

// heldMost is how many times MaxUnsynced a store that follows keeps for a disk that does not
// take it. Then it lets go, and the journal begins again, with a snapshot, when the disk is
// back: a replica is not to end with its disk.
const heldMost = 4

// Durable blocks until everything up to pos is on disk, so that it is there after a power
// failure. It asks for a sync if none is on the way. It returns what [Store.Wait] does
// for a position that is not here, ctx.Err, [ErrInMemory] and [ErrClosed]. While the disk
// fails it waits.
func (s *Store) Durable(ctx context.Context, pos backlog.Position) error {
	j := s.journal
	if j == nil {
		return ErrInMemory
	}
	for {
		resets := j.resets.Load()
		if err := s.Wait(ctx, pos); err != nil {
			return err
		}
		if err := j.waitSynced(ctx, pos.Offset, resets); err != ErrReplaced {
			return err
		}
	}
}

// Synced returns the position up to which the store is on disk. It is the zero Position for
// a store in memory, and while a state that has replaced the former one is not on disk yet.
func (s *Store) Synced() backlog.Position {
	j := s.journal
	if j == nil {
		return backlog.Position{}
	}
	resets := j.resets.Load()
	lineage := s.log.Lineage()
	synced, ok := j.kept() // after the lineage, which cannot be a later log's then
	if !ok || resets != j.resets.Load() {
		return backlog.Position{}
	}
	return backlog.Position{History: lineage.At(synced).Current, Offset: synced}
}

// SyncedChanged returns a channel that is closed when the result of [Store.Synced] has
// changed, and perhaps sooner. It is nil for a store in memory. Package repl asks for it.
func (s *Store) SyncedChanged() <-chan struct{} {
	if s.journal == nil {
		return nil
	}
	return s.journal.watch()
}

// waitSynced waits until the journal is on disk up to offset. It returns ErrReplaced when
// the log was replaced since resets was read.
func (j *journal) waitSynced(ctx context.Context, offset, resets int64) error {
	for {
		changed := j.watch()
		switch {
		case j.resets.Load() != resets:
			return ErrReplaced
		case j.has(offset):
			return nil
		}
		j.ask()
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		case <-j.done:
			if j.has(offset) {
				return nil
			}
			return ErrClosed
		}
	}
}

// settle ends a write whose records end at offset end: it waits for the disk, if Fsync says
// so, or if too much waits for it.
func (j *journal) settle(end int64) error {
	if j.settled(end) {
		return nil
	}
	log := j.store.log.EndReader() // is outdated when the log is replaced
	moved := j.moved.Load()
	late := time.NewTimer(j.opts.DiskTimeout)
	defer late.Stop()
	for {
		changed := j.watch()
		if j.settled(end) && !log.Outdated() {
			return nil
		}
		var err error
		if log.Outdated() {
			err = ErrReplaced
		} else if p := j.broken.Load(); p != nil {
			err = *p
		}
		if err == nil {
			select {
			case <-changed:
				continue
			case <-late.C:
				if now := j.moved.Load(); now != moved && !j.begun() {
					moved = now // the disk takes what the store was given anew, and that is much
					late.Reset(j.opts.DiskTimeout)
					continue
				}
				err = ErrDiskSlow
				slow := diskError(err)
				closed := j.refused.CompareAndSwap(nil, &slow)
				if j.settled(end) { // just now: nobody may come to open the gate again
					if closed {
						j.refused.CompareAndSwap(&slow, nil)
					}
					return nil
				}
			case <-j.done:
				if j.settled(end) {
					return nil
				}
				err = ErrClosed
			}
		}
		history := j.store.log.Lineage().Current
		return &NotDurableError{Position: backlog.Position{History: history, Offset: end}, Err: err}
	}
}

// settled reports whether a write that ends at offset end may return.
func (j *journal) settled(end int64) bool {
	if j.opts.Fsync == FsyncAlways {
		return j.has(end)
	}
	return end-j.held.Load() <= j.opts.MaxUnsynced
}

// gate is the log's: it refuses what could not be kept.
func (j *journal) gate() error {
	if p := j.refused.Load(); p != nil {
		return *p
	}
	return nil
}

// awaitDisk holds up a store that follows while too much waits for the disk, for
// DiskTimeout at most, and lets go of what the journal has not got when it is far too much.
func (j *journal) awaitDisk() {
	behind := func() int64 { return j.store.log.End() - j.held.Load() }
	if behind() <= j.opts.MaxUnsynced {
		return
	}
	late := time.NewTimer(j.opts.DiskTimeout)
	defer late.Stop()
	for j.broken.Load() == nil {
		changed := j.watch()
		if behind() <= j.opts.MaxUnsynced {
			return
		}
		select {
		case <-changed:
			continue
		case <-late.C:
		case <-j.done:
		}
		break
	}
	if behind() > heldMost*j.opts.MaxUnsynced {
		j.store.log.Release()
	}
}
