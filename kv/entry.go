package kv

import (
	"encoding/binary"
	"unsafe"

	"github.com/emberkv/ember/rdb"
)

// An entry is what a record in a slab says. Its slices share the slab's memory
// and have no room behind them.
type entry struct {
	key, value []byte
	deadline   int64 // Unix milliseconds, 0 for none
	size       int   // of the record, with its framing
}

// parseEntry decodes the record at the front of b, which this package has
// encoded or validated. Records from elsewhere go through rdb.ParseEntry, which
// doubts every length; here that would only cost.
func parseEntry(b []byte) (e entry) {
	e.parse(b)
	return e
}

// parse is parseEntry for those who do it all the time. An entry is larger than what goes in
// registers: one that is returned is stored word by word, and copied from there in larger
// units, for which a processor waits until those stores are done.
func (e *entry) parse(b []byte) {
	length, n := uint64(b[0]), 1
	if length >= 0x80 {
		length, n = binary.Uvarint(b)
	}
	size := n + int(length)
	b = b[:size:size]
	kind := b[n]
	keyLen, m := uint64(b[n+1]), 1
	if keyLen >= 0x80 {
		keyLen, m = binary.Uvarint(b[n+1:])
	}
	n += 1 + m
	e.deadline, e.size = 0, size
	if kind == rdb.KindPutDeadline {
		e.deadline = int64(binary.LittleEndian.Uint64(b[n:]))
		n += 8
	}
	k := n + int(keyLen)
	e.key, e.value = b[n:k:k], b[k:]
}

// sum returns the entry's contribution to the digest.
func (e *entry) sum() uint64 { return rdb.EntrySum(text(e.key), e.value, e.deadline) }

// record returns the entry as it stands in its slab.
func recordAt(b []byte) []byte {
	length, n := binary.Uvarint(b)
	return b[: n+int(length) : n+int(length)]
}

// text returns b as a string without a copy. It is for bytes that are never
// changed, such as those of a slab, or for a string that does not outlive the
// call.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// bytesOf returns a string as bytes without a copy, for what is only read.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }
