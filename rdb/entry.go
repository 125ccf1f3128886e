package rdb

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/internal/hash"
)

// The kinds of record that hold an entry. They are the first byte of a record's
// payload; package kv gives the other values their meaning.
const (
	KindPut         = 1 // uvarint length of the key, key, value
	KindPutDeadline = 2 // the same, with 8 bytes of deadline before the key
)

// An Entry is a key with its value and its deadline. Its encoded form is a
// record of the log: the log, the snapshot and the store's memory hold an entry
// as the same bytes, so it is encoded once in its life.
type Entry struct {
	Key, Value []byte
	Deadline   int64 // Unix milliseconds; 0 for none
}

// EntrySize returns the number of bytes that [PutEntry] writes.
func EntrySize(keyLen, valueLen int, deadline int64) int {
	n := payloadSize(keyLen, valueLen, deadline)
	return uvarintLen(n) + n
}

func payloadSize(keyLen, valueLen int, deadline int64) int {
	n := 1 + uvarintLen(keyLen) + keyLen + valueLen
	if deadline != 0 {
		n += 8
	}
	return n
}

func uvarintLen(n int) int { return (bits.Len64(uint64(n)|1) + 6) / 7 }

// PutEntry encodes an entry as one framed record into dst, which must have at
// least [EntrySize] bytes, and returns how many it wrote. The key and the value
// must keep the limits below, and the deadline must not be negative: a record
// that breaks these rules is written, but nobody reads it.
func PutEntry(dst []byte, key string, value []byte, deadline int64) int {
	n := binary.PutUvarint(dst, uint64(payloadSize(len(key), len(value), deadline)))
	if deadline == 0 {
		dst[n] = KindPut
	} else {
		dst[n] = KindPutDeadline
	}
	n++
	n += binary.PutUvarint(dst[n:], uint64(len(key)))
	if deadline != 0 {
		binary.LittleEndian.PutUint64(dst[n:], uint64(deadline))
		n += 8
	}
	n += copy(dst[n:], key)
	n += copy(dst[n:], value)
	return n
}

// ParseEntry decodes the payload of a record that holds an entry. Key and Value
// share memory with it. It returns [ErrEntry] for anything that PutEntry would
// not have written.
func ParseEntry(payload []byte) (Entry, error) {
	var e Entry
	if err := e.Parse(payload); err != nil {
		return Entry{}, err
	}
	return e, nil
}

// CutEntry decodes the entry whose record is at the front of b, and returns it
// with the record's size: b[:size] is the entry as it is encoded in the log and in
// memory, b[size:] what follows it. Key and Value share memory with b. It returns
// [ErrEntry] when b does not begin with a whole record of an entry.
func CutEntry(b []byte) (e Entry, size int, err error) {
	if size, err = e.cut(b); err != nil {
		return Entry{}, 0, err
	}
	return e, size, nil
}

// cut is CutEntry into e, which is of no use after an error.
func (e *Entry) cut(b []byte) (size int, err error) {
	payload, rest, err := backlog.CutRecord(b)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrEntry, err)
	}
	return len(b) - len(rest), e.Parse(payload)
}

// Parse is [ParseEntry] into e, which is of no use after an error. An Entry is seven words, and
// returning one costs half as much as decoding it; so loops decode into one place.
func (e *Entry) Parse(payload []byte) error {
	if len(payload) < 2 || payload[0] != KindPut && payload[0] != KindPutDeadline {
		return fmt.Errorf("%w: no entry in %d bytes", ErrEntry, len(payload))
	}
	keyLen, n := uint64(payload[1]), 1
	if keyLen >= 0x80 { // else a length of one byte, the usual case
		if keyLen, n = binary.Uvarint(payload[1:]); n <= 0 || payload[n] == 0 {
			return fmt.Errorf("%w: length of the key", ErrEntry)
		}
	}
	b := payload[1+n:]
	e.Deadline = 0
	if payload[0] == KindPutDeadline {
		if len(b) < 8 {
			return fmt.Errorf("%w: deadline in %d bytes", ErrEntry, len(b))
		}
		if e.Deadline = int64(binary.LittleEndian.Uint64(b)); e.Deadline <= 0 {
			return fmt.Errorf("%w: deadline %d", ErrEntry, e.Deadline)
		}
		b = b[8:]
	}
	if keyLen == 0 || keyLen > MaxKeyBytes || keyLen > uint64(len(b)) || uint64(len(b))-keyLen > MaxValueBytes {
		return fmt.Errorf("%w: key of %d in %d bytes", ErrEntry, keyLen, len(b))
	}
	e.Key, e.Value = b[:keyLen:keyLen], b[keyLen:len(b):len(b)]
	return nil
}

// Limits of an entry. A key has at least one byte, a value may have none.
const (
	MaxKeyBytes   = 1<<16 - 1
	MaxValueBytes = 1 << 28
)

// minEntryBytes is the size of the smallest record of an entry: its length, the
// kind, the length of the key, and a key of one byte.
const minEntryBytes = 4

// The largest entry must fit a record: 1 kind, 3 length, 8 deadline.
var _ [backlog.MaxRecordBytes - (MaxKeyBytes + MaxValueBytes + 12)]struct{}

// digestSeed is part of the format: digests are compared between nodes.
const digestSeed = 0x656d626572646231

// EntrySum returns an entry's contribution to a digest. A digest is the sum of
// these over all entries, modulo 2^64, so the order does not matter, and a
// subtraction and an addition exchange one entry for another.
func EntrySum(key string, value []byte, deadline int64) uint64 {
	return hash.Bytes(hash.String(digestSeed^uint64(deadline), key), value)
}

// Sum returns what [EntrySum] returns for e.
func (e Entry) Sum() uint64 {
	return hash.Bytes(hash.Bytes(digestSeed^uint64(e.Deadline), e.Key), e.Value)
}
