package rdb

import (
	"encoding/binary"
	"fmt"

	"github.com/emberkv/ember/backlog"
)

// FooterBytes is the length of a footer's body, as [AppendFooter] writes it.
const FooterBytes = positionBytes + 16

// A Footer ends a snapshot: what the receiver has to find at Position.
//
// In a file or a stream of this package Position is the header's and the sums
// are those of the entries before it, and [Reader] checks them. In a full sync
// the log has gone on since the header, and the receiver checks its state when
// it has applied the log up to Position.
type Footer struct {
	Position backlog.Position
	Keys     int64  // entries
	Sum      uint64 // of EntrySum over all entries
}

// AppendFooter appends the body of a footer to dst and returns the extended
// slice.
func AppendFooter(dst []byte, f Footer) []byte {
	dst = appendPosition(dst, f.Position)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(f.Keys))
	return binary.LittleEndian.AppendUint64(dst, f.Sum)
}

// ParseFooter decodes the body of a footer, which must end with b. It returns
// [ErrFormat] for a wrong length, a position in no history, or a negative
// number.
func ParseFooter(b []byte) (Footer, error) {
	if len(b) != FooterBytes {
		return Footer{}, fmt.Errorf("%w: footer of %d bytes, want %d", ErrFormat, len(b), FooterBytes)
	}
	f := Footer{
		Position: position(b),
		Keys:     int64(binary.LittleEndian.Uint64(b[positionBytes:])),
		Sum:      binary.LittleEndian.Uint64(b[positionBytes+8:]),
	}
	if f.Position.History.IsZero() || f.Position.Offset < 0 || f.Keys < 0 {
		return Footer{}, fmt.Errorf("%w: footer of %d keys at %s", ErrFormat, f.Keys, f.Position)
	}
	return f, nil
}
