package kv

import (
	"errors"
	"fmt"
	"time"

	"github.com/emberkv/ember/internal/disk"
)

// openGrace is how long a store that was opened deletes no key whose deadline has passed: it
// may be about to follow another one, and what it logs would keep it from going on where
// it stands.
const openGrace = time.Second

// Open returns the store that is kept in the folder dir, which it creates if need be: like a
// store of [New], but with its contents, position and history of before. From now on its log
// is written to the folder as well, as Options.Durability says. Close it: a store that was
// closed goes on at exactly its position. One that was not, because the process or the
// machine ended, is restored up to where its journal reaches; and if it took writes, it
// begins a new history there, since it may have told others of more.
//
// The folder of a store that followed another one is opened as a follower's, which deletes
// no keys by itself; see [Store.SetFollower], which package repl calls. Its first write,
// if there is one, begins a new history.
//
// Open takes as long as loading the contents does. It returns an [*InvalidError] for
// Options that make no sense, [ErrLocked], a [*CorruptError], [rdb.ErrVersion] for files
// of a newer version, or what the file system returned.
func Open(dir string, opts *Options) (*Store, error) { return openOn(disk.System{}, dir, opts) }

func openOn(fs disk.FS, dir string, opts *Options) (*Store, error) {
	if opts == nil {
		opts = &Options{}
	}
	d, err := opts.Durability.normalize()
	if err != nil {
		return nil, err
	}
	if opts.LogBytes < 0 {
		return nil, &InvalidError{Field: "Options.LogBytes", Value: opts.LogBytes, Want: "0 or more: a journal reads the log"}
	}
	f, err := openFolder(fs, dir)
	if err != nil {
		return nil, err
	}
	s := New(opts)
	if err := s.open(f, d); err != nil {
		s.journal = nil // it has not begun
		s.Close()
		f.close()
		if corrupt := (*CorruptError)(nil); errors.As(err, &corrupt) {
			return nil, err // it names the file
		}
		return nil, fmt.Errorf("kv: open %s: %w", dir, err)
	}
	return s, nil
}

// open restores what is in the folder, and begins to write there.
func (s *Store) open(f *folder, d Durability) error {
	began := time.Now()
	r := &recovery{store: s, folder: f, repair: d.Repair}
	if err := r.run(); err != nil {
		return err
	}
	s.journal = newJournal(s, f, d)
	s.journal.gen, s.journal.newest = r.gen, r.newest
	s.journal.seq.Store(r.seq)
	s.journal.saves.Store(&saves{saved: r.from})
	s.journal.records.Store(r.report.Records)
	s.journal.lastSave.Store(min(r.saved.UnixNano(), began.UnixNano()))
	if r.fresh {
		s.journal.lastSave.Store(began.UnixNano())
		if err := s.journal.writeFirst(); err != nil {
			return err
		}
	}
	// The marker goes before anything can be appended.
	if err := f.removeStop(); err != nil {
		return err
	}
	r.shelve(s.journal.archive.Load())
	if err := s.journal.begin(); err != nil {
		return err
	}
	f.remove(r.useless...)
	s.expirer.startAfter(openGrace)
	r.report.Took = time.Since(began)
	s.recovered = r.report
	return nil
}

// writeFirst writes the snapshot of a store that begins, so that a folder without one is
// never anything but empty.
func (j *journal) writeFirst() error {
	snap, err := j.store.Snapshot()
	if err != nil {
		return err
	}
	defer snap.Close()
	return j.writeSnapshot(j.ctx, snap, j.next(j.gen), func() error { return nil })
}
