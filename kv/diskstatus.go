package kv

import (
	"time"

	"github.com/emberkv/ember/backlog"
)

// A DiskStatus says how a store of [Open] stands with its disk. It marshals to JSON:
// durations are nanoseconds, times RFC 3339, errors their text, empty for none.
type DiskStatus struct {
	Dir   string `json:"dir"`
	Fsync Fsync  `json:"fsync"`

	Written int64            `json:"written"` // offset of the log up to which the journal is written
	Synced  backlog.Position `json:"synced"`  // see Store.Synced
	Waiting int64            `json:"waiting"` // bytes of log that are not on disk yet

	// Failing says why nothing can be written just now, and Refusing why writes are refused,
	// which may last a moment longer.
	Failing  string `json:"failing"`
	Refusing string `json:"refusing"`

	Saving   bool             `json:"saving"`       // a snapshot is being written
	Saved    backlog.Position `json:"saved"`        // that the newest snapshot stands for
	SavedAt  time.Time        `json:"saved_at"`     // when that was
	SaveTook time.Duration    `json:"save_took_ns"` // of the last one that was written since Open; 0 before
	SaveErr  string           `json:"save_err"`     // of the last attempt
	Unsaved  int64            `json:"unsaved"`      // records in the journal after it

	Snapshots     int   `json:"snapshots"`      // in the folder
	SnapshotBytes int64 `json:"snapshot_bytes"` // of the newest
	Segments      int   `json:"segments"`       // of the journal, of all generations
	JournalBytes  int64 `json:"journal_bytes"`

	// Archived is the oldest offset from which a follower can go on without a full copy, from
	// the journal's files if the log does not hold it; Archive is how many followers are being
	// served from those, and ArchiveErr why a part of them could not be read, or not in time,
	// when that last happened.
	Archived   int64  `json:"archived"`
	Archive    int    `json:"archive"`
	ArchiveErr string `json:"archive_err"`
}

// Disk returns how the store stands with its disk; false for one in memory. It lists the
// folder, and takes as long as the disk needs for that; nothing waits for it.
func (s *Store) Disk() (DiskStatus, bool) {
	j := s.journal
	if j == nil {
		return DiskStatus{}, false
	}
	d := DiskStatus{
		Dir: j.folder.path, Fsync: j.opts.Fsync,
		Written: j.wroteTo.Load(), Synced: s.Synced(), Waiting: max(s.log.End()-j.held.Load(), 0),
		Failing: errorText(j.broken.Load()), Refusing: errorText(j.refused.Load()),
		SavedAt: time.Unix(0, j.lastSave.Load()).UTC(), Unsaved: max(j.records.Load()-j.savedAt.Load(), 0),
		Archived: s.log.Window().Archived,
	}
	if last := j.saves.Load(); last != nil {
		d.Saving, d.Saved, d.SaveTook, d.SaveErr = last.running > 0, last.saved, last.took, last.err
	}
	reading, failed := j.archive.Load().reading()
	d.Archive = reading
	if failed != nil {
		d.ArchiveErr = failed.Error()
	}
	files, err := j.folder.list()
	if err != nil {
		return d, true
	}
	for _, f := range files.segments {
		d.Segments++
		d.JournalBytes += f.size
	}
	for _, f := range files.snapshots {
		d.Snapshots++
		d.SnapshotBytes = f.size
	}
	return d, true
}

func errorText(err *error) string {
	if err == nil {
		return ""
	}
	return (*err).Error()
}

// saves is what is known of the snapshots that were and are being written. It is immutable.
type saves struct {
	running int
	saved   backlog.Position
	took    time.Duration
	err     string
}

// noteSave records that a snapshot is begun, or what became of it.
func (j *journal) noteSave(change func(*saves)) {
	for {
		var next saves
		old := j.saves.Load()
		if old != nil {
			next = *old
		}
		if change(&next); j.saves.CompareAndSwap(old, &next) {
			return
		}
	}
}
