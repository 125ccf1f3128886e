package kv

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/internal/giveway"
	"github.com/emberkv/ember/rdb"
)

// A recovery restores a store from its folder. The steps are numbered in part 8 of
// rdb/FORMAT.md.
type recovery struct {
	store  *Store
	folder *folder
	repair bool

	gen     uint64 // that the store goes on in
	newest  uint64 // of all files: a later one may have been begun
	seq     uint64 // the highest of all files
	fresh   bool   // there was nothing
	useless []string
	report  Recovered

	stop    rdb.Stop
	stopped bool // there is a marker

	loading *loading // the snapshot
	table   *table   // of that; complete when it is loaded

	log    *backlog.Log
	origin rdb.Origin
	from   backlog.Position // that of the snapshot
	saved  time.Time        // when that was
	chain  []link           // the journal, up to the last segment that was read

	windowed int // from which segment of the journal on the log's window is filled
}

func (r *recovery) run() error {
	files, err := r.folder.list()
	if err != nil {
		return err
	}
	if err := r.readStop(len(files.snapshots) > 0); err != nil {
		return err
	}
	r.useless = files.temps
	for _, f := range append(files.snapshots, files.segments...) {
		r.gen, r.seq = max(r.gen, f.Generation), max(r.seq, f.Sequence)
	}
	if len(files.snapshots) == 0 {
		return r.begin(files)
	}
	gen := files.snapshots[len(files.snapshots)-1].Generation
	snapshots, segments := r.ofGeneration(files.snapshots, gen), r.ofGeneration(files.segments, gen)
	if gen != r.gen {
		// A later one has no snapshot: its files are no part of anything. Its number is
		// not used again, so that what should be left of them stays so.
		for _, f := range files.segments {
			if f.Generation > gen {
				r.useless = append(r.useless, f.name)
			}
		}
	}
	r.newest, r.gen = r.gen, gen
	if err := r.restore(snapshots, segments); err != nil {
		return err
	}
	return r.conclude()
}

// readStop reads the marker. One that is damaged says nothing: if the folder is to be repaired,
// and there is anything in it, the store was not closed.
func (r *recovery) readStop(any bool) (err error) {
	r.stop, r.stopped, err = r.folder.stop()
	if c := (*CorruptError)(nil); errors.As(err, &c) && r.repair && any {
		r.stopped, r.report.Repaired = false, c
		return nil
	}
	return err
}

// ofGeneration returns the files of one generation. Those of others are useless.
func (r *recovery) ofGeneration(files []storedFile, gen uint64) (of []storedFile) {
	for _, f := range files {
		switch {
		case f.Generation == gen:
			of = append(of, f)
		case f.Generation < gen:
			r.useless = append(r.useless, f.name)
		}
	}
	return of
}

// begin is for a folder without a snapshot, which must be empty: the first thing that a
// store writes is a snapshot.
func (r *recovery) begin(files stored) error {
	switch {
	case len(files.segments) > 0:
		return &CorruptError{File: r.folder.join(files.segments[0].name), Err: errors.New("a journal without a snapshot")}
	case r.stopped:
		return &CorruptError{File: r.folder.join(stopName), Err: errors.New("a marker without a snapshot")}
	}
	r.gen, r.newest, r.fresh = 1, 1, true
	r.report.Position = r.store.log.Position()
	r.report.Snapshot = r.report.Position
	r.report.Clean = true
	return nil
}

// restore loads the newest snapshot that is good, and applies the journal behind it. The
// journal is read meanwhile: what it has before the snapshot, with which the log's window is
// filled, takes as long as a sixth of the snapshot, on one processor of several.
func (r *recovery) restore(snapshots, segments []storedFile) error {
	var first error
	for i := len(snapshots) - 1; i >= 0; i-- {
		before, path := *r, r.folder.join(snapshots[i].name)
		err := r.load(path)
		if err == nil {
			failed := r.replay(segments)
			if err = r.loading.wait(); err == nil {
				r.saved = snapshots[i].made
				return failed
			}
		}
		*r = before
		var at *rdb.ReadError
		damaged := errors.Is(err, rdb.ErrFormat) || errors.Is(err, rdb.ErrChecksum) || errors.Is(err, ErrBlock) || errors.Is(err, ErrDigest)
		if !damaged || errors.Is(err, rdb.ErrVersion) {
			return fmt.Errorf("%s: %w", path, err)
		}
		c := &CorruptError{File: path, Err: err}
		if errors.As(err, &at) {
			c.Offset, c.Err = at.Offset, at.Err
		}
		if first == nil {
			first = c
		}
		r.report.Damaged = append(r.report.Damaged, path)
	}
	return first
}

// load begins to load a snapshot into a table of its own.
func (r *recovery) load(path string) error {
	file, err := r.folder.fs.Open(path)
	if err != nil {
		return err
	}
	l, in, err := r.store.loadFrom(file)
	if err != nil {
		file.Close()
		return err
	}
	h := in.Header()
	r.table, r.from, r.report.Snapshot = l.table, h.Position, h.Position
	r.origin = rdb.Origin{Lineage: h.Lineage, Own: true} // unless a segment knows better
	r.loading = beginLoading(l, in, file)
	return nil
}

// A loading is a snapshot that is being loaded.
type loading struct {
	done chan struct{}
	err  error // when done is closed
}

// beginLoading lets a loader take the rest of a file, and closes that.
func beginLoading(l *loader, in *rdb.Reader, file io.Closer) *loading {
	w := &loading{done: make(chan struct{})}
	go func() {
		defer close(w.done)
		defer file.Close()
		if w.err = l.takeAll(in); w.err == nil {
			l.table = nil // the recovery has it
			l.Abort()
		}
	}()
	return w
}

// wait returns when all is loaded, or why it cannot be.
func (w *loading) wait() error {
	<-w.done
	return w.err
}

// conclude puts the state that was found into the store's hands.
func (r *recovery) conclude() error {
	s, end := r.store, r.log.Position()
	if r.stopped && r.stop.Generation == r.gen {
		clean := r.stop.Position == end
		if !clean && r.report.Repaired == nil {
			err := fmt.Errorf("the store was closed at %s, its files end at %s", r.stop.Position, end)
			c := &CorruptError{File: r.folder.path, Err: err}
			if !r.repair {
				return c
			}
			r.report.Repaired = c
		}
		r.report.Clean = clean
	}
	switch {
	case !r.origin.Own:
		// Others write this history. As long as this store follows them, so be it.
		r.log.ForkFirst()
		s.following.Store(true)
	case r.report.Clean:
		r.log.Claim()
	default:
		r.log.Fork(backlog.NewHistory())
		r.report.Forked = true
	}
	r.report.Position = r.log.Position()
	s.log = r.log
	if s.ordered {
		r.table.setIndex(r.table.buildIndex(func(*giveway.Worker) { runtime.Gosched() }))
	}
	s.install(r.table)
	return nil
}
