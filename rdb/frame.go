package rdb

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/emberkv/ember/backlog"
)

// A FrameKind is the kind of a frame in a segment of a journal.
type FrameKind byte

const (
	// FrameHeader begins a segment, and occurs nowhere else in it.
	FrameHeader FrameKind = 1
	// FrameRecords holds whole records of the log, the first at the frame's offset.
	FrameRecords FrameKind = 2
	// FrameLineage holds how the log came to be, from the frame's offset on; see [ParseOrigin].
	FrameLineage FrameKind = 3
	// FrameMark is empty: it is there for its Synced.
	FrameMark FrameKind = 4
)

// MaxFrameBytes bounds the body of a frame: the largest record with its framing, or a run
// of smaller ones.
const MaxFrameBytes = backlog.MaxRecordBytes + backlog.MaxFrameOverhead

// frameBytes is what stands before a frame's body: the checksum, the kind, the length, the
// offset, and up to where the log was synced.
const frameBytes = 4 + 1 + 4 + 8 + 8

// A Frame is a piece of a journal.
type Frame struct {
	Kind   FrameKind
	Offset int64 // in the log: of the body's first byte, or of what it says
	Synced int64 // up to which offset the journal was known to be synced, at most Offset
	Body   []byte
}

// A Segment names one file of a journal. The name is part of every checksum in it, and so is
// the place in the file: a frame of another segment, or from another place, which a file
// system may leave behind, or a record may hold as its value, does not count.
type Segment struct {
	Generation uint64 // increases when the journal's log is replaced by another
	Sequence   uint64 // increases with every file
}

// AppendFrame appends f, for the place at in the file, to dst and returns the extended
// slice. It panics if the body is longer than [MaxFrameBytes].
func (s Segment) AppendFrame(dst []byte, at int64, f Frame) []byte {
	if len(f.Body) > MaxFrameBytes {
		panic(fmt.Sprintf("rdb: frame of %d bytes, limit %d", len(f.Body), MaxFrameBytes))
	}
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0, byte(f.Kind))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(f.Body)))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(f.Offset))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(f.Synced))
	dst = append(dst, f.Body...)
	binary.LittleEndian.PutUint32(dst[start:], s.checksum(at, dst[start+4:start+frameBytes], f.Body))
	return dst
}

// checksum returns the CRC32C over the place, the fields behind the checksum, and the body.
func (s Segment) checksum(at int64, fields, body []byte) uint32 {
	var place [24]byte
	binary.LittleEndian.PutUint64(place[:], s.Generation)
	binary.LittleEndian.PutUint64(place[8:], s.Sequence)
	binary.LittleEndian.PutUint64(place[16:], uint64(at))
	sum := crc32.Update(0, castagnoli, place[:])
	sum = crc32.Update(sum, castagnoli, fields)
	return crc32.Update(sum, castagnoli, body)
}

// parseFrame decodes what stands before a body, and returns the body's length. It returns
// ErrFormat for what cannot be.
func parseFrame(b []byte) (f Frame, length int, err error) {
	f = Frame{
		Kind:   FrameKind(b[4]),
		Offset: int64(binary.LittleEndian.Uint64(b[9:])),
		Synced: int64(binary.LittleEndian.Uint64(b[17:])),
	}
	n := binary.LittleEndian.Uint32(b[5:])
	switch {
	case f.Kind < FrameHeader || f.Kind > FrameMark:
		return f, 0, fmt.Errorf("%w: frame of kind %d", ErrFormat, f.Kind)
	case n > MaxFrameBytes:
		return f, 0, fmt.Errorf("%w: frame of %d bytes, limit %d", ErrFormat, n, MaxFrameBytes)
	case f.Offset < 0 || f.Offset > backlog.MaxOffset || f.Synced < 0 || f.Synced > f.Offset:
		return f, 0, fmt.Errorf("%w: frame at offset %d, synced up to %d", ErrFormat, f.Offset, f.Synced)
	}
	return f, int(n), nil
}

// HighestMark returns the highest Synced of the frames of s that b, which begins at the
// place at in the file, still holds, wherever they begin; -1 if there are none. A reader
// that has come to bytes that are no frame uses it to find out whether they ever were. The
// first frame in b has an offset from low to high, and each further one an offset higher by
// at most its distance in bytes.
func (s Segment) HighestMark(b []byte, at, low, high int64) int64 {
	highest := int64(-1)
	for i := 0; i+frameBytes <= len(b); i++ {
		f, n, err := parseFrame(b[i:])
		// The cheap question first: a log is no longer than its frames.
		if err != nil || n > len(b)-i-frameBytes || f.Offset < low || f.Offset > high+int64(i) || f.Synced <= highest {
			continue
		}
		body := b[i+frameBytes : i+frameBytes+n]
		if s.checksum(at+int64(i), b[i+4:i+frameBytes], body) == binary.LittleEndian.Uint32(b[i:]) {
			highest = f.Synced
		}
	}
	return highest
}
