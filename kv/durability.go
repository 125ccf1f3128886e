package kv

import (
	"fmt"
	"slices"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/rdb"
)

// A Fsync says when what the journal has written is synced to the disk.
type Fsync uint8

const (
	// FsyncEverySecond syncs a second after something was written, at the latest. A process
	// that is killed loses nothing that others have seen; a machine that loses power
	// loses a second or so.
	FsyncEverySecond Fsync = iota

	// FsyncAlways lets a write return only when it is synced. Writes that come together, like those of a [Pipeline],
	// share a sync.
	FsyncAlways

	// FsyncNever leaves it to the operating system, except for [Store.Durable], [Store.Save]
	// and Close.
	FsyncNever
)

var fsyncs = [...]string{FsyncEverySecond: "everysec", FsyncAlways: "always", FsyncNever: "never"}

const wantFsync = "one of everysec, always and never"

// String returns "everysec", "always" or "never", which are Redis' words.
func (f Fsync) String() string {
	if int(f) < len(fsyncs) {
		return fsyncs[f]
	}
	return fmt.Sprintf("Fsync(%d)", uint8(f))
}

// MarshalText returns what String returns.
func (f Fsync) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText reads what String returns, or returns an [*InvalidError].
func (f *Fsync) UnmarshalText(text []byte) error {
	i := slices.Index(fsyncs[:], string(text))
	if i < 0 {
		return &InvalidError{Field: "Fsync", Value: string(text), Want: wantFsync}
	}
	*f = Fsync(i)
	return nil
}

// A SavePoint asks for a snapshot when that much time has passed since the last one, with
// that many records.
type SavePoint struct {
	After   time.Duration
	Records int64
}

// DefaultSavePoints returns those of a store whose Options have none, which are Redis': an
// hour with one record, five minutes with 100, or a minute with 10,000.
func DefaultSavePoints() []SavePoint {
	return []SavePoint{{time.Hour, 1}, {5 * time.Minute, 100}, {time.Minute, 10_000}}
}

// Defaults and fixed bounds of a store that is kept on disk.
const (
	DefaultSegmentBytes = 64 << 20
	DefaultKeepBytes    = 256 << 20
	DefaultKeepAge      = 24 * time.Hour
	DefaultMaxUnsynced  = 32 << 20
	DefaultDiskTimeout  = 10 * time.Second

	minSegmentBytes = 4 << 10
	keepRead        = 2 // how many times KeepBytes and KeepAge what somebody is reading is kept for
	keepSnapshots   = 2 // the newest, and one to go back to if that should be damaged
)

// Durability is how [Open] keeps a store on disk. [New] ignores it.
type Durability struct {
	// Fsync says when the journal is synced.
	Fsync Fsync

	// SegmentBytes is the size at which the journal begins a new file. 0 means
	// DefaultSegmentBytes. Less than 4 KiB means 4 KiB.
	SegmentBytes int64

	// KeepBytes and KeepAge bound the files of the journal that no snapshot needs any more, by
	// their total size and by age. From them the log's window is filled again after a restart,
	// and a follower that was away until its place had left the window goes on without a full
	// copy. What a follower is just reading may be kept up to twice that size and age. 0 means
	// DefaultKeepBytes and DefaultKeepAge. With a negative one, none is kept.
	KeepBytes int64
	KeepAge   time.Duration

	// SavePoints say when the store saves itself. Nil means DefaultSavePoints, an empty
	// slice never.
	SavePoints []SavePoint

	// SaveCompression compresses snapshots.
	SaveCompression rdb.Compression

	// MaxUnsynced is how many bytes of the log may wait for the disk. A writer that finds more
	// waits after its write, at most DiskTimeout. 0 means DefaultMaxUnsynced. What is written
	// meanwhile stays in memory, beyond LogBytes if need be.
	MaxUnsynced int64

	// DiskTimeout bounds how long a writer waits for the disk. 0 means DefaultDiskTimeout.
	DiskTimeout time.Duration

	// Repair lets Open go on when the journal is damaged where it was known to be on
	// disk, without what follows the damage. [Store.Recovered] says what was given up.
	// Without Repair, Open then returns [ErrCorrupt].
	Repair bool

	// OnSave is called by the goroutines that write a snapshot, one call at a time: while that
	// progresses, at most some fifty times a second, and when it is done or has failed. Writing
	// waits for it.
	OnSave func(SaveProgress)
}

// A SaveProgress says how far a snapshot has come.
type SaveProgress struct {
	Position backlog.Position // that it stands for
	Bytes    int64            // written so far
	Total    int64            // about how many it will be; more than Bytes if it is compressed
	Done     bool
	Err      error // why it failed
}

// normalize returns d with its defaults, or an *InvalidError.
func (d Durability) normalize() (Durability, error) {
	if int(d.Fsync) >= len(fsyncs) {
		return d, &InvalidError{Field: "Fsync", Value: d.Fsync, Want: wantFsync}
	}
	if d.SaveCompression < rdb.Off || d.SaveCompression > rdb.Zstd {
		return d, &InvalidError{Field: "SaveCompression", Value: d.SaveCompression, Want: "off, none, s2 or zstd"}
	}
	for _, f := range []struct {
		name  string
		value any
		ok    bool
	}{
		{"SegmentBytes", d.SegmentBytes, d.SegmentBytes >= 0},
		{"MaxUnsynced", d.MaxUnsynced, d.MaxUnsynced >= 0},
		{"DiskTimeout", d.DiskTimeout, d.DiskTimeout >= 0},
	} {
		if !f.ok {
			return d, &InvalidError{Field: f.name, Value: f.value, Want: "0 or more"}
		}
	}
	for i, p := range d.SavePoints {
		if p.After <= 0 || p.Records < 0 {
			return d, &InvalidError{Field: fmt.Sprintf("SavePoints[%d]", i), Value: p, Want: "some time, and 0 records or more"}
		}
	}
	d.SegmentBytes = max(orDefault(d.SegmentBytes, DefaultSegmentBytes), minSegmentBytes)
	d.KeepBytes, d.KeepAge = orDefault(d.KeepBytes, DefaultKeepBytes), orDefault(d.KeepAge, DefaultKeepAge)
	d.MaxUnsynced = orDefault(d.MaxUnsynced, DefaultMaxUnsynced)
	d.DiskTimeout = orDefault(d.DiskTimeout, DefaultDiskTimeout)
	if d.SavePoints == nil {
		d.SavePoints = DefaultSavePoints()
	}
	return d, nil
}

// orDefault returns n, or what 0 stands for.
func orDefault[T int64 | time.Duration](n, standsFor T) T {
	if n == 0 {
		return standsFor
	}
	return n
}
