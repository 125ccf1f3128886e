package rdb

import (
	"errors"
	"fmt"
)

// Errors of reading. What came before the error is worth nothing: only io.EOF
// from [Reader.Next] says that a snapshot is whole.
var (
	// ErrFormat is returned when a stream is not a snapshot, ends too early, or
	// breaks a limit or the order of its parts. Writers return it for a block
	// or a footer that no reader would accept.
	ErrFormat = errors.New("rdb: malformed snapshot")

	// ErrVersion is returned for a snapshot that needs a newer version of this
	// package. It is an ErrFormat too.
	ErrVersion = fmt.Errorf("%w: version is not readable here", ErrFormat)

	// ErrChecksum is returned when the bytes of a part, or the entries of a
	// whole snapshot, are not what was written.
	ErrChecksum = errors.New("rdb: checksum mismatch")

	// ErrEntry is returned when bytes do not decode to an entry.
	ErrEntry = errors.New("rdb: malformed entry")
)

// ErrClosed is returned by a [Writer] that is used after its Close.
var ErrClosed = errors.New("rdb: writer is closed")

// A ReadError is what a [Reader] returns for everything except the regular end.
// It wraps one of the errors above, or the source's own. A snapshot that ends
// too early is an [ErrFormat] and an [io.ErrUnexpectedEOF].
type ReadError struct {
	Offset int64 // bytes into the stream: the part that is at fault, or where the source ended or failed
	Err    error
}

func (e *ReadError) Error() string { return fmt.Sprintf("%v (at byte %d)", e.Err, e.Offset) }

// Unwrap returns e.Err.
func (e *ReadError) Unwrap() error { return e.Err }
