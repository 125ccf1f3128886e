package kv

import (
	"encoding/binary"
	"fmt"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/internal/hash"
	"github.com/emberkv/ember/rdb"
)

// Tail returns the keys that the log's records from offset from to its end concern, each once,
// in the form that [Store.State] of another store reads, and in memory that is the caller's;
// their number; and the log's end. It returns [ErrRepair], and says why, when the log does not
// hold all of these records, when they concern more than maxKeys keys or more than maxBytes of
// keys, and when there is a [Store.Clear] among them, which concerns all keys.
func (s *Store) Tail(from int64, maxKeys, maxBytes int) (keys []byte, n int, end backlog.Position, err error) {
	lineage, end := s.log.Lineage(), s.log.Position()
	if lineage.Current != end.History {
		return nil, 0, end, fmt.Errorf("%w: the log has just begun a new history", ErrRepair)
	}
	r, err := s.log.NewReader(from)
	if err != nil {
		return nil, 0, end, fmt.Errorf("%w: %w", ErrRepair, err)
	}
	t := tailKeys{seen: make(map[string]struct{}), maxKeys: maxKeys, maxBytes: maxBytes}
	for r.Offset() < end.Offset {
		at := r.Offset()
		records, err := r.Next(end.Offset)
		if err != nil {
			return nil, 0, end, fmt.Errorf("%w: %w", ErrRepair, err)
		}
		if err := t.read(at, records); err != nil {
			return nil, 0, end, err
		}
	}
	return t.list, len(t.seen), end, nil
}

// tailKeys gathers the keys of records.
type tailKeys struct {
	maxKeys, maxBytes int
	seen              map[string]struct{}
	list              []byte
	ops               []operation
}

func (t *tailKeys) read(at int64, records []byte) (err error) {
	for len(records) > 0 {
		left := len(records)
		if t.ops, records, err = decode(t.ops[:0], at, records, 0); err != nil {
			return err
		}
		at += int64(left - len(records))
		for i := range t.ops {
			if err := t.ops[i].eachKey(t.add); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *tailKeys) add(op operation) error {
	if _, ok := t.seen[text(op.key)]; ok {
		return nil
	}
	t.list = binary.AppendUvarint(t.list, uint64(len(op.key)))
	t.list = append(t.list, op.key...)
	t.seen[string(op.key)] = struct{}{}
	if len(t.seen) > t.maxKeys || len(t.list) > t.maxBytes {
		return fmt.Errorf("%w: it concerns more than %d keys, or of more than %d bytes", ErrRepair, t.maxKeys, t.maxBytes)
	}
	return nil
}

// eachKey calls f with what an operation does to each key that it names, one after the
// other. The key is valid until the next. It returns ErrRepair for one that names none.
func (op *operation) eachKey(f func(operation) error) error {
	switch op.kind {
	case kindClear:
		return fmt.Errorf("%w: all keys were removed", ErrRepair)
	case kindTransaction:
		for _, part := range op.parts(0) {
			if err := f(part); err != nil {
				return err
			}
		}
	case kindDeletePrefix:
		for key := range op.prefixKeys() {
			if err := f(operation{kind: kindDelete, key: key}); err != nil {
				return err
			}
		}
	default:
		return f(*op)
	}
	return nil
}

// cutKey splits a key off a list as Tail makes it.
func cutKey(list []byte) (key, rest []byte, err error) {
	key, rest, ok := cutString(list)
	if !ok || len(key) == 0 || len(key) > rdb.MaxKeyBytes {
		return nil, nil, fmt.Errorf("%w: malformed list of keys", ErrRepair)
	}
	return key, rest, nil
}

// State hands the entries of keys, a list made by [Store.Tail] of another store, to write, as
// blocks of a single shard, 0. They are as of one moment, the footer's position; the footer's
// other fields are those of the whole store. Writers are held up no longer than by
// [Store.Snapshot]. Before the first block it returns [ErrRepair] for a list that is malformed or
// has more than [MaxRepairKeys], and when the entries take more than maxBytes; and the errors of
// Snapshot; later on those of write, which may keep the block.
func (s *Store) State(keys []byte, maxBytes int, write func(*rdb.Block) error) (rdb.Footer, error) {
	snap, err := s.Snapshot()
	if err != nil {
		return rdb.Footer{}, err
	}
	entries, err := snap.entries(keys, maxBytes)
	d := snap.Digest()
	snap.Close() // not held open while write waits; the entries stay valid
	if err != nil {
		return rdb.Footer{}, err
	}
	b := &rdb.Block{First: true, At: d.Position.Offset, Keys: len(entries)}
	for i, e := range entries {
		record := make([]byte, rdb.EntrySize(len(e.key), len(e.value), e.deadline))
		rdb.PutEntry(record, text(e.key), e.value, e.deadline)
		b.Data = append(b.Data, record...)
		b.Count++
		if len(b.Data) >= rdb.DefaultBlockBytes && i < len(entries)-1 {
			if err := write(b); err != nil {
				return rdb.Footer{}, err
			}
			b = &rdb.Block{}
		}
	}
	b.Last = true
	return rdb.Footer{Position: d.Position, Keys: d.Keys, Sum: d.Sum}, write(b)
}

// entries returns those of keys that exist, whether or not their deadline has passed.
func (n *Snapshot) entries(keys []byte, maxBytes int) ([]entry, error) {
	var entries []entry
	size := 0
	for count := 1; len(keys) > 0; count++ {
		key, rest, err := cutKey(keys)
		switch {
		case err != nil:
			return nil, err
		case count > MaxRepairKeys:
			return nil, fmt.Errorf("%w: list of more than %d keys", ErrRepair, MaxRepairKeys)
		}
		keys = rest
		h := hash.Bytes(n.seed, key)
		var e entry
		if !n.view(h).find(h, text(key), &e) {
			continue
		}
		if size += e.size; size > maxBytes {
			return nil, fmt.Errorf("%w: entries of more than %d bytes", ErrRepair, maxBytes)
		}
		entries = append(entries, e)
	}
	return entries, nil
}
