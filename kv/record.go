package kv

import (
	"encoding/binary"
	"fmt"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/internal/hash"
	"github.com/emberkv/ember/rdb"
)

// The kinds of record beside rdb.KindPut and rdb.KindPutDeadline. The package's
// documentation has the table of all, with their layout. A record says what became of a
// key, not what was asked for.
const (
	kindDelete   = 3
	kindExpired  = 4
	kindDeadline = 5
	kindClear    = 6

	kindTransaction  = 7 // see parts.go, as for the next
	kindDeletePrefix = 8
	kindEvicted      = 9
)

// clearRecord is the one record of its kind.
var clearRecord = backlog.AppendRecord(nil, []byte{kindClear})

// appendKeyRecord appends the record of a delete, for whichever reason.
func appendKeyRecord(dst []byte, kind byte, key string) []byte {
	dst = binary.AppendUvarint(dst, uint64(1+len(key)))
	return append(append(dst, kind), key...)
}

func appendDeadlineRecord(dst []byte, deadline int64, key string) []byte {
	dst = binary.AppendUvarint(dst, uint64(9+len(key)))
	dst = append(dst, kindDeadline)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(deadline))
	return append(dst, key...)
}

// An operation is a decoded record. Its slices share memory with what it was
// decoded from.
type operation struct {
	kind     byte
	hash     uint64
	sum      uint64 // of a put's entry
	deadline int64
	key      []byte
	record   []byte // with its framing
	end      int64  // offset in the log after it
	owned    bool   // record can become the store's memory, as one made by newBigSlab
	fits     bool   // a loader has room for it aside, having had some for a part before
}

// maxOperations bounds how many records are decoded before they are carried out. An
// operation is many times the size of the smallest record: without a bound a sender
// could make a receiver hold some forty times what it sent. So many, with the records
// themselves and what they are written to, stay in the nearest cache that a processor has
// for itself.
const maxOperations = 512

// carryOut decodes whole records that begin at offset at, a bounded number at a
// time into the room of ops, and calls apply with each run of them. Before the
// first it calls begin, when it is known that all of records decode. It returns the
// room for the next call, and a [*RecordError] or what begin or apply returned.
func carryOut(ops []operation, at int64, records []byte, seed uint64, begin func() error, apply func([]operation) error) ([]operation, error) {
	ops, rest, err := decode(ops[:0], at, records, seed)
	if err != nil {
		return ops, err
	}
	at += int64(len(records) - len(rest))
	if err := validate(at, rest); err != nil {
		return ops, err
	}
	if err := begin(); err != nil {
		return ops, err
	}
	for {
		err := apply(ops)
		clear(ops) // they refer to the caller's records
		if err != nil || len(rest) == 0 {
			return ops[:0], err
		}
		left := len(rest)
		if ops, rest, err = decode(ops[:0], at, rest, seed); err != nil {
			return ops, err
		}
		at += int64(left - len(rest))
	}
}

// validate returns what decode would, of all of records, and keeps nothing. It does not read
// the values.
func validate(at int64, records []byte) error {
	for len(records) > 0 {
		payload, rest, err := backlog.CutRecord(records)
		if err == nil {
			err = new(operation).decode(payload, false)
		}
		if err != nil {
			return &RecordError{at, err}
		}
		at += int64(len(records) - len(rest))
		records = rest
	}
	return nil
}

// decode decodes whole records that begin at offset at and appends them to ops, up
// to maxOperations. It returns what is left of records, and a [*RecordError] if
// there is anything else among them. It hashes each key with seed: all at once,
// before any lock is taken, because hashing one record while the next one's cache
// line comes in is free.
func decode(ops []operation, at int64, records []byte, seed uint64) (_ []operation, rest []byte, err error) {
	for len(records) > 0 && len(ops) < maxOperations {
		payload, rest, err := backlog.CutRecord(records)
		if err != nil {
			return ops, records, &RecordError{at, err}
		}
		size := len(records) - len(rest)
		ops = append(ops, operation{})
		op := &ops[len(ops)-1]
		if err := op.decode(payload, true); err != nil {
			return ops[:len(ops)-1], records, &RecordError{at, err}
		}
		at += int64(size)
		op.record, op.end = records[:size:size], at
		op.hash = hash.Bytes(seed, op.key)
		records = rest
	}
	return ops, records, nil
}

// decode decodes the payload of any record into op, which must be empty and is of no use
// after an error. Sums it computes where asked. An operation is fourteen words: one that is
// returned is copied as often, and each copy waits for the one before.
func (op *operation) decode(b []byte, sum bool) error {
	if len(b) == 0 {
		return fmt.Errorf("%w: empty", ErrRecord)
	}
	switch b[0] {
	case kindTransaction:
		op.kind = b[0]
		return checkParts(b[1:])
	case kindDeletePrefix:
		op.kind = b[0]
		return checkPrefix(b[1:])
	case kindClear:
		if op.kind = b[0]; len(b) != 1 {
			return fmt.Errorf("%w: clear of %d bytes", ErrRecord, len(b))
		}
		return nil
	default:
		return op.decodeSingle(b, sum)
	}
}

// decodeSingle is decode for the payload of a record that concerns one key. For the sum the
// whole value is read.
func (op *operation) decodeSingle(b []byte, sum bool) error {
	if len(b) == 0 {
		return fmt.Errorf("%w: empty", ErrRecord)
	}
	switch op.kind = b[0]; op.kind {
	case rdb.KindPut, rdb.KindPutDeadline:
		var e rdb.Entry
		if err := e.Parse(b); err != nil {
			return fmt.Errorf("%w: %w", ErrRecord, err)
		}
		if op.key, op.deadline = e.Key, e.Deadline; sum {
			op.sum = e.Sum()
		}
		return nil
	case kindDelete, kindExpired, kindEvicted:
		op.key = b[1:]
	case kindDeadline:
		if len(b) < 9 {
			return fmt.Errorf("%w: deadline in %d bytes", ErrRecord, len(b))
		}
		op.deadline, op.key = int64(binary.LittleEndian.Uint64(b[1:])), b[9:]
		if op.deadline < 0 {
			return fmt.Errorf("%w: deadline %d", ErrRecord, op.deadline)
		}
	default:
		return fmt.Errorf("%w: kind %d", ErrRecord, op.kind)
	}
	if len(op.key) == 0 || len(op.key) > rdb.MaxKeyBytes {
		return fmt.Errorf("%w: key of %d bytes", ErrRecord, len(op.key))
	}
	return nil
}

// apply carries out an operation on one key. The shard must be locked. It
// returns ErrFull when there is no room for an entry, and else cannot fail.
func (sh *shard) apply(op *operation) error {
	var at found
	sh.locate(op.hash, text(op.key), &at)
	switch op.kind {
	case rdb.KindPut, rdb.KindPutDeadline:
		r, err := sh.prepare(op.hash, &at, len(op.record), nil)
		if err != nil {
			return err
		}
		copy(r.bytes, op.record)
		sh.publish(op.hash, &at, r, op.deadline, op.sum)
	case kindDeadline:
		if !at.ok() || at.deadline == op.deadline {
			return nil
		}
		r, err := sh.redated(op.hash, &at, op.deadline)
		if err != nil {
			return err
		}
		sh.publish(op.hash, &at, r, op.deadline, rdb.EntrySum(text(op.key), at.value, op.deadline))
	case kindDelete, kindExpired, kindEvicted:
		if at.ok() {
			sh.remove(op.hash, &at)
		}
	}
	return nil
}

// redated prepares a copy of the entry at at with another deadline. An entry is
// never changed once it was shown, so a new deadline costs a copy of the value in
// memory, though not in the log.
func (sh *shard) redated(hash uint64, at *found, deadline int64) (reservation, error) {
	r, err := sh.prepare(hash, at, rdb.EntrySize(len(at.key), len(at.value), deadline), nil)
	if err == nil {
		rdb.PutEntry(r.bytes, text(at.key), at.value, deadline)
	}
	return r, err
}
