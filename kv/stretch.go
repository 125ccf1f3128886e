package kv

import (
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/rdb"
)

// stretchItems is how many changes a stretch has at most, unless its only record has more.
const stretchItems = 1024

// A stretch is a run of records of the log, decoded for watchers. It is not changed once
// it is made, and shared by all of them.
type stretch struct {
	seq     int64           // of those of a hub, counted from 1; else 0
	history backlog.History // that the records were written in
	start   int64           // offset in the log
	data    []byte          // the records, of the log's memory
	items   []item
}

func (b *stretch) end() int64 { return b.start + int64(len(b.data)) }

// An item is one change. It says where in the stretch's data the rest is, so that the
// collector finds no pointers in it: 32 bytes, when most records are a few times that.
type item struct {
	deadline int64
	end      uint32 // of the record
	key      uint32
	keyLen   uint32
	valueLen uint32 // the value follows the key
	kind     EventKind
}

func (b *stretch) key(it *item) string { return text(b.data[it.key : it.key+it.keyLen]) }

// event returns what is handed out for an item.
func (b *stretch) event(it *item) Event {
	e := Event{Kind: it.kind, Key: b.key(it), Position: backlog.Position{History: b.history, Offset: b.start + int64(it.end)}}
	if it.kind == EventPut {
		start := it.key + it.keyLen
		end := start + it.valueLen
		e.Value = b.data[start:end:end]
	}
	e.Deadline = deadlineTime(it.deadline)
	return e
}

// deadlineTime returns a deadline as a time, the zero one for none.
func deadlineTime(unixMilli int64) time.Time {
	if unixMilli == 0 {
		return time.Time{}
	}
	return time.UnixMilli(unixMilli)
}

// concerns reports whether an item is of interest to a watcher of prefix.
func (b *stretch) concerns(it *item, prefix string) bool {
	key := b.key(it)
	return strings.HasPrefix(key, prefix) || it.kind == EventDeletePrefix && strings.HasPrefix(prefix, key)
}

// search returns the first item whose record ends behind offset.
func (b *stretch) search(offset int64) int {
	low, high := 0, len(b.items)
	for low < high {
		if mid := (low + high) / 2; b.start+int64(b.items[mid].end) > offset {
			high = mid
		} else {
			low = mid + 1
		}
	}
	return low
}

// decodeStretch decodes whole records that begin at offset at, up to stretchItems, and
// returns what is left of them. It returns a [*RecordError] for a first record that is not
// of this package; it stops before a later one, so that those in front of it are handed out.
func decodeStretch(history backlog.History, at int64, records []byte) (_ *stretch, rest []byte, err error) {
	b := &stretch{history: history, start: at}
	// Most records are larger than this: few stretches grow.
	b.items = make([]item, 0, min(stretchItems, 1+len(records)/64))
	rest = records
	for len(rest) > 0 && len(b.items) < stretchItems {
		after, err := b.add(records, rest)
		if err != nil && len(rest) == len(records) {
			return nil, nil, &RecordError{at, err}
		}
		if err != nil {
			break
		}
		rest = after
	}
	n := len(records) - len(rest)
	b.data = records[:n:n]
	return b, rest, nil
}

// add adds the items of the first record of rest, which ends where records does, and returns
// what follows it. On an error it has added nothing.
func (b *stretch) add(records, rest []byte) (after []byte, err error) {
	payload, after, err := backlog.CutRecord(rest)
	if err != nil {
		return nil, err
	}
	first, end := len(b.items), len(records)-len(after)
	items, err := appendItems(b.items, payload, end-len(payload))
	if err != nil {
		return nil, err
	}
	for i := range items[first:] {
		items[first+i].end = uint32(end)
	}
	b.items = items
	return after, nil
}

// appendItems appends what a record says, whose payload stands at offset at of the
// stretch's data.
func appendItems(items []item, payload []byte, at int) ([]item, error) {
	if len(payload) == 0 {
		return items, fmt.Errorf("%w: empty", ErrRecord)
	}
	switch payload[0] {
	case rdb.KindPut, rdb.KindPutDeadline:
		e, err := rdb.ParseEntry(payload)
		if err != nil {
			return items, fmt.Errorf("%w: %w", ErrRecord, err)
		}
		return append(items, item{
			kind: EventPut, deadline: e.Deadline,
			key: uint32(at + len(payload) - len(e.Value) - len(e.Key)), keyLen: uint32(len(e.Key)), valueLen: uint32(len(e.Value)),
		}), nil
	case kindDelete:
		return appendKeyItem(items, EventDelete, payload, 1, at)
	case kindExpired:
		return appendKeyItem(items, EventExpire, payload, 1, at)
	case kindEvicted:
		return appendKeyItem(items, EventEvict, payload, 1, at)
	case kindDeadline:
		items, err := appendKeyItem(items, EventDeadline, payload, 9, at)
		if err == nil {
			items[len(items)-1].deadline = int64(binary.LittleEndian.Uint64(payload[1:]))
		}
		return items, err
	case kindClear:
		return append(items, item{kind: EventDeletePrefix}), nil
	case kindTransaction:
		return appendTransaction(items, payload, at)
	case kindDeletePrefix:
		n, size := binary.Uvarint(payload[1:])
		if size <= 0 || n > uint64(len(payload)-1-size) {
			return items, fmt.Errorf("%w: prefix", ErrRecord)
		}
		return append(items, item{kind: EventDeletePrefix, key: uint32(at + 1 + size), keyLen: uint32(n)}), nil
	}
	return items, fmt.Errorf("%w: kind %d", ErrRecord, payload[0])
}

// appendKeyItem appends an item whose key is all of payload from front on.
func appendKeyItem(items []item, kind EventKind, payload []byte, front, at int) ([]item, error) {
	if n := len(payload) - front; n <= 0 || n > rdb.MaxKeyBytes {
		return items, fmt.Errorf("%w: key of %d bytes", ErrRecord, n)
	}
	return append(items, item{kind: kind, key: uint32(at + front), keyLen: uint32(len(payload) - front)}), nil
}

// appendTransaction appends the parts of a transaction.
func appendTransaction(items []item, payload []byte, at int) ([]item, error) {
	for rest := payload[1:]; len(rest) > 0; {
		part, after, err := backlog.CutRecord(rest)
		if err != nil {
			return items, fmt.Errorf("%w: %w", ErrRecord, err)
		}
		switch {
		case len(part) == 0:
		case part[0] == kindClear, part[0] == kindTransaction, part[0] == kindDeletePrefix:
			return items, fmt.Errorf("%w: kind %d in a transaction", ErrRecord, part[0])
		}
		if items, err = appendItems(items, part, at+len(payload)-len(after)-len(part)); err != nil {
			return items, err
		}
		rest = after
	}
	return items, nil
}
