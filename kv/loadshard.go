package kv

import (
	"fmt"
	"sync/atomic"

	"github.com/emberkv/ember/internal/giveway"
	"github.com/emberkv/ember/internal/hash"
	"github.com/emberkv/ember/rdb"
)

const (
	// presizeShare bounds the segments that a shard gets on the word of its first
	// block to so many times the block's size. Entries of sixteen bytes and more
	// get what they need at once; of a block of 128 KiB, at most 2 MiB are made.
	presizeShare = 16

	// insertAtOnce is how many entries are inserted under one hold of a shard's
	// lock.
	insertAtOnce = 32

	// giveWayEntries is after how many, some 100 microseconds' work, the processor is
	// offered to others.
	giveWayEntries = 8 * insertAtOnce
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
	worker int // that inserts its blocks
	phase  int
	at     int64  // the offset for which the blocks stand
	last   bool   // the last block was received, though perhaps not yet inserted
	left   int    // entries that are still to be received
	aside  []byte // records to be applied after the last block
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
func (l *loader) insert(b *rdb.Block, w *giveway.Worker) error {
	sh, data, n := &l.table.shards[b.Shard], b.Data, 0
	var some [insertAtOnce]incoming
	for len(data) > 0 {
		m, err := l.decode(&some, &data, b.Shard)
		if err == nil {
			err = sh.insertNew(some[:m], b.Shard)
		}
		if err != nil {
			return err
		}
		// Also after each block: one of large entries has few.
		if n += m; n%giveWayEntries == 0 || len(data) == 0 {
			l.giveWay(w)
		}
	}
	if n != b.Count {
		return fmt.Errorf("%w: %d entries in a block of shard %d that says %d", ErrBlock, n, b.Shard, b.Count)
	}
	if !b.Last {
		return nil
	}
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.mu.arena.expected = 0
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

// An incoming is an entry of a block that is to be inserted.
type incoming struct {
	rdb.Entry
	record []byte // as it is encoded
	hash   uint64
}

// decode takes entries of a shard from the front of data, as many as there is room for, and
// returns how many.
func (l *loader) decode(to *[insertAtOnce]incoming, data *[]byte, shard int) (n int, err error) {
	rest := *data
	for ; n < len(to) && len(rest) > 0; n++ {
		in, size := &to[n], 0
		if in.Entry, size, err = rdb.CutEntry(rest); err != nil {
			return 0, fmt.Errorf("%w: %w", ErrBlock, err)
		}
		in.hash = hash.Bytes(l.table.seed, in.Key)
		if number := l.table.number(in.hash); number != shard {
			return 0, fmt.Errorf("%w: key of shard %d in shard %d", ErrBlock, number, shard)
		}
		in.record, rest = rest[:size], rest[size:]
	}
	*data = rest
	return n, nil
}

// insertNew inserts entries of which the shard has none. The stores are plain ones: nobody
// reads a table that is being loaded, and an atomic store would wait for all before it, those
// of the entry too, which go to memory that no processor has seen since it was cleared.
func (sh *shard) insertNew(entries []incoming, number int) error {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	// Their groups lie anywhere in two megabytes. Asked for one after the other, before
	// anything else is done, they come together.
	dir := sh.dir.Load()
	for i := range entries {
		first, home := dir.home(entries[i].hash)
		atomic.LoadUint64(&at(first, home)[0])
	}
	m := &sh.mu
	sh.version.Add(1)
	for i := range entries {
		in := &entries[i]
		var at found
		sh.locate(in.hash, text(in.Key), &at)
		if at.ok() {
			return fmt.Errorf("%w: key twice in shard %d", ErrBlock, number)
		}
		r, err := sh.prepare(in.hash, &at, len(in.record), nil)
		if err != nil {
			return err
		}
		copy(r.bytes, in.record)
		sh.own(in.hash).build(tag(in.hash), r.slot(in.hash))
		m.keys++
		m.sum += in.Sum()
		if in.Deadline != 0 {
			m.deadlines.add(in.Deadline, in.hash)
			sh.chargeDeadlines()
		}
	}
	return nil
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
