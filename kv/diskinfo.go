package kv

import (
	"fmt"
	"strings"
	"time"
	"unicode"
)

// Info returns the status as text under the names of Redis' INFO persistence, for dashboards
// and scripts that read those, followed by what Redis has no names for. Lines are
// "name:value" and end in \r\n. The journal stands in for Redis' append-only file; that is
// rewritten from time to time, while the journal begins a new segment and is never
// rewritten.
//
//	loading                      0: Open returns when all is loaded
//	rdb_changes_since_last_save  records in the journal behind the newest snapshot
//	rdb_bgsave_in_progress       1 while a snapshot is written
//	rdb_last_save_time           when the newest one was, in Unix seconds
//	rdb_last_bgsave_status       of the last attempt: ok or err
//	rdb_last_bgsave_time_sec     what the last one took; -1 before the first since Open
//	aof_enabled                  1; 0 for a store in memory, which has no other line
//	aof_last_write_status        ok, or err while the journal cannot be written
//	aof_current_size             bytes of the journal's files
//	ember_fsync                  always, everysec or never
//	ember_disk_synced            up to where the store is on disk; none while that is not known
//	ember_unsynced_bytes         of log that are not on disk
//	ember_disk_error             why the journal cannot be written; empty while it can
//	ember_save_error             of the last attempt; empty if it succeeded
//	ember_archive_offset         the oldest from which a follower can go on
//	ember_archive_readers        followers that are being given what only the files have
//	ember_archive_error          why a part of those was last given up, or a follower not served
func (d DiskStatus) Info() string {
	var b strings.Builder
	line := func(name string, value any) { fmt.Fprintf(&b, "%s:%s\r\n", name, oneLine(fmt.Sprint(value))) }
	b.WriteString("# Persistence\r\n")
	if d.Dir == "" {
		line("aof_enabled", 0)
		return b.String()
	}
	line("loading", 0)
	line("rdb_changes_since_last_save", d.Unsaved)
	line("rdb_bgsave_in_progress", zeroOrOne(d.Saving))
	line("rdb_last_save_time", d.SavedAt.Unix())
	line("rdb_last_bgsave_status", okOrErr(d.SaveErr))
	if d.SaveTook == 0 {
		line("rdb_last_bgsave_time_sec", -1)
	} else {
		line("rdb_last_bgsave_time_sec", int64(d.SaveTook/time.Second))
	}
	line("aof_enabled", 1)
	line("aof_last_write_status", okOrErr(d.Failing))
	line("aof_current_size", d.JournalBytes)
	line("ember_fsync", d.Fsync)
	if d.Synced.IsZero() {
		line("ember_disk_synced", "none")
	} else {
		line("ember_disk_synced", d.Synced)
	}
	line("ember_unsynced_bytes", d.Waiting)
	line("ember_disk_error", d.Failing)
	line("ember_save_error", d.SaveErr)
	line("ember_archive_offset", d.Archived)
	line("ember_archive_readers", d.Archive)
	line("ember_archive_error", d.ArchiveErr)
	return b.String()
}

func zeroOrOne(on bool) int {
	if on {
		return 1
	}
	return 0
}

func okOrErr(err string) string {
	if err == "" {
		return "ok"
	}
	return "err"
}

// oneLine returns s with "_" for what is not printable: the errors name files.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			return '_'
		}
		return r
	}, s)
}
