package kv

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/internal/hash"
)

// DeletePrefix removes all keys that begin with prefix, at once and as one record, and returns how
// many there were. It removes at most [Options.MaxTxKeys], and returns [ErrTooLarge] when there are
// more, or when their names take more than a record holds; then it has removed none. It also returns
// [ErrNotLocal], [ErrClosed] and the errors of the log's gate and settler.
//
// With [Options.Ordered] writers wait while it finds and removes the keys, a microsecond or
// two for each. Without, it looks at all keys beforehand; then writers wait while it looks
// again at the shards, each a 32nd, in which others have written meanwhile.
func (s *Store) DeletePrefix(prefix string) (int, error) {
	if s.takesLocally() {
		return 0, ErrNotLocal
	}
	if err := s.unchanged(nil); err != nil {
		return 0, err
	}
	w := s.beginWrite()
	n, end, err := s.deletePrefix(prefix)
	for resumed(err) {
		n, end, err = s.deletePrefix(prefix)
	}
	if end == 0 {
		return 0, s.unchanged(err)
	}
	return n, w.settle(end)
}

func (s *Store) deletePrefix(prefix string) (n int, end int64, err error) {
	f := prefixFinder{store: s, prefix: prefix, limit: 2 * s.maxTxKeys}
	if err := f.look(); err != nil {
		return 0, 0, err
	}
	t := s.lockAll() // other keys with the prefix may come, in any shard
	if t == nil {
		return 0, 0, ErrClosed
	}
	defer t.unlock()
	ops, err := f.operations(t)
	if err != nil || len(ops) == 0 {
		return 0, 0, err
	}
	for i := range ops {
		if !s.clock.reached(ops[i].deadline) {
			n++ // the others were gone already, for all who could read
		}
		ops[i].deadline = 0
	}
	record, err := prefixRecord(prefix, ops)
	if err != nil {
		return 0, 0, err
	}
	b := newBatch(t, ops)
	if err := b.prepare(); err != nil {
		return 0, 0, err
	}
	end, err = s.logAndShow(b, record)
	return n, end, err
}

// prefixRecord returns the record of the removal of keys with a prefix.
func prefixRecord(prefix string, ops []operation) ([]byte, error) {
	payload := append(binary.AppendUvarint([]byte{kindDeletePrefix}, uint64(len(prefix))), prefix...)
	total := 0
	for i := range ops {
		rest := ops[i].key[len(prefix):]
		payload = append(binary.AppendUvarint(payload, uint64(len(rest))), rest...)
		if total += len(ops[i].key); total > maxPrefixBytes {
			return nil, fmt.Errorf("%w: keys of more than %d bytes", ErrTooLarge, maxPrefixBytes)
		}
	}
	return backlog.AppendRecord(nil, payload), nil
}

// A prefixFinder finds the keys with a prefix: first without holding anybody up, and then
// once more where something was written meanwhile.
type prefixFinder struct {
	store  *Store
	prefix string
	table  *table
	shards []prefixShard
	n      int // keys found
	limit  int // of them: twice as many while others may rename what was found already
}

type prefixShard struct {
	version uint64
	keys    []operation // of kindDelete, with the deadlines that the keys have
}

// look finds the keys as of now. It returns ErrTooLarge when there are too many.
func (f *prefixFinder) look() error {
	if f.table = f.store.table.Load(); f.table == nil {
		return ErrClosed
	}
	if f.table.index != nil {
		return f.glance()
	}
	f.shards = make([]prefixShard, len(f.table.shards))
	for i := range f.shards {
		sh := &f.table.shards[i]
		sh.mu.Lock()
		v := sh.freeze()
		sh.mu.Unlock()
		err := f.lookIn(i, v)
		v.release()
		if err != nil {
			return err
		}
	}
	return nil
}

// glance reads the keys, so that they are in the caches when writers wait. What it finds
// counts only if it is too much.
func (f *prefixFinder) glance() error {
	n := 0
	for range f.store.Prefix(f.prefix) {
		if n++; n > f.limit {
			return f.tooMany()
		}
	}
	return nil
}

func (f *prefixFinder) tooMany() error {
	return fmt.Errorf("%w: more than %d keys begin with %q", ErrTooLarge, f.store.maxTxKeys, f.prefix)
}

// lookIn finds the keys of shard i in a view of it.
func (f *prefixFinder) lookIn(i int, v *frozen) (err error) {
	sh := &f.shards[i]
	f.n -= len(sh.keys)
	sh.version, sh.keys = v.version, nil
	v.list(nil).records(func(record []byte) bool {
		e := parseEntry(record)
		if !strings.HasPrefix(text(e.key), f.prefix) {
			return true
		}
		sh.keys = append(sh.keys, operation{
			kind: kindDelete, hash: hash.Bytes(f.table.seed, e.key), key: e.key, deadline: e.deadline,
		})
		if f.n++; f.n > f.limit {
			err = f.tooMany()
		}
		return err == nil
	})
	return err
}

// operations returns the removals of the keys that there are now. All shards must be
// locked.
func (f *prefixFinder) operations(t *table) (ops []operation, err error) {
	if t.index != nil {
		return f.indexed(t)
	}
	if t != f.table {
		f.table, f.n = t, 0
		f.shards = make([]prefixShard, len(t.shards))
	}
	for i := range t.shards {
		if f.shards[i].version != t.shards[i].version.Load() {
			f.n -= len(f.shards[i].keys)
			f.shards[i].keys = nil
		}
	}
	if f.limit = f.store.maxTxKeys; f.n > f.limit {
		return nil, f.tooMany()
	}
	for i := range t.shards {
		sh := &t.shards[i]
		if version := sh.version.Load(); f.shards[i].version != version {
			v := frozen{shard: sh, dir: sh.dir.Load(), slabs: sh.slabs.Load(), keys: sh.mu.keys, version: version}
			if err := f.lookIn(i, &v); err != nil {
				return nil, err
			}
		}
		ops = append(ops, f.shards[i].keys...)
	}
	return ops, nil
}

// indexed is operations by the index.
func (f *prefixFinder) indexed(t *table) (ops []operation, err error) {
	r := prefixRange(f.prefix)
	var c cursor
	for c.init(&r); !c.done; {
		c.took(t.index.ascend(&c.next, c.room()))
		for i := range c.n {
			if len(ops) == f.store.maxTxKeys {
				return nil, f.tooMany()
			}
			h := hash.String(t.seed, c.key(i))
			var at found
			t.shard(h).locate(h, c.key(i), &at)
			ops = append(ops, operation{kind: kindDelete, hash: h, key: at.key, deadline: at.deadline})
		}
	}
	return ops, nil
}
