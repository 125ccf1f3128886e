package backlog

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// MaxCounter is the largest counter that an [Epoch] from outside may have.
const MaxCounter = 1 << 62

// An Epoch numbers a node's time as the writer: each promotion begins one above all
// that the node has heard of. Two nodes that are promoted at the same moment take
// the same counter, but differ in Node, so epochs are never equal and always
// ordered. The zero Epoch is none, and below every other.
type Epoch struct {
	Counter uint64   // 1 to MaxCounter; 0 in the zero Epoch only
	Node    [16]byte // id of the node that began it, not zero
}

// IsZero reports whether e is no epoch at all.
func (e Epoch) IsZero() bool { return e == Epoch{} }

// Compare returns -1, 0 or +1 as e is below, the same as, or above f: by the counter
// first, then by the node's bytes.
func (e Epoch) Compare(f Epoch) int {
	return cmp.Or(cmp.Compare(e.Counter, f.Counter), bytes.Compare(e.Node[:], f.Node[:]))
}

// Next returns the first epoch above e that node can begin.
func (e Epoch) Next(node [16]byte) Epoch { return Epoch{Counter: e.Counter + 1, Node: node} }

// Validate returns [ErrText] for an epoch that no node can have begun.
func (e Epoch) Validate() error {
	if e.Counter > MaxCounter || (e.Counter == 0) != (e.Node == [16]byte{}) {
		return fmt.Errorf("%w: epoch %d of node %x", ErrText, e.Counter, e.Node)
	}
	return nil
}

// String returns the counter in decimal, a hyphen and the node as 32 lower-case
// hexadecimal digits, or "0" for the zero Epoch.
func (e Epoch) String() string {
	if e.IsZero() {
		return "0"
	}
	return strconv.FormatUint(e.Counter, 10) + "-" + hex.EncodeToString(e.Node[:])
}

// ParseEpoch reads what [Epoch.String] wrote. It returns [ErrText] for anything else.
func ParseEpoch(s string) (Epoch, error) {
	if s == "0" {
		return Epoch{}, nil
	}
	var e Epoch
	digits, node, _ := strings.Cut(s, "-")
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || len(node) != 2*len(e.Node) {
		return Epoch{}, fmt.Errorf("%w: epoch %.60q", ErrText, s)
	}
	e.Counter = n
	if _, err := hex.Decode(e.Node[:], []byte(node)); err != nil || e.String() != s {
		return Epoch{}, fmt.Errorf("%w: epoch %.60q", ErrText, s)
	}
	if err := e.Validate(); err != nil {
		return Epoch{}, err
	}
	return e, nil
}

// MarshalText implements [encoding.TextMarshaler] with [Epoch.String].
func (e Epoch) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler] with [ParseEpoch].
func (e *Epoch) UnmarshalText(text []byte) error {
	f, err := ParseEpoch(string(text))
	if err != nil {
		return err
	}
	*e = f
	return nil
}

// EpochBytes is the length of an epoch's binary form.
const EpochBytes = 24

// AppendBinary appends the binary form of e to dst: the counter as 8 bytes, little
// endian, and the node's 16 bytes. It never fails.
func (e Epoch) AppendBinary(dst []byte) ([]byte, error) {
	return append(binary.LittleEndian.AppendUint64(dst, e.Counter), e.Node[:]...), nil
}

// CutEpoch reads what [Epoch.AppendBinary] wrote from the front of b and returns the
// rest. It returns [ErrText] when b is too short or the result is not valid.
func CutEpoch(b []byte) (e Epoch, rest []byte, err error) {
	if len(b) < EpochBytes {
		return Epoch{}, nil, fmt.Errorf("%w: epoch in %d bytes", ErrText, len(b))
	}
	e.Counter = binary.LittleEndian.Uint64(b)
	copy(e.Node[:], b[8:])
	if err := e.Validate(); err != nil {
		return Epoch{}, nil, err
	}
	return e, b[EpochBytes:], nil
}
