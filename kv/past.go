package kv

import (
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"sync/atomic"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/rdb"
)

// pastBytes is about how much a past hands out at once: frames are smaller when little is
// written at a time.
const pastBytes = 64 << 10

// A past reads the journal from an offset on. It holds what it reads ahead of one segment and
// what it hands out, however far behind it is.
type past struct {
	archive  *archive
	sequence atomic.Uint64 // of shelf
	shelf    shelf
	file     io.ReadCloser
	reader   *rdb.SegmentReader
	at       int64       // in the log: of what is handed out next
	sum      backlog.Sum // up to where it began
	rest     []byte      // records that were read, and not handed out
	failed   error       // why there is no more, behind rest
}

// open goes over to the beginning of a segment.
func (p *past) open(s shelf) error {
	sr, file, err := p.archive.folder.openSegment(storedFile{Segment: s.Segment, name: segmentFile(s.Segment)})
	if err == nil && sr.Header().Base != s.base {
		file.Close()
		err = fmt.Errorf("%w: begins at offset %d in place of %d", rdb.ErrFormat, sr.Header().Base, s.base)
	}
	switch {
	case err == nil:
	case isDamage(err), errors.Is(err, iofs.ErrNotExist):
		return p.lost(s, 0, err)
	default:
		// There may be too many open files just now, with all who come back at once. Whoever
		// asks again does so from here, and gets a full copy if it is the same then.
		return p.archive.note(diskError(err))
	}
	if p.file != nil {
		p.file.Close()
	}
	p.shelf, p.file, p.reader = s, file, sr
	p.sequence.Store(s.Sequence)
	return nil
}

// lost gives up what cannot be read, and returns the error for it.
func (p *past) lost(s shelf, at int64, err error) error {
	if bad := (*rdb.ReadError)(nil); errors.As(err, &bad) {
		at, err = bad.Offset, bad.Err
	}
	if isDamage(err) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, iofs.ErrNotExist) {
		err = &CorruptError{File: p.archive.folder.join(segmentFile(s.Segment)), Offset: at, Err: err}
	} else {
		err = diskError(err)
	}
	return p.archive.giveUp(s, err)
}

// skip reads up to offset, which lies in the segment, and sums what it passes. It gives up openFor
// after began.
func (p *past) skip(offset int64, began time.Time) error {
	p.sum = p.reader.Header().Sum
	for at := p.shelf.base; at < offset; {
		body, err := p.frame()
		if err != nil {
			return err
		}
		n := min(offset-at, int64(len(body)))
		p.sum = p.sum.Add(body[:n])
		if time.Since(began) > openFor {
			return p.archive.note(fmt.Errorf("%w: offset %d is not come to in %v", ErrDiskSlow, offset, openFor))
		}
		if at += n; n < int64(len(body)) {
			if !onBoundary(body, int(n)) {
				return backlog.ErrBoundary
			}
			p.rest = body[n:]
		}
	}
	return nil
}

// onBoundary reports whether one of records ends at n.
func onBoundary(records []byte, n int) bool {
	for n > 0 {
		_, rest, err := backlog.CutRecord(records)
		if err != nil {
			return false
		}
		n -= len(records) - len(rest)
		records = rest
	}
	return n == 0
}

// frame returns the records of the segment's next frame that has some.
func (p *past) frame() ([]byte, error) {
	for {
		at := p.reader.At()
		f, err := p.reader.Next()
		if err == io.EOF {
			err = fmt.Errorf("%w: the segment ends here", io.ErrUnexpectedEOF)
		}
		if err != nil {
			return nil, p.lost(p.shelf, at, err)
		}
		if f.Kind == rdb.FrameRecords {
			return f.Body, nil
		}
	}
}

// Sum implements [backlog.Past].
func (p *past) Sum() backlog.Sum { return p.sum }

// Next implements [backlog.Past].
func (p *past) Next() ([]byte, error) {
	var run []byte
	for len(run) < pastBytes && p.failed == nil {
		var b []byte
		if b, p.failed = p.next(); p.failed != nil {
			break
		}
		p.at += int64(len(b))
		if run == nil {
			run = b
		} else {
			run = append(run, b...)
		}
	}
	err := p.failed
	if err == backlog.ErrAhead {
		p.failed = nil // it may be there the next time
	}
	if len(run) > 0 {
		err = nil
	}
	return run, err
}

// next returns the records of one frame, up to where the segment ends.
func (p *past) next() ([]byte, error) {
	if p.at >= p.archive.onDisk.Load() {
		return nil, backlog.ErrAhead
	}
	s, end, ok := p.archive.find(p.at)
	switch {
	case !ok:
		return nil, backlog.ErrTrimmed // it was removed meanwhile
	case s != p.shelf:
		if s.base != p.at {
			return nil, backlog.ErrTrimmed // the place of what was read so far
		}
		p.rest = nil
		if err := p.open(s); err != nil {
			return nil, err
		}
	}
	if len(p.rest) == 0 {
		body, err := p.frame()
		if err != nil {
			return nil, err
		}
		p.rest = body
	}
	b := p.rest
	p.rest = nil
	if end >= 0 && p.at+int64(len(b)) > end {
		b = b[:end-p.at] // the next one has it
	}
	return b, nil
}

// Close implements [backlog.Past].
func (p *past) Close() error {
	p.archive.mu.Lock()
	delete(p.archive.mu.pasts, p)
	p.archive.mu.Unlock()
	return p.file.Close()
}
