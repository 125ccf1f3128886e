package backlog

import (
	"encoding/binary"
	"fmt"
)

// MaxRecordBytes is the largest payload of a record. It has room for the
// largest key and value of package kv with their header.
const MaxRecordBytes = 1<<28 + 1<<17

// MaxFrameOverhead is the most that framing adds to a payload.
const MaxFrameOverhead = 5

// AppendRecord appends payload, framed by its length, to dst and returns the
// extended slice. It panics when the payload is longer than [MaxRecordBytes]:
// no reader could get past such a record.
func AppendRecord(dst, payload []byte) []byte {
	if len(payload) > MaxRecordBytes {
		panic(fmt.Sprintf("backlog: record of %d bytes, limit %d", len(payload), MaxRecordBytes))
	}
	dst = binary.AppendUvarint(dst, uint64(len(payload)))
	return append(dst, payload...)
}

// CutRecord splits the first record off b: its payload, and what follows it.
// Both share memory with b. It returns [ErrRecord] when b does not begin with
// a whole record whose length is within [MaxRecordBytes] and written in the
// shortest form.
func CutRecord(b []byte) (payload, rest []byte, err error) {
	if len(b) > 0 && b[0] < 0x80 { // the usual case: a length of one byte
		n := int(b[0]) + 1
		if n <= len(b) {
			return b[1:n:n], b[n:], nil
		}
	}
	length, n := binary.Uvarint(b)
	switch {
	case n <= 0:
		return nil, nil, fmt.Errorf("%w: no length in %d bytes", ErrRecord, len(b))
	case n > 1 && b[n-1] == 0:
		return nil, nil, fmt.Errorf("%w: length %d is not in its shortest form", ErrRecord, length)
	case length > MaxRecordBytes:
		return nil, nil, fmt.Errorf("%w: length %d, limit %d", ErrRecord, length, MaxRecordBytes)
	case uint64(len(b)-n) < length:
		return nil, nil, fmt.Errorf("%w: length %d, %d bytes left", ErrRecord, length, len(b)-n)
	}
	end := n + int(length)
	return b[n:end:end], b[end:], nil
}

// onBoundary reports whether a record of b, which begins with one, begins or
// the last one ends at offset n.
func onBoundary(b []byte, n int) bool {
	for n > 0 {
		_, rest, err := CutRecord(b)
		if err != nil {
			return false
		}
		n -= len(b) - len(rest)
		b = rest
	}
	return n == 0
}
