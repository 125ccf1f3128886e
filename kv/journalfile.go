package kv

import (
	"bytes"
	"math"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/internal/disk"
	"github.com/emberkv/ember/rdb"
)

// A journalFile is a segment of the journal that is being written.
type journalFile struct {
	out disk.File
	rdb.Segment
	at       int64     // bytes in the file
	unsynced time.Time // when the oldest of what is not synced was written
	marked   int64     // up to which offset a frame says that the log is synced
	base     int64     // offset at which it begins
	again    bool      // an earlier file has all up to there, and its history
}

// create begins a new file for the log from offset base on, which is on disk up to there.
func (j *journal) create(base int64) (*journalFile, error) {
	lineage, own := j.store.log.Origin()
	at := lineage.At(base)
	sum, err := j.store.log.Sum(base)
	if err != nil {
		sum = backlog.Sum{From: base}
	}
	if j.reader.Outdated() {
		return nil, backlog.ErrReset // both may be the next log's
	}
	// Of a history that has ended it is not known any more whether it was begun here. To say so
	// costs a fork after a crash, no more.
	h := rdb.SegmentHeader{
		Base: base, Synced: base, Sum: sum, RecordVersion: rdb.RecordVersion,
		Origin: rdb.Origin{Lineage: at, Own: own || at.Current != lineage.Current},
	}
	name := j.next(j.gen)
	out, err := j.folder.fs.Create(j.folder.path, segmentFile(name))
	if err != nil {
		return nil, err
	}
	b := name.AppendHeader(nil, h)
	_, err = out.Write(b)
	if err == nil {
		err = out.Sync()
	}
	if err == nil {
		err = j.folder.fs.SyncDir(j.folder.path)
	}
	if err != nil {
		out.Close()
		j.folder.remove(segmentFile(name))
		return nil, err
	}
	j.archive.Load().add(name, base)
	j.origin, j.history, j.forked = rdb.AppendOrigin(nil, h.Origin), at.Current, false
	return &journalFile{out: out, Segment: name, at: int64(len(b)), marked: base, base: base}, nil
}

// write writes all that the log has. It returns [backlog.ErrReset] when the log was
// replaced.
func (j *journal) write() error {
	for {
		j.reunite()
		end, n, err := j.gather()
		if err != nil {
			return err
		}
		if len(j.frames) == 0 {
			return nil
		}
		f := j.file
		if j.written == j.onDisk {
			f.unsynced = time.Now()
		}
		if _, err := f.out.Write(j.frames); err != nil {
			return err
		}
		f.at += int64(len(j.frames))
		j.written, f.marked = end, j.onDisk
		j.wrote = time.Now()
		j.records.Add(n)
		if cap(j.frames) > 4*batchBytes {
			j.frames = nil // a big record was among them
		}
		if j.opts.Fsync != FsyncAlways {
			j.publish()
		} else if err := j.syncNow(); err != nil {
			return err
		}
		if f.at >= j.opts.SegmentBytes {
			if err := j.rotate(); err != nil {
				return err
			}
		}
		if err := j.syncIfDue(); err != nil {
			return err
		}
	}
}

// gather puts frames of what is to be written next into j.frames. It returns the offset
// after them, and how many records they hold.
func (j *journal) gather() (end, records int64, err error) {
	j.frames = j.frames[:0]
	for len(j.frames) < batchBytes {
		at := j.reader.Offset()
		run, err := j.reader.Next(math.MaxInt64)
		if err != nil {
			return 0, 0, err
		}
		// Read after the records: whatever was appended behind a fork, the fork was
		// there before.
		lineage, own := j.store.log.Origin()
		if j.reader.Outdated() {
			return 0, 0, backlog.ErrReset // the lineage may be the next log's
		}
		j.frame(at, run, lineage, own)
		if len(run) == 0 {
			break
		}
		records += countRecords(run)
	}
	return j.reader.Offset(), records, nil
}

// frame adds frames of records at offset at, and of the forks before, between and behind
// them.
func (j *journal) frame(at int64, run []byte, lineage backlog.Lineage, own bool) {
	for {
		j.frameOrigin(at, lineage, own)
		if len(run) == 0 {
			return
		}
		n := int64(len(run))
		if fork, ok := lineage.NextFork(at); ok {
			n = min(n, fork-at)
		}
		j.add(rdb.Frame{Kind: rdb.FrameRecords, Offset: at, Body: run[:n]})
		at, run = at+n, run[n:]
	}
}

// frameOrigin adds a frame of how the log has come to be up to offset at, if that is news.
func (j *journal) frameOrigin(at int64, lineage backlog.Lineage, own bool) {
	o := rdb.Origin{Lineage: lineage.At(at)}
	o.Own = own || o.Lineage.Current != lineage.Current
	j.news = rdb.AppendOrigin(j.news[:0], o)
	if bytes.Equal(j.news, j.origin) {
		return
	}
	j.origin, j.history, j.forked = append(j.origin[:0], j.news...), o.Lineage.Current, true
	j.add(rdb.Frame{Kind: rdb.FrameLineage, Offset: at, Body: j.news})
}

func (j *journal) add(f rdb.Frame) {
	f.Synced = j.onDisk
	j.frames = j.file.AppendFrame(j.frames, j.file.at+int64(len(j.frames)), f)
}

// mark writes down what is synced, when nothing else is about to say so: else the last
// records would be the only ones whose damage is taken for a crash's.
func (j *journal) mark() error {
	f := j.file
	if f.marked == j.onDisk || j.written != j.onDisk || j.store.log.End() > j.written {
		return nil
	}
	j.frames = j.frames[:0]
	j.add(rdb.Frame{Kind: rdb.FrameMark, Offset: j.written})
	if _, err := f.out.Write(j.frames); err != nil {
		return err
	}
	f.at += int64(len(j.frames))
	f.marked = j.onDisk
	return nil
}

// rotate goes on in another file.
func (j *journal) rotate() error {
	if err := j.syncNow(); err != nil {
		return err
	}
	old := j.file
	next, err := j.create(j.onDisk)
	if err != nil {
		return err
	}
	j.file = next
	return old.out.Close()
}

func countRecords(run []byte) (n int64) {
	for len(run) > 0 {
		_, rest, err := backlog.CutRecord(run)
		if err != nil {
			break // cannot be: the log holds whole records
		}
		run = rest
		n++
	}
	return n
}
