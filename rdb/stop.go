package rdb

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/emberkv/ember/backlog"
)

const (
	stopMagic   = "EMBEREND"
	stopVersion = 1
	stopBytes   = len(stopMagic) + 4 + 8 + positionBytes + 4
)

// A Stop marks a clean stop: all that the log had was on disk.
type Stop struct {
	Generation uint64
	Position   backlog.Position
}

// AppendStop appends the contents of the marker's file to dst.
func AppendStop(dst []byte, s Stop) []byte {
	start := len(dst)
	dst = binary.LittleEndian.AppendUint32(append(dst, stopMagic...), stopVersion)
	dst = binary.LittleEndian.AppendUint64(dst, s.Generation)
	dst = appendPosition(dst, s.Position)
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

// ParseStop reads what [AppendStop] wrote. It returns [ErrFormat], [ErrVersion] or
// [ErrChecksum].
func ParseStop(b []byte) (Stop, error) {
	if len(b) < len(stopMagic)+4 || string(b[:len(stopMagic)]) != stopMagic {
		return Stop{}, fmt.Errorf("%w: marker of %d bytes", ErrFormat, len(b))
	}
	le := binary.LittleEndian
	if v := le.Uint32(b[len(stopMagic):]); v != stopVersion {
		return Stop{}, fmt.Errorf("%w: marker of version %d", ErrVersion, v)
	}
	if len(b) != stopBytes {
		return Stop{}, fmt.Errorf("%w: marker of %d bytes", ErrFormat, len(b))
	}
	if crc32.Checksum(b[:stopBytes-4], castagnoli) != le.Uint32(b[stopBytes-4:]) {
		return Stop{}, fmt.Errorf("%w: marker", ErrChecksum)
	}
	s := Stop{Generation: le.Uint64(b[len(stopMagic)+4:]), Position: position(b[len(stopMagic)+12:])}
	if s.Position.Offset < 0 || s.Position.Offset > backlog.MaxOffset || s.Position.History.IsZero() {
		return Stop{}, fmt.Errorf("%w: marker at %s", ErrFormat, s.Position)
	}
	return s, nil
}
