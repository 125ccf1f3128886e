package kv

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/internal/giveway"
	"github.com/emberkv/ember/internal/hash"
	"github.com/emberkv/ember/internal/hugepage"
	"github.com/emberkv/ember/rdb"
)

const (
	// MaxAsideBytes bounds the records that a loader keeps for shards whose
	// blocks are not complete: no further one is taken when more than this is kept
	// already, so one record, of whatever size, always fits. A sender lets the
	// log wait when half of it may have gathered.
	MaxAsideBytes = 64 << 20

	// maxLoadWorkers bounds the goroutines that insert a load's entries; more
	// than these outrun every connection and every disk.
	maxLoadWorkers = 4

	// loadQueue is how many blocks each worker may be behind.
	loadQueue = 8
)

// Load begins to build another state beside the one in use, for a full copy from
// another node. Until the loader's Commit the state in use is served, and may
// change. It returns [rdb.ErrFormat] or [rdb.ErrVersion] for a header that is not
// valid, and [ErrClosed].
//
// The loader's methods are for one goroutine. It has goroutines of its own, which
// insert the entries; Commit and Abort end them, so one of the two has to be called.
// The first error makes the loader useless, and is returned from then on; Interrupted
// then returns no position. Besides the state itself and the log's window a loader
// keeps at most [MaxAsideBytes], and it trusts no number in a header or a block
// beyond the bytes that came with it.
func (s *Store) Load(h rdb.Header) (rdb.Loader, error) {
	l, err := s.load(h)
	if err != nil {
		return nil, err
	}
	l.beside = true
	l.table.setBeside(true)
	return l, nil
}

func (s *Store) load(h rdb.Header) (*loader, error) {
	if err := h.Validate(); err != nil {
		return nil, err
	}
	if s.table.Load() == nil {
		return nil, ErrClosed
	}
	t := newTable(h.Seed, h.Shards)
	t.bound(s.newMemory(h.Shards))
	return &loader{
		store:  s,
		begin:  h.Position.Offset,
		table:  t,
		log:    backlog.NewLogAt(h.Lineage, h.Position.Offset, &s.opts),
		shards: make([]loadShard, h.Shards),
	}, nil
}

// A loader is the state in the making: a table, the log that goes with it, and how
// far each shard has come.
//
// The caller's goroutine takes blocks and records in the order in which they were
// sent, and decides by it. The blocks' entries are inserted by workers, each shard's by
// the same one. A shard's lock in the new table orders the two.
type loader struct {
	store  *Store
	begin  int64 // where the log began
	table  *table
	log    *backlog.Log
	shards []loadShard

	queues  []chan *rdb.Block // one for each worker; nil before the first block
	spare   chan []byte       // memory of blocks that were inserted; nil unless somebody reuses it
	workers sync.WaitGroup
	pending sync.WaitGroup // blocks that are queued or being inserted
	aside   atomic.Int64   // bytes kept in all shards
	failure atomic.Pointer[error]
	ended   bool
	doubted bool        // nothing in the store's log is known to be in this one
	ops     []operation // room for the next call
	worker  giveway.Worker
	beside  bool // the store in use serves meanwhile; see enlarge
}

// fail notes the first error, and returns it.
func (l *loader) fail(err error) error {
	if l.failure.CompareAndSwap(nil, &err) {
		return err
	}
	return *l.failure.Load()
}

// usable returns the error that made the loader useless, if any.
func (l *loader) usable() error {
	if p := l.failure.Load(); p != nil {
		return *p
	}
	if l.ended {
		return ErrAborted
	}
	return nil
}

// Block implements [rdb.Loader]. It blocks while the worker is loadQueue blocks
// behind.
func (l *loader) Block(b *rdb.Block) error {
	if err := l.usable(); err != nil {
		return err
	}
	if b.Shard < 0 || b.Shard >= len(l.shards) {
		return l.fail(fmt.Errorf("%w: shard %d of %d", ErrBlock, b.Shard, len(l.shards)))
	}
	if b.First && b.At < l.begin {
		return l.fail(fmt.Errorf("%w: shard %d stands at %d, the log began at %d", ErrBlock, b.Shard, b.At, l.begin))
	}
	sh, ls := &l.table.shards[b.Shard], &l.shards[b.Shard]
	if l.queues == nil {
		l.start()
	}
	sh.mu.Lock()
	err := ls.receive(b)
	if err == nil && b.First {
		sh.presize(b.Keys, presizeShare*len(b.Data))
		sh.expect(b.Keys, b.Count, len(b.Data))
	}
	sh.mu.Unlock()
	if err != nil {
		return l.fail(err)
	}
	if b.First {
		l.assign(ls)
	}
	l.pending.Add(1)
	l.queues[ls.worker] <- b
	l.giveWay(&l.worker) // reading and verifying a block took some hundred microseconds
	return nil
}

// assign gives a shard that begins to the worker that has the least to do: those that come
// together are not always of different numbers modulo the workers'.
func (l *loader) assign(ls *loadShard) {
	for i, queue := range l.queues {
		if i == 0 || len(queue) < len(l.queues[ls.worker]) {
			ls.worker = i
		}
	}
}

// giveWay gives way to the store beside which a copy is loaded. One that is loaded from a disk lets
// other goroutines run, and otherwise has nobody to give way to.
func (l *loader) giveWay(w *giveway.Worker) {
	if l.beside {
		w.GiveWay()
	} else {
		runtime.Gosched()
	}
}

// start starts the workers.
func (l *loader) start() {
	l.queues = make([]chan *rdb.Block, min(runtime.GOMAXPROCS(0), maxLoadWorkers))
	for i := range l.queues {
		queue := make(chan *rdb.Block, loadQueue)
		l.queues[i] = queue
		l.workers.Go(func() {
			var w giveway.Worker
			for b := range queue {
				if l.failure.Load() == nil {
					if err := l.insert(b, &w); err != nil {
						l.fail(err)
					}
				}
				l.giveBack(b.Data)
				l.pending.Done()
			}
		})
	}
}

// giveBack hands memory of a block that was inserted to whoever reads the next ones.
func (l *loader) giveBack(data []byte) {
	if cap(data) > spareBytes {
		return
	}
	select {
	case l.spare <- data:
	default:
	}
}

// Records implements [rdb.Loader].
func (l *loader) Records(at int64, records []byte) error {
	if err := l.usable(); err != nil {
		return err
	}
	if end := l.log.End(); at != end {
		return l.fail(fmt.Errorf("%w: records at %d, log ends at %d", backlog.ErrPosition, at, end))
	}
	var err error
	l.ops, err = carryOut(l.ops, at, records, l.table.seed, func() error {
		// Every record becomes part of the log, whatever its effect here:
		// others will follow this store.
		return l.log.AppendAt(l.log.Position(), records)
	}, func(ops []operation) error {
		for i := range ops {
			if err := l.take(&ops[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return l.fail(err)
	}
	return nil
}

// take gives an operation to its shard, or to all, or each part of it to the part's.
// Nobody reads the table yet, so parts need not be applied at once; each stands at the
// end of the whole.
func (l *loader) take(op *operation) error {
	switch op.kind {
	case kindClear:
		for i := range l.shards {
			if err := l.takeShard(i, op); err != nil {
				return err
			}
		}
		return nil
	case kindTransaction:
		parts := op.parts(l.table.seed)
		fits := l.roomAside()
		for i := range parts {
			parts[i].fits = fits
			if err := l.take(&parts[i]); err != nil {
				return err
			}
		}
		return nil
	case kindDeletePrefix:
		fits := l.roomAside()
		for key := range op.prefixKeys() {
			part := operation{kind: kindDelete, hash: hash.Bytes(l.table.seed, key), key: key, end: op.end, fits: fits}
			if err := l.take(&part); err != nil {
				return err
			}
		}
		return nil
	}
	return l.takeShard(l.table.number(op.hash), op)
}

// roomAside reports whether another record may be kept aside.
func (l *loader) roomAside() bool {
	if l.aside.Load() > MaxAsideBytes {
		// The workers may be behind: what they complete needs no room aside.
		l.pending.Wait()
	}
	return l.aside.Load() <= MaxAsideBytes
}

// Interrupted implements [rdb.Loader]. After an error it returns nothing.
func (l *loader) Interrupted() (backlog.Position, rdb.ShardSet) {
	l.pending.Wait()
	var done rdb.ShardSet
	if l.usable() != nil {
		return backlog.Position{}, done
	}
	for i := range l.shards {
		sh, ls := &l.table.shards[i], &l.shards[i]
		sh.mu.Lock()
		if ls.phase == loaded {
			done.Add(i)
		} else {
			l.aside.Add(-int64(len(ls.aside)))
			*ls = loadShard{}
			sh.clear()
		}
		sh.mu.Unlock()
	}
	return l.log.Position(), done
}

// Commit implements [rdb.Loader]. It returns [ErrIncomplete], [ErrDigest],
// [ErrClosed], or what made the loader useless.
func (l *loader) Commit(f rdb.Footer) error {
	if err := l.verify(f); err != nil {
		return err
	}
	l.index()
	if l.beside {
		l.enlarge()
	}
	if l.doubted {
		l.store.reportLost(backlog.Position{})
	} else {
		l.store.reportLostTail(l.log.Lineage(), l.log.End())
	}
	l.log.Close() // not under the locks, where nothing is waited for
	return l.end(l.store.exchange(l.table, func() error {
		l.store.log.Adopt(l.log)
		return nil
	}))
}

// Doubt implements [rdb.Doubter]: all that the store's log holds is reported as lost.
func (l *loader) Doubt() { l.doubted = true }

// index gives the loaded state its index, if the store has one. It locks nothing that the
// state in use needs.
func (l *loader) index() {
	if l.store.ordered {
		l.table.setIndex(l.table.buildIndex(l.giveWay))
	}
}

// enlarge asks for large pages where the copy lies, and where what is to come will.
//
// A copy that comes from another node goes to small pages, for the store serves meanwhile. Whoever
// first touches a large one waits until it is cleared, and so does whoever else is to run on that
// processor: for five million entries that happens 350 times, and takes up to 4 milliseconds where
// the system's own host has to find the memory. Linux makes them large in its own time, some 100
// MiB a minute as its khugepaged is set by default; until then a read of the copy may take a
// quarter longer. What is loaded from a disk has them from the start, and is loaded faster by up to
// a quarter, unless memory has to be found: a program waits for that as a rule, also for a Restore.
func (l *loader) enlarge() {
	l.table.setBeside(false)
	for i := range l.table.shards {
		sh := &l.table.shards[i]
		for _, data := range sh.slabs.Load().data {
			if len(data) >= hugeBytes {
				hugepage.Advise(data)
			}
		}
		for _, seg := range sh.dir.Load().distinct() {
			if len(seg.groups) == maxGroups {
				hugepage.Advise(seg.groups)
			}
		}
	}
}

// verify returns an error unless the loaded state is complete, and what f says.
func (l *loader) verify(f rdb.Footer) error {
	l.pending.Wait()
	if err := l.usable(); err != nil {
		return err
	}
	l.table.lock()
	defer l.table.unlock()
	for i := range l.shards {
		switch ls := &l.shards[i]; {
		case ls.phase != loaded:
			return l.fail(fmt.Errorf("%w: shard %d of %d", ErrIncomplete, i, len(l.shards)))
		case ls.at > f.Position.Offset:
			return l.fail(fmt.Errorf("%w: shard %d stands at %d, beyond %s", ErrBlock, i, ls.at, f.Position))
		}
	}
	keys, sum, _ := l.table.totalsLocked()
	if at := l.log.Position(); at != f.Position || keys != f.Keys || sum != f.Sum {
		return l.fail(fmt.Errorf("%w: %d keys with sum %016x at %s, want %d with %016x at %s",
			ErrDigest, keys, sum, at, f.Keys, f.Sum, f.Position))
	}
	return nil
}

// Abort implements [rdb.Loader].
func (l *loader) Abort() { l.end(nil) }

// end stops the workers and lets go of what was loaded.
func (l *loader) end(err error) error {
	if l.ended {
		return err
	}
	l.ended = true
	if l.failure.Load() == nil {
		l.fail(ErrAborted) // what is still queued need not be inserted
	}
	for _, queue := range l.queues {
		close(queue)
	}
	l.workers.Wait()
	l.log.Close()
	if t := l.table; t != nil && l.store.table.Load() != t {
		t.ahead.Close()
	}
	l.table, l.log, l.shards = nil, nil, nil
	return err
}
