package kv

import (
	"encoding/binary"
	"errors"
	"math"
	"time"
	"unicode/utf8"
)

// A value of a map with a loader begins with a byte that says what it is:
//
//	1 value                what the map's codec has made of it follows
//	2 value, to refresh    8 bytes, then the same: from when on it is to be loaded anew, in
//	                       Unix milliseconds on the clock of the node that writes, big endian
//	3 not found            nothing follows
//	4 failed               the error's text, at most 1024 bytes
const (
	holdsValue byte = iota + 1
	holdsAging
	holdsNothing
	holdsError
)

// maxErrorText bounds the text of an error that is remembered, in bytes.
const maxErrorText = 1024

var errHeader = errors.New("not written by a map with a loader")

// A holding is what such a value says.
type holding struct {
	kind    byte   // holdsValue, holdsNothing, holdsError; 0 for nothing in the store
	value   []byte // as the codec has made it, or the error's text
	refresh int64  // Unix milliseconds from which on it is to be loaded anew
}

// never is the time to refresh of what is not refreshed.
const never = math.MaxInt64

// parseHolding decodes a value. It trusts nothing: others may write to the store, too.
func parseHolding(b []byte) (holding, error) {
	if len(b) == 0 {
		return holding{}, errHeader
	}
	h := holding{kind: b[0], value: b[1:], refresh: never}
	switch {
	case h.kind == holdsAging && len(b) >= 9:
		h.kind, h.value, h.refresh = holdsValue, b[9:], int64(binary.BigEndian.Uint64(b[1:]))
	case h.kind == holdsValue, h.kind == holdsError, h.kind == holdsNothing && len(b) == 1:
	default:
		return holding{}, errHeader
	}
	return h, nil
}

// appendHeader appends the header of a value that is to be refreshed at a time.
func appendHeader(dst []byte, refresh int64) []byte {
	if refresh == never {
		return append(dst, holdsValue)
	}
	return binary.BigEndian.AppendUint64(append(dst, holdsAging), uint64(refresh))
}

// appendError appends what says that a load failed with a text.
func appendError(dst []byte, text string) []byte {
	if len(text) > maxErrorText {
		text = text[:maxErrorText]
		for len(text) > 0 && !utf8.ValidString(text) && len(text) > maxErrorText-utf8.UTFMax {
			text = text[:len(text)-1]
		}
	}
	return append(append(dst, holdsError), text...)
}

// refreshAt returns when a value is to be refreshed that is of now, Unix milliseconds.
func refreshAt(now int64, after time.Duration) int64 {
	if after == 0 {
		return never
	}
	if ms := milliseconds(after); ms < never-now {
		return now + ms
	}
	return never
}
