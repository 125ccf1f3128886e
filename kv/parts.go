package kv

import (
	"encoding/binary"
	"fmt"
	"iter"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/internal/hash"
	"github.com/emberkv/ember/rdb"
)

const (
	// maxRecordKeys bounds the keys of one record: what a receiver holds for each
	// while it applies it is some fifty times the smallest.
	maxRecordKeys = 64 << 10

	// maxPrefixBytes bounds the keys of a record of kindDeletePrefix, each counted
	// with the prefix, of which the record has only one copy. It is the receiver's
	// work, whatever the record's size.
	maxPrefixBytes = 64 << 20
)

// cutUvarint splits a number in its shortest form off b.
func cutUvarint(b []byte) (n uint64, rest []byte, ok bool) {
	n, size := binary.Uvarint(b)
	if size <= 0 || size > 1 && b[size-1] == 0 {
		return 0, nil, false
	}
	return n, b[size:], true
}

// checkParts returns an error unless b is what follows the kind in a transaction.
func checkParts(b []byte) error {
	var keys keySet
	for n := 1; ; n++ {
		payload, rest, err := backlog.CutRecord(b)
		if err != nil {
			return fmt.Errorf("%w: part %d: %w", ErrRecord, n, err)
		}
		var part operation
		switch err := part.decodeSingle(payload, false); {
		case err != nil:
			return fmt.Errorf("part %d: %w", n, err)
		case n > maxRecordKeys:
			return fmt.Errorf("%w: more than %d parts", ErrRecord, maxRecordKeys)
		case !keys.add(part.key):
			return fmt.Errorf("%w: part %d has the key of another", ErrRecord, n)
		case len(rest) == 0:
			return nil
		}
		b = rest
	}
}

// parts returns the operations of a transaction that was decoded without error.
func (op *operation) parts(seed uint64) (parts []operation) {
	payload, _, _ := backlog.CutRecord(op.record)
	for b := payload[1:]; len(b) > 0; {
		payload, rest, _ := backlog.CutRecord(b)
		n := len(b) - len(rest)
		parts = append(parts, operation{record: b[:n:n], end: op.end})
		part := &parts[len(parts)-1]
		part.decodeSingle(payload, true) // cannot fail
		part.hash = hash.Bytes(seed, part.key)
		b = rest
	}
	return parts
}

// checkPrefix returns an error unless b is what follows the kind in a removal of a
// prefix.
func checkPrefix(b []byte) error {
	prefix, b, ok := cutString(b)
	if !ok || len(prefix) > rdb.MaxKeyBytes {
		return fmt.Errorf("%w: prefix", ErrRecord)
	}
	total := 0
	for n := 1; ; n++ {
		rest, next, ok := cutString(b)
		size := len(prefix) + len(rest)
		total += size
		switch {
		case !ok || size == 0 || size > rdb.MaxKeyBytes:
			return fmt.Errorf("%w: key %d of a prefix", ErrRecord, n)
		case n > maxRecordKeys || total > maxPrefixBytes:
			return fmt.Errorf("%w: %d keys of a prefix in %d bytes", ErrRecord, n, total)
		case len(next) == 0:
			return nil
		}
		b = next
	}
}

// cutString splits bytes with their length before them off b.
func cutString(b []byte) (s, rest []byte, ok bool) {
	n, b, ok := cutUvarint(b)
	if !ok || n > uint64(len(b)) {
		return nil, nil, false
	}
	return b[:n], b[n:], true
}

// prefix returns the prefix of a removal of all keys with it.
func (op *operation) prefix() string {
	payload, _, _ := backlog.CutRecord(op.record)
	prefix, _, _ := cutString(payload[1:])
	return string(prefix)
}

// prefixKeys returns an iterator over the keys that a removal of a prefix names, which
// was decoded without error. Each key is valid until the next one.
func (op *operation) prefixKeys() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		payload, _, _ := backlog.CutRecord(op.record)
		prefix, b, _ := cutString(payload[1:])
		key := append([]byte(nil), prefix...)
		for len(b) > 0 {
			var rest []byte
			rest, b, _ = cutString(b)
			key = append(key[:len(prefix)], rest...)
			if !yield(key) {
				return
			}
		}
	}
}

// A keySet tells keys that it has not had before. It keeps slices of them.
type keySet struct {
	few  [8][]byte
	n    int
	many map[string]struct{}
}

// add reports whether the key is a new one.
func (s *keySet) add(key []byte) bool {
	for _, k := range s.few[:s.n] {
		if string(k) == string(key) {
			return false
		}
	}
	if s.n < len(s.few) {
		s.few[s.n] = key
		s.n++
		return true
	}
	if s.many == nil {
		s.many = make(map[string]struct{})
	}
	before := len(s.many)
	s.many[text(key)] = struct{}{}
	return len(s.many) > before
}
