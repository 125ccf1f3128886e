package kv

import (
	"fmt"
	"runtime"
	"time"

	"github.com/emberkv/ember/backlog"
)

// syncIfDue begins or makes a sync, if it is time for one.
func (j *journal) syncIfDue() error {
	f := j.file
	behind := j.written - j.onDisk
	if j.allSynced() {
		j.wanted = false
		return j.mark()
	}
	if j.opts.Fsync == FsyncAlways {
		return j.syncNow()
	}
	due := j.wanted || behind > j.opts.MaxUnsynced/2 ||
		j.opts.Fsync == FsyncEverySecond && time.Since(f.unsynced) >= syncEvery
	if !due || j.sync != nil {
		return nil
	}
	// In the background, so that what is written meanwhile is not held up.
	s := &syncing{file: f, upTo: j.written, done: make(chan error, 1)}
	j.sync, j.wanted, j.forked = s, false, false // one that fails is not appended to again
	f.unsynced = time.Now()                      // of what comes after
	j.wg.Go(func() { s.done <- s.file.out.Sync() })
	return nil
}

// endSync notes how a sync in the background has ended.
func (j *journal) endSync(err error) {
	s := j.sync
	j.sync = nil
	if s.file != j.file {
		return // that file has been given up since
	}
	if err != nil {
		j.fail(err)
		return
	}
	j.didSync(s.upTo)
}

// syncNow syncs all that is written.
func (j *journal) syncNow() error {
	if s := j.sync; s != nil {
		j.sync = nil
		if err := <-s.done; err != nil && s.file == j.file {
			return err
		}
	}
	if !j.allSynced() {
		begun := time.Now()
		if err := j.file.out.Sync(); err != nil {
			return err
		}
		j.took, j.forked = time.Since(begun), false
		j.didSync(j.written)
	}
	j.wanted = false
	return nil
}

// reunite gives those who have waited for the last sync a moment to write again, so that
// they share the next one.
func (j *journal) reunite() {
	if j.opts.Fsync != FsyncAlways || j.store.log.End() == j.written {
		return
	}
	begun := time.Now()
	for range reuniteTurns {
		if j.together() || time.Since(begun) >= j.took/reuniteMost {
			return
		}
		runtime.Gosched()
	}
}

// together reports whether as many wait for the journal as were woken last.
func (j *journal) together() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.mu.waiting >= j.mu.woken
}

// allSynced reports whether all that was written is synced, and the history, too, that was
// begun last.
func (j *journal) allSynced() bool { return j.onDisk == j.written && !j.forked }

func (j *journal) didSync(upTo int64) {
	j.onDisk, j.pause = max(j.onDisk, upTo), 0
	j.publish()
}

// publish lets others know how far the journal is.
func (j *journal) publish() {
	j.reader.Hold(j.onDisk)
	j.held.Store(j.onDisk)
	j.wroteTo.Store(j.written)
	j.archive.Load().onDisk.Store(j.onDisk)
	if j.base == nil {
		shared := j.written
		if j.opts.Fsync == FsyncAlways {
			shared = j.onDisk
		}
		j.reader.Share(shared)
		j.synced.Store(&reach{j.reader, j.onDisk})
		if j.onDisk == j.written {
			j.broken.Store(nil)
		}
		if j.broken.Load() == nil && j.store.log.End()-j.onDisk <= j.opts.MaxUnsynced {
			j.refused.Store(nil)
		}
	}
	j.tell()
}

// fail gives up the file: what is in it beyond what was synced is not known, and it is
// written again, to another. The log still has it.
func (j *journal) fail(err error) {
	if j.file != nil {
		j.file.out.Close()
		if j.file.again && j.written == j.file.base {
			j.folder.remove(segmentFile(j.file.Segment)) // else each attempt would leave one
		}
		j.file = nil
	}
	j.refuse(diskError(err))
	j.pause = min(max(2*j.pause, retryFirst), retryMost)
	j.retryAt = time.Now().Add(j.pause)
}

// refuse closes the log's gate, and ends the wait of those who wait for the disk.
func (j *journal) refuse(err error) {
	j.broken.Store(&err)
	j.refused.Store(&err)
	j.tell()
}

// reopen goes on, after a failure, behind what is on disk, in a new file.
func (j *journal) reopen() error {
	r, err := j.store.log.NewReader(j.onDisk)
	if j.reader.Outdated() { // asked now: r would be the next log's
		return backlog.ErrReset
	}
	if err != nil {
		return err
	}
	if j.file, err = j.create(j.onDisk); err != nil {
		return err
	}
	j.reader.Close()
	j.reader = r
	j.file.again = true
	j.written, j.wanted = j.onDisk, true
	j.publish()
	return nil
}

// reset begins another generation, after the log was replaced by another one, or has lost
// what the journal had still to write: with a snapshot of the store as it is now, and
// a journal from there on. Until the snapshot is there the folder holds the store as it
// was before.
func (j *journal) reset() error {
	j.resets.Add(1)
	j.synced.Store(nil)
	if j.sync != nil {
		<-j.sync.done
		j.sync = nil
	}
	if j.file != nil {
		j.file.out.Close()
		j.file = nil
	}
	j.base.giveUp()
	j.base = nil
	snap, r, err := j.snapshot()
	if err != nil {
		return err
	}
	j.newest++
	j.gen = j.newest
	j.reader.Close()
	at := snap.Position().Offset
	j.reader = r
	j.written, j.onDisk = at, at
	j.archive.Swap(newArchive(j.folder)).close()
	r.SetArchive(j.archive.Load())
	// The file first: it says whose history it is.
	j.file, err = j.create(at)
	j.base = j.saveFirst(snap)
	j.publish()
	return err
}

// snapshot returns the store's contents as they are now, and a reader of the log from there.
func (j *journal) snapshot() (*Snapshot, *backlog.Reader, error) {
	log := j.store.log
	for {
		probe, err := log.NewReader(log.End())
		if err != nil {
			continue // replaced, or trimmed, in between
		}
		probe.Hold(probe.Offset())
		snap, err := j.store.Snapshot()
		if err != nil {
			return nil, nil, err
		}
		r, err := log.NewReader(snap.Position().Offset)
		// Both were made of the log's contents of then, if those are still there now.
		if err == nil && !probe.Outdated() {
			return snap, r, nil
		}
		snap.Close()
	}
}

func diskError(err error) error { return fmt.Errorf("%w: %w", ErrDisk, err) }
