package kv

import (
	"context"
	"io"
	"slices"
	"sync/atomic"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/internal/disk"
	"github.com/emberkv/ember/rdb"
)

const (
	// saveRetry is how long the store waits before it saves itself again after a failure,
	// as Redis does.
	saveRetry = 5 * time.Second

	// scheduleEvery is how often it looks whether it should.
	scheduleEvery = time.Second

	saveProgressEvery = 20 * time.Millisecond
)

// Save writes a snapshot of the store as it is now to its folder and, once it is there for
// good, returns the position that it stands for. Writers go on meanwhile. One snapshot is
// written at a time: Save waits for its turn. Files that are not needed any more are
// removed.
//
// It returns ctx.Err, [ErrInMemory], [ErrClosed], [ErrDamaged], or what the disk returned;
// then the folder is as it was.
func (s *Store) Save(ctx context.Context) (backlog.Position, error) {
	if s.journal == nil {
		return backlog.Position{}, ErrInMemory
	}
	return s.journal.save(ctx)
}

// A capture is a snapshot that somebody asks the journal for, because only its goroutine
// knows to which generation one belongs.
type capture struct {
	done chan struct{}
	snap *Snapshot
	name rdb.Segment
	base *firstSave // that is under way, in place of snap
	err  error

	resets int64 // of the journal, then
}

// capture answers c.
func (j *journal) capture(c *capture) {
	defer close(c.done)
	if j.reader.Outdated() {
		j.cope(backlog.ErrReset)
	}
	if c.base = j.base; c.base != nil {
		return
	}
	if c.snap, c.err = j.store.Snapshot(); c.err != nil {
		return
	}
	if j.reader.Outdated() {
		c.snap.Close()
		c.err = ErrReplaced
		return
	}
	c.name, c.resets = j.next(j.gen), j.resets.Load()
}

// captured asks for a snapshot.
func (j *journal) captured(ctx context.Context) (*capture, error) {
	c := &capture{done: make(chan struct{})}
	select {
	case j.captures <- c:
		<-c.done
		return c, c.err
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-j.ctx.Done():
		return nil, ErrClosed
	}
}

func (j *journal) save(ctx context.Context) (pos backlog.Position, err error) {
	select {
	case j.saving <- struct{}{}:
	case <-ctx.Done():
		return pos, ctx.Err()
	case <-j.ctx.Done():
		return pos, ErrClosed
	}
	defer func() { <-j.saving }()
	c, err := j.captured(ctx)
	if err != nil {
		return pos, err
	}
	if c.base != nil {
		select {
		case <-c.base.done:
			return c.base.pos, c.base.err
		case <-ctx.Done():
			return pos, ctx.Err()
		}
	}
	defer c.snap.Close()
	records := j.records.Load()
	pos = c.snap.Position()
	// A snapshot ahead of its journal would be the only witness of what lies between: it
	// waits until the journal is on disk up to there.
	if err = j.writeSnapshot(ctx, c.snap, c.name, func() error {
		return j.waitSynced(ctx, pos.Offset, c.resets)
	}); err != nil {
		return backlog.Position{}, err
	}
	j.savedAt.Store(records)
	j.lastSave.Store(time.Now().UnixNano())
	j.tidy()
	return pos, nil
}

// writeSnapshot writes a snapshot's file. It is put in its place when before has returned nil.
func (j *journal) writeSnapshot(ctx context.Context, snap *Snapshot, name rdb.Segment, before func() error) error {
	began := time.Now()
	j.noteSave(func(s *saves) { s.running++ })
	p := &saveMeter{ctx: ctx, moved: &j.moved, report: j.opts.OnSave, progress: SaveProgress{Position: snap.Position(), Total: snap.bytes}}
	err := disk.WriteFile(j.folder.fs, j.folder.join(snapshotFile(name)), func(w io.Writer) error {
		p.to = w
		if _, err := snap.WriteCompressed(p, j.opts.SaveCompression); err != nil {
			return err
		}
		return before()
	})
	j.noteSave(func(s *saves) {
		s.running--
		if s.err = ""; err != nil {
			s.err = err.Error()
		} else {
			s.saved, s.took = snap.Position(), time.Since(began)
		}
	})
	p.end(err)
	return err
}

// A saveMeter reports what is written through it, and ends with its context.
type saveMeter struct {
	ctx      context.Context
	to       io.Writer
	moved    *atomic.Int64
	report   func(SaveProgress)
	progress SaveProgress
	last     time.Time
}

func (m *saveMeter) Write(b []byte) (int, error) {
	if err := m.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := m.to.Write(b)
	m.progress.Bytes += int64(n)
	m.moved.Add(int64(n))
	if m.report != nil && time.Since(m.last) >= saveProgressEvery {
		m.last = time.Now()
		m.report(m.progress)
	}
	return n, err
}

func (m *saveMeter) end(err error) {
	m.progress.Done, m.progress.Err = err == nil, err
	if m.report != nil {
		m.report(m.progress)
	}
}

// A firstSave is the snapshot that a generation begins with, on its way to the disk.
type firstSave struct {
	pos    backlog.Position
	cancel context.CancelFunc
	done   chan struct{}
	err    error // readable once done is closed
}

// saveFirst writes snap, again and again until it is there, or the journal ends.
func (j *journal) saveFirst(snap *Snapshot) *firstSave {
	ctx, cancel := context.WithCancel(context.Background())
	b := &firstSave{pos: snap.Position(), cancel: cancel, done: make(chan struct{})}
	name := j.next(j.gen)
	j.wg.Go(func() {
		defer close(b.done)
		defer snap.Close()
		for pause := retryFirst; ; pause = min(2*pause, retryMost) {
			last := j.ctx.Err() != nil
			b.err = j.writeSnapshot(ctx, snap, name, func() error { return nil })
			if b.err == nil || last || ctx.Err() != nil {
				return
			}
			j.refuse(diskError(b.err))
			select {
			case <-time.After(pause):
			case <-j.ctx.Done():
			case <-ctx.Done():
				return
			}
		}
	})
	return b
}

// ready returns a channel that is closed when the snapshot is there, or the journal ends.
func (b *firstSave) ready() <-chan struct{} {
	if b == nil {
		return nil
	}
	return b.done
}

// giveUp ends the writing.
func (b *firstSave) giveUp() {
	if b != nil {
		b.cancel()
		<-b.done
	}
}

// endBase notes that the first snapshot of the generation is there: from now on the
// folder is that of this generation.
func (j *journal) endBase() error {
	b := j.base
	b.cancel()
	if b.err != nil {
		return b.err
	}
	j.base = nil
	j.wanted = true // what was written meanwhile: the gate may wait for it
	j.lastSave.Store(time.Now().UnixNano())
	j.savedAt.Store(j.records.Load())
	j.publish()
	j.tidy()
	return nil
}

// schedule saves the store when it is time.
func (j *journal) schedule() {
	if len(j.opts.SavePoints) == 0 {
		return
	}
	ticks := time.NewTicker(scheduleEvery)
	defer ticks.Stop()
	var failed time.Time
	for {
		select {
		case <-ticks.C:
		case <-j.ctx.Done():
			return
		}
		if j.broken.Load() != nil || !j.saveIsDue() || time.Since(failed) < saveRetry {
			continue
		}
		if _, err := j.save(j.ctx); err != nil {
			failed = time.Now()
		}
	}
}

func (j *journal) saveIsDue() bool {
	since := time.Since(time.Unix(0, j.lastSave.Load()))
	records := j.records.Load() - j.savedAt.Load()
	return slices.ContainsFunc(j.opts.SavePoints, func(p SavePoint) bool {
		return since >= p.After && records >= max(p.Records, 1)
	})
}
