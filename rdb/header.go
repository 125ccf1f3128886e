package rdb

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/emberkv/ember/backlog"
)

// RecordVersion is the newest version of the log's records that this code
// writes and reads.
const RecordVersion = 1

// MaxShards bounds the number of shards of a table.
const MaxShards = 1024

// MaxHeaderBytes bounds the body of a header, as [AppendHeader] writes it. The
// longest in use, with a lineage of [backlog.MaxForks] forks, has 865 bytes.
const MaxHeaderBytes = 1 << 10

// headerFieldBytes is the part of a header's body before the lineage.
const headerFieldBytes = 56

// A Header begins a snapshot: what it stands for, and the shape of the table
// that it was taken from.
type Header struct {
	Position      backlog.Position // a file: the point of the state; a full sync: where the log that goes with it begins
	Lineage       backlog.Lineage  // of the log at Position, so Lineage.Current is Position.History
	Seed          uint64           // of the table's hash
	Shards        int              // a power of two, at most MaxShards
	RecordVersion int              // 1 to RecordVersion
	Keys          int64            // about how many entries will come, for progress
	Bytes         int64            // about how many bytes of them
}

// Validate returns [ErrFormat] for a header that no snapshot can have, and
// [ErrVersion] for one whose records this package does not read.
func (h Header) Validate() error {
	if h.RecordVersion > RecordVersion {
		return fmt.Errorf("%w: records of version %d, newest known %d", ErrVersion, h.RecordVersion, RecordVersion)
	}
	switch {
	case h.RecordVersion < 1:
		return fmt.Errorf("%w: records of version %d", ErrFormat, h.RecordVersion)
	case h.Shards < 1 || h.Shards > MaxShards || bits.OnesCount(uint(h.Shards)) != 1:
		return fmt.Errorf("%w: %d shards, want a power of two up to %d", ErrFormat, h.Shards, MaxShards)
	case h.Keys < 0 || h.Bytes < 0:
		return fmt.Errorf("%w: estimate of %d keys, %d bytes", ErrFormat, h.Keys, h.Bytes)
	case h.Lineage.Current != h.Position.History:
		// The two are read from a log one after the other. A fork between
		// the reads would name the state by a history that it is not in.
		return fmt.Errorf("%w: position in %s, lineage of %s", ErrFormat, h.Position.History, h.Lineage.Current)
	}
	if err := h.Lineage.Validate(h.Position.Offset); err != nil {
		return fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return nil
}

// AppendHeader appends the body of a header to dst and returns the extended
// slice. The header must be valid; [ParseHeader] refuses any other.
func AppendHeader(dst []byte, h Header) []byte {
	dst = appendPosition(dst, h.Position)
	dst = binary.LittleEndian.AppendUint64(dst, h.Seed)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(h.Keys))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(h.Bytes))
	dst = binary.LittleEndian.AppendUint32(dst, 0) // flags
	dst = binary.LittleEndian.AppendUint16(dst, uint16(h.Shards))
	dst = binary.LittleEndian.AppendUint16(dst, uint16(h.RecordVersion))
	dst, _ = h.Lineage.AppendBinary(dst) // never fails
	return dst
}

// ParseHeader decodes the body of a header, which must end with b. The result
// is valid and shares no memory with b. It returns [ErrFormat], or [ErrVersion]
// for a header that only a newer version of this package reads.
func ParseHeader(b []byte) (Header, error) {
	if len(b) < headerFieldBytes || len(b) > MaxHeaderBytes {
		return Header{}, fmt.Errorf("%w: header of %d bytes", ErrFormat, len(b))
	}
	le := binary.LittleEndian
	h := Header{
		Position:      position(b),
		Seed:          le.Uint64(b[24:]),
		Keys:          int64(le.Uint64(b[32:])),
		Bytes:         int64(le.Uint64(b[40:])),
		Shards:        int(le.Uint16(b[52:])),
		RecordVersion: int(le.Uint16(b[54:])),
	}
	// A flag says that something follows which has to be understood.
	if flags := le.Uint32(b[48:]); flags != 0 {
		return Header{}, fmt.Errorf("%w: header with flags %#x", ErrVersion, flags)
	}
	lineage, rest, err := backlog.CutLineage(b[headerFieldBytes:], h.Position.Offset)
	if err != nil {
		return Header{}, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if len(rest) != 0 {
		return Header{}, fmt.Errorf("%w: %d bytes after the header", ErrFormat, len(rest))
	}
	h.Lineage = lineage
	if err := h.Validate(); err != nil {
		return Header{}, err
	}
	return h, nil
}

const positionBytes = 24

func appendPosition(dst []byte, p backlog.Position) []byte {
	dst = append(dst, p.History[:]...)
	return binary.LittleEndian.AppendUint64(dst, uint64(p.Offset))
}

func position(b []byte) (p backlog.Position) {
	copy(p.History[:], b)
	p.Offset = int64(binary.LittleEndian.Uint64(b[len(p.History):]))
	return p
}
