package kv

import (
	"fmt"
	"runtime"

	"github.com/emberkv/ember/internal/hash"
	"github.com/emberkv/ember/rdb"
)

const (
	// presizeShare bounds the segments that a shard gets on the word of its first
	// block to so many times the block's size. Entries of sixteen bytes and more
	// get what they need at once; of a block of 128 KiB, at most 2 MiB are made.
	presizeShare = 16

	// insertAtOnce is how many entries are inserted under one hold of a shard's
	// lock, before the processor is offered to others; see giveWayAfter.
	insertAtOnce = 256
)

// The phases of a shard that is being loaded.
//
//	absent --First--> partial --Last inserted--> loaded
//
// A record of the log is skipped while its shard is absent, because the blocks will
// hold its effect; kept aside while the shard is partial; and applied when it is
// loaded. One that ends at or before the offset for which the shard's blocks stand is
// in them, and skipped in any phase.
const (
	absent = iota
	partial
	loaded
)

// A loadShard is how far a shard has come. The lock of the shard in the new table
// guards it.
type loadShard struct {
	phase int
	at    int64  // the offset for which the blocks stand
	last  bool   // the last block was received, though perhaps not yet inserted
	left  int    // entries that are still to be received
	aside []byte // records to be applied after the last block
}

// receive notes a block in the order in which they came, and returns ErrBlock for
// one that is out of order or has the wrong number of entries.
func (ls *loadShard) receive(b *rdb.Block) error {
	switch {
	case b.First != (ls.phase == absent), ls.last:
		return fmt.Errorf("%w: block of shard %d is out of order", ErrBlock, b.Shard)
	case b.First:
		*ls = loadShard{phase: partial, at: b.At, left: b.Keys}
	}
	ls.left -= b.Count
	if ls.left < 0 || b.Count < 0 || b.Last && ls.left != 0 {
		return fmt.Errorf("%w: shard %d misses its number of entries by %d", ErrBlock, b.Shard, ls.left)
	}
	ls.last = b.Last
	return nil
}

// insert inserts a block's entries, on a worker, and completes the shard after its
// last one.
func (l *loader) insert(b *rdb.Block) error {
	sh, data, n := &l.table.shards[b.Shard], b.Data, 0
	for len(data) > 0 {
		rest, m, err := l.insertSome(sh, b.Shard, data)
		if err != nil {
			return err
		}
		data, n = rest, n+m
		runtime.Gosched()
	}
	if n != b.Count {
		return fmt.Errorf("%w: %d entries in a block of shard %d that says %d", ErrBlock, n, b.Shard, b.Count)
	}
	if !b.Last {
		return nil
	}
	sh.mu.Lock()
	defer sh.mu.Unlock()
	ls := &l.shards[b.Shard]
	_, err := carryOut(nil, ls.at, ls.aside, l.table.seed, func() error { return nil }, func(ops []operation) error {
		for i := range ops {
			if err := sh.applyAny(&ops[i]); err != nil {
				return err
			}
		}
		return nil
	})
	l.aside.Add(-int64(len(ls.aside)))
	ls.aside, ls.phase = nil, loaded
	return err
}

// insertSome inserts some entries from the front of data and returns the rest, and
// how many they were.
func (l *loader) insertSome(sh *shard, number int, data []byte) (rest []byte, n int, err error) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for ; n < insertAtOnce && len(data) > 0; n++ {
		e, size, err := rdb.CutEntry(data)
		if err != nil {
			return nil, 0, err
		}
		h := hash.Bytes(l.table.seed, e.Key)
		at := sh.locate(h, text(e.Key))
		switch {
		case l.table.number(h) != number:
			return nil, 0, fmt.Errorf("%w: key of shard %d in shard %d", ErrBlock, l.table.number(h), number)
		case at.ok():
			return nil, 0, fmt.Errorf("%w: key twice in shard %d", ErrBlock, number)
		}
		r, err := sh.prepare(h, &at, size, nil)
		if err != nil {
			return nil, 0, err
		}
		copy(r.bytes, data[:size])
		sh.publish(h, &at, r, e.Deadline, e.Sum())
		data = data[size:]
	}
	return data, n, nil
}

// takeShard gives an operation to shard i, by the rule of its phase.
func (l *loader) takeShard(i int, op *operation) error {
	sh, ls := &l.table.shards[i], &l.shards[i]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	fits := true
	if ls.phase == partial && !op.fits {
		sh.mu.Unlock()
		fits = l.roomAside()
		sh.mu.Lock()
	}
	switch {
	case ls.phase == absent || op.end <= ls.at:
		return nil
	case ls.phase == loaded:
		return sh.applyAny(op)
	case !fits:
		return fmt.Errorf("%w: limit %d bytes", ErrAside, MaxAsideBytes)
	}
	before := len(ls.aside)
	if op.record != nil {
		ls.aside = append(ls.aside, op.record...)
	} else { // one key of the removal of a prefix
		ls.aside = appendKeyRecord(ls.aside, op.kind, text(op.key))
	}
	l.aside.Add(int64(len(ls.aside) - before))
	return nil
}

// applyAny carries out an operation, one on all keys too, in one shard.
func (sh *shard) applyAny(op *operation) error {
	if op.kind == kindClear {
		sh.clear()
		return nil
	}
	return sh.apply(op)
}
