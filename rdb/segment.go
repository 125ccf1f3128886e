package rdb

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/emberkv/ember/backlog"
)

// The prologue of a segment.
const (
	segmentMagic   = "EMBERLOG"
	segmentVersion = 1
)

// An Origin says how a log came to be, as a journal keeps it.
type Origin struct {
	Lineage backlog.Lineage
	Own     bool // the current history was begun here; see [backlog.Log.Origin]
}

// A SegmentHeader begins a segment.
type SegmentHeader struct {
	Base          int64 // the offset of the first record
	Synced        int64 // see Frame
	Origin        Origin
	Sum           backlog.Sum // of the log up to Base; a Sum from Base means that it is not known
	RecordVersion int         // newest version of the records
}

const (
	originFields        = 1 + 1 // own, reserved
	segmentHeaderFields = 2 + backlog.SumBytes
)

// AppendOrigin appends the body of a lineage frame to dst.
func AppendOrigin(dst []byte, o Origin) []byte {
	own := byte(0)
	if o.Own {
		own = 1
	}
	dst, _ = o.Lineage.AppendBinary(append(dst, own, 0)) // never fails
	return dst
}

// ParseOrigin decodes the body of a lineage frame at offset at. It returns [ErrFormat], or
// [ErrVersion] if reserved bits are set.
func ParseOrigin(b []byte, at int64) (Origin, error) {
	if len(b) < originFields {
		return Origin{}, fmt.Errorf("%w: lineage in %d bytes", ErrFormat, len(b))
	}
	if b[0] > 1 || b[1] != 0 {
		return Origin{}, fmt.Errorf("%w: lineage with flags %x", ErrVersion, b[:2])
	}
	lineage, rest, err := backlog.CutLineage(b[originFields:], at)
	switch {
	case err != nil:
		return Origin{}, fmt.Errorf("%w: %w", ErrFormat, err)
	case len(rest) != 0:
		return Origin{}, fmt.Errorf("%w: %d bytes after the lineage", ErrFormat, len(rest))
	}
	return Origin{Lineage: lineage, Own: b[0] == 1}, nil
}

// AppendHeader appends the beginning of the segment's file to dst and returns the extended
// slice. The header must be valid: a reader refuses any other.
func (s Segment) AppendHeader(dst []byte, h SegmentHeader) []byte {
	start := len(dst)
	dst = binary.LittleEndian.AppendUint32(append(dst, segmentMagic...), segmentVersion)
	body := binary.LittleEndian.AppendUint16(nil, uint16(h.RecordVersion))
	body, _ = h.Sum.AppendBinary(body) // never fails
	body = AppendOrigin(body, h.Origin)
	return s.AppendFrame(dst, int64(len(dst)-start), Frame{Kind: FrameHeader, Offset: h.Base, Synced: h.Synced, Body: body})
}

func parseSegmentHeader(f Frame) (h SegmentHeader, err error) {
	h = SegmentHeader{Base: f.Offset, Synced: f.Synced}
	if len(f.Body) < segmentHeaderFields {
		return h, fmt.Errorf("%w: header of %d bytes", ErrFormat, len(f.Body))
	}
	h.RecordVersion = int(binary.LittleEndian.Uint16(f.Body))
	switch {
	case h.RecordVersion > RecordVersion:
		return h, fmt.Errorf("%w: records of version %d", ErrVersion, h.RecordVersion)
	case h.RecordVersion < 1:
		return h, fmt.Errorf("%w: records of version %d", ErrFormat, h.RecordVersion)
	}
	sum, rest, err := backlog.CutSum(f.Body[2:], f.Offset)
	if err != nil {
		return h, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	h.Sum = sum
	h.Origin, err = ParseOrigin(rest, f.Offset)
	return h, err
}

// A SegmentReader reads a segment from its beginning. It is for one goroutine.
type SegmentReader struct {
	segment Segment
	src     source
	header  SegmentHeader
	end     int64  // of the records so far
	spare   []byte // for the body of a frame; see Reuse
	frame   [frameBytes]byte
}

// NewSegmentReader reads the header of s from r, and returns a SegmentReader for the rest.
// It reads ahead. Every error is a [*ReadError].
func NewSegmentReader(r io.Reader, s Segment) (*SegmentReader, error) {
	sr := &SegmentReader{segment: s, src: source{buf: bufio.NewReaderSize(r, segmentBufferBytes)}}
	prologue := make([]byte, len(segmentMagic)+4)
	if err := sr.src.read(prologue); err != nil {
		return nil, err
	}
	version := binary.LittleEndian.Uint32(prologue[len(segmentMagic):])
	switch {
	case string(prologue[:len(segmentMagic)]) != segmentMagic || version == 0: // a crash may leave zeros
		return nil, &ReadError{0, fmt.Errorf("%w: not a segment of a journal", ErrFormat)}
	case version != segmentVersion:
		return nil, &ReadError{0, fmt.Errorf("%w: segment of version %d", ErrVersion, version)}
	}
	at := sr.src.at
	f, err := sr.next()
	if err == io.EOF {
		err = &ReadError{at, fmt.Errorf("%w: no header", ErrFormat)}
	}
	if err == nil && f.Kind != FrameHeader {
		err = &ReadError{at, fmt.Errorf("%w: frame of kind %d before the header", ErrFormat, f.Kind)}
	}
	if err != nil {
		return nil, err
	}
	if sr.header, err = parseSegmentHeader(f); err != nil {
		return nil, &ReadError{at, err}
	}
	sr.end = sr.header.Base
	return sr, nil
}

// segmentBufferBytes is what is read ahead of a segment.
const segmentBufferBytes = 64 << 10

// Header returns the segment's header.
func (r *SegmentReader) Header() SegmentHeader { return r.header }

// End returns the offset after the last record that was read.
func (r *SegmentReader) End() int64 { return r.end }

// At returns the place in the file of the next frame.
func (r *SegmentReader) At() int64 { return r.src.at }

// Reuse gives r memory for the body of a later frame that fits in it: usually that of an
// earlier one that nobody needs any more.
func (r *SegmentReader) Reuse(body []byte) { r.spare = body }

// Next returns the next frame. Its body is the caller's. At the end of the file, after a
// whole frame, it returns io.EOF; otherwise [ErrFormat] or [ErrChecksum] for bytes that are
// no frame, or one that does not follow from the one before, or the source's error, with
// the place in the file where the frame should be. After an error the reader is of no use.
func (r *SegmentReader) Next() (Frame, error) {
	at := r.src.at
	f, err := r.next()
	switch {
	case err != nil:
		return Frame{}, err
	case f.Kind == FrameHeader:
		return Frame{}, &ReadError{at, fmt.Errorf("%w: second header", ErrFormat)}
	case f.Offset != r.end:
		return Frame{}, &ReadError{at, fmt.Errorf("%w: frame at offset %d, due was %d", ErrFormat, f.Offset, r.end)}
	case f.Kind == FrameRecords:
		r.end += int64(len(f.Body))
	}
	return f, nil
}

func (r *SegmentReader) next() (Frame, error) {
	at := r.src.at
	if _, err := r.src.buf.Peek(1); err == io.EOF {
		return Frame{}, io.EOF
	}
	// Whatever is wrong with a frame is said of the place where it begins.
	var bad *ReadError
	if err := r.src.read(r.frame[:]); err != nil {
		if errors.As(err, &bad) && errors.Is(err, ErrFormat) {
			bad.Offset = at
		}
		return Frame{}, err
	}
	f, n, err := parseFrame(r.frame[:])
	if err != nil {
		return Frame{}, &ReadError{at, err}
	}
	room := r.spare
	r.spare = nil
	if f.Body, err = r.src.readData(n, room); err != nil {
		if errors.As(err, &bad) && errors.Is(err, ErrFormat) {
			bad.Offset = at
		}
		return Frame{}, err
	}
	want := binary.LittleEndian.Uint32(r.frame[:])
	if got := r.segment.checksum(at, r.frame[4:], f.Body); got != want {
		return Frame{}, &ReadError{at, fmt.Errorf("%w: frame of %d bytes: %08x, written as %08x", ErrChecksum, n, got, want)}
	}
	return f, nil
}
