package rdb

import "errors"

// ErrEntry is returned when bytes do not decode to an entry.
var ErrEntry = errors.New("rdb: malformed entry")

// ErrFormat is returned when a stream is no snapshot, or one of a version that
// this package does not read, or breaks a limit or the order of its parts.
var ErrFormat = errors.New("rdb: malformed snapshot")

// ErrChecksum is returned when the bytes of a block, or the entries of a whole
// snapshot, are not those that were written.
var ErrChecksum = errors.New("rdb: checksum mismatch")
