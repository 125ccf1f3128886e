package kv

import (
	"sync/atomic"
	"time"

	"github.com/emberkv/ember/backlog"
)

// A writing is what a journal's goroutine knows, and nobody else looks at: how much of the log
// is where, and what it is about to do.
type writing struct {
	gen    uint64
	newest uint64 // generation that was ever begun
	reader *backlog.Reader

	file    *journalFile    // nil while none can be written
	written int64           // up to which offset of the log
	onDisk  int64           // likewise, synced
	origin  []byte          // as last written to file
	history backlog.History // the one in it
	forked  bool            // origin is not known to be synced
	news    []byte          // room for the next origin
	frames  []byte          // and for what is written next
	wrote   time.Time
	took    time.Duration // the last sync that somebody has waited for

	retryAt time.Time
	pause   time.Duration
	wanted  bool       // a sync is, now
	sync    *syncing   // in the background; nil if none is
	base    *firstSave // the snapshot that this generation begins with; nil when it is there
}

// A published is what a journal tells everybody. While there is no snapshot that
// the generation begins with, nothing is synced, whatever is on disk.
type published struct {
	seq     atomic.Uint64         // of the last file
	held    atomic.Int64          // onDisk
	wroteTo atomic.Int64          // written
	synced  atomic.Pointer[reach] // up to where the store would come back
	resets  atomic.Int64          // how often the log was replaced
	moved   atomic.Int64          // bytes of snapshots that the disk has taken
	records atomic.Int64          // written since the snapshot from which Open has begun
	archive atomic.Pointer[archive]
	saves   atomic.Pointer[saves] // nil before the first
	refused atomic.Pointer[error] // why the log's gate is closed
	broken  atomic.Pointer[error] // why nothing can be written
}

// A reach is an offset of the log, together with whose: offsets of contents that were
// replaced say nothing of those that have taken their place.
type reach struct {
	reader *backlog.Reader // of these contents
	offset int64
}

// kept returns up to which offset the log's contents are on disk; false when nothing is known
// of those that it has now.
func (j *journal) kept() (int64, bool) {
	r := j.synced.Load()
	if r == nil || r.reader.Outdated() {
		return 0, false
	}
	return r.offset, true
}

// begun reports whether the snapshot is there that the generation of the log's contents
// begins with.
func (j *journal) begun() bool {
	_, ok := j.kept()
	return ok
}

// has reports whether the log is on disk up to offset.
func (j *journal) has(offset int64) bool {
	kept, ok := j.kept()
	return ok && kept >= offset
}

// A syncing is a sync in the background.
type syncing struct {
	file *journalFile
	upTo int64
	done chan error // has room for one
}
