package backlog

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// A History names one sequence of records. It is random: two nodes that begin
// a history on their own never choose the same. The zero History is none.
// It is like Redis' replication id.
type History [16]byte

// NewHistory returns a fresh random History.
func NewHistory() History {
	var h History
	rand.Read(h[:]) // never fails: crypto/rand ends the program instead
	return h
}

// IsZero reports whether h names no history.
func (h History) IsZero() bool { return h == History{} }

// String returns h as 32 lower-case hexadecimal digits.
func (h History) String() string { return hex.EncodeToString(h[:]) }

// ParseHistory reads what [History.String] wrote. It returns [ErrText] for
// anything else.
func ParseHistory(s string) (History, error) {
	var h History
	if len(s) != 2*len(h) || s != strings.ToLower(s) {
		return History{}, fmt.Errorf("%w: history %.40q", ErrText, s)
	}
	if _, err := hex.Decode(h[:], []byte(s)); err != nil {
		return History{}, fmt.Errorf("%w: history %.40q", ErrText, s)
	}
	return h, nil
}

// MaxOffset is the largest offset accepted from outside. A log that begins
// there can still grow without overflow, for longer than anybody will wait.
const MaxOffset = 1 << 62

// A Position is a point in a history: the number of bytes of records before
// it. The zero Position is none. Positions of the same history are ordered by
// their offsets; for others only a [Lineage] can tell.
type Position struct {
	History History
	Offset  int64 // bytes, 0 to MaxOffset
}

// IsZero reports whether p is no position at all.
func (p Position) IsZero() bool { return p == Position{} }

// String returns the history's digits, a hyphen and the offset in decimal, a
// form that is safe in an HTTP header, a cookie and a URL.
func (p Position) String() string {
	return p.History.String() + "-" + strconv.FormatInt(p.Offset, 10)
}

// ParsePosition reads what [Position.String] wrote. It returns [ErrText] for
// anything else.
func ParsePosition(s string) (Position, error) {
	id, digits, ok := strings.Cut(s, "-")
	if !ok {
		return Position{}, fmt.Errorf("%w: %.60q", ErrText, s)
	}
	h, err := ParseHistory(id)
	if err != nil {
		return Position{}, err
	}
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil || n > MaxOffset || strconv.FormatUint(n, 10) != digits {
		return Position{}, fmt.Errorf("%w: offset %.20q", ErrText, digits)
	}
	return Position{History: h, Offset: int64(n)}, nil
}

// MarshalText implements [encoding.TextMarshaler] with [Position.String].
func (p Position) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler] with [ParsePosition].
func (p *Position) UnmarshalText(text []byte) error {
	q, err := ParsePosition(string(text))
	if err != nil {
		return err
	}
	*p = q
	return nil
}

// MarshalText implements [encoding.TextMarshaler] with [History.String].
func (h History) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler] with [ParseHistory].
func (h *History) UnmarshalText(text []byte) error {
	g, err := ParseHistory(string(text))
	if err != nil {
		return err
	}
	*h = g
	return nil
}
