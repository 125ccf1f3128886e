package kv

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/internal/hash"
	"github.com/emberkv/ember/internal/spin"
	"github.com/emberkv/ember/rdb"
)

// A Store holds keys with their values in memory, and the log of the changes to
// them. All methods may be called concurrently, except those that say otherwise.
//
// Get, GetMulti, Append, Has and TTL take no lock, allocate nothing but what dst lacks, and
// never wait. A value that a read returns is a slice of the store's memory: it must not be
// modified, it does not change, and it stays valid for as long as it is held, even after Close.
// It keeps alive the slab that holds it, at most 512 KiB or its own size; copy what is kept for
// long.
//
// Every write is atomic. When the call returns it is in the log and visible to
// every reader. A write returns the error of the log's gate ([backlog.Gate]), which says that this
// node takes no writes, such as ErrReadOnly of package repl: then it has changed nothing. Or it
// returns, last of all, that of the log's settler ([backlog.Settler]), which waits for acks or for
// the disk where that was asked for: then the write stands.
type Store struct {
	opts    backlog.Options
	ordered bool
	log     *backlog.Log
	table   atomic.Pointer[table] // nil when closed
	reads   atomic.Pointer[table] // the same for reads of single keys; nil sends them by readable
	local   *locals               // nil unless Options.WritableReplica

	born       time.Time
	staleAfter atomic.Int64 // how long after born the data are too old to be read; see SetStaleAfter
	routing    sync.Mutex   // while table, reads or the locals' view changes

	maxRetries, maxTxKeys int
	maxBytes              int64
	eviction              Eviction
	onLostTail            func(LostTail)

	journal   *journal // nil for a store in memory
	recovered Recovered

	clock     clock
	following atomic.Bool
	waiters   waiters
	expirer   expirer
	watching  watching
	counts    counts
	enders    enders
	txRooms   sync.Pool // of *txRoom

	// applying is the offset at which the records begin that Apply has logged
	// and not yet applied all of, or idle. It is stored before they are logged,
	// and set to idle after the last was applied.
	applying atomic.Int64

	// apply is held while logged records are ahead of the table: by Apply, and
	// by whoever needs the table to be exactly at the log's end. Before the
	// shards' locks.
	apply struct {
		sync.Mutex
		ops    []operation // room for the next call
		failed error       // what made the table differ from the log
	}
}

// New returns an empty store at the beginning of a new history, open for writes.
// It has no goroutine that lasts: short ones make memory ahead of writers, and delete keys whose
// deadline has passed. Close it when it is not needed any more.
func New(opts *Options) *Store {
	if opts == nil {
		opts = &Options{}
	}
	s := &Store{
		opts:       boundedLog(opts),
		ordered:    opts.Ordered,
		maxRetries: opts.maxRetries(),
		maxTxKeys:  opts.maxTxKeys(),
		maxBytes:   opts.MaxBytes,
		eviction:   opts.Eviction,
		onLostTail: opts.OnLostTail,
		born:       time.Now(),
	}
	s.staleAfter.Store(neverStale)
	if s.maxBytes > 0 && s.eviction != NoEviction {
		s.counts.lookups.stripes = new([lookupStripes]lookupStripe)
	}
	s.log = backlog.NewLog(&s.opts)
	s.local = newLocals(opts)
	s.install(s.emptyTable())
	s.applying.Store(idle)
	s.expirer.init(s)
	return s
}

// emptyTable returns a table to begin with.
func (s *Store) emptyTable() *table {
	shards := boundedShards(s.maxBytes)
	t := newSeededTable(shards)
	t.bound(s.newMemory(shards))
	if s.ordered {
		t.setIndex(newIndex())
	}
	return t
}

// Log returns the store's log, the same one for the store's whole life.
func (s *Store) Log() *backlog.Log { return s.log }

// Position returns the end of the store's log. It covers everything that earlier reads of
// this store saw: hand it to [Store.Wait] of another node to read there what was read or
// written here. Earlier writes here are covered, too, unless the node has changed its role
// since, or taken a full copy: see Master.Wait of package repl.
func (s *Store) Position() backlog.Position { return s.log.Position() }

// Len returns the number of keys. It does not count those whose deadline has
// passed, whether or not they have been deleted already. It counts shard after
// shard: writes that happen meanwhile may or may not be counted; if there are local
// writes, it looks at each of them. After Close it returns 0.
func (s *Store) Len() int {
	n := s.ReplicatedLen()
	if v := s.localView(); v != nil {
		if t := s.table.Load(); t != nil {
			n += s.localLen(t, v)
		}
	}
	return n
}

// ReplicatedLen is [Store.Len] without local writes: what the next full copy of another
// state would wipe for good. Package repl asks for it.
func (s *Store) ReplicatedLen() int {
	t := s.table.Load()
	if t == nil {
		return 0
	}
	now, n := s.clock.now(), int64(0)
	for i := range t.shards {
		m := &t.shards[i].mu
		m.Lock()
		n += m.keys - m.deadlines.passed(now)
		m.Unlock()
	}
	return int(n)
}

// Close ends the store. It ends the loads of its maps, as [Map.Close] does, waits for
// writes and expiry that are under way, wakes all who wait, and lets go of the contents.
// Afterwards every method returns [ErrClosed], or nothing. Values that were read before,
// and snapshots that were taken, stay valid. For a store of [Open] it writes and syncs what is
// not on disk yet, waits for a Save that is under way to end, and returns why not all of it is
// on disk, or nil if it is. Close may be called again, and returns the same.
func (s *Store) Close() error {
	s.enders.end()
	if j := s.journal; j != nil {
		j.notice()
	}
	s.apply.Lock()
	t := s.lockAll()
	if t != nil {
		s.install(nil)
		t.unlock()
	}
	s.apply.Unlock()
	if t != nil {
		t.ahead.Close()
	}
	s.expirer.close()
	s.waiters.wake()
	s.watching.close()
	s.log.Close()
	if s.journal != nil {
		return s.journal.close()
	}
	return nil
}

// lock returns the shard of a key, locked, and the key's hash. The table may be
// exchanged until the shard is locked, so it is looked at again.
func (s *Store) lock(key string) (*shard, uint64, error) {
	for {
		t := s.table.Load()
		if t == nil {
			return nil, 0, ErrClosed
		}
		h := hash.String(t.seed, key)
		sh := t.shard(h)
		spin.Lock(&sh.mu.Mutex)
		if s.table.Load() == t {
			return sh, h, nil
		}
		sh.mu.Unlock()
	}
}

// lockAll returns the table with all of its shards locked, or nil when the store
// is closed.
func (s *Store) lockAll() *table {
	for {
		t := s.table.Load()
		if t == nil {
			return nil
		}
		t.lock()
		if s.table.Load() == t {
			return t
		}
		t.unlock()
	}
}

// An ownWrite is a write of this node's that has begun. The settler is asked for before the log's
// gate lets the write in: when it is in, and waits for a processor or the disk, the node may stop
// being the master, or become it anew, and whoever settles writes then knows nothing of this one.
type ownWrite struct {
	store   *Store
	settler backlog.Settler
}

func (s *Store) beginWrite() ownWrite { return ownWrite{s, s.log.Settler()} }

// settle ends a write whose records end at offset end, outside of all locks.
func (w ownWrite) settle(end int64) error {
	w.store.waiters.wake()
	if j := w.store.journal; j != nil {
		if err := j.settle(end); err != nil {
			return err
		}
	}
	if w.settler == nil {
		return nil
	}
	return w.settler(end)
}

// unchanged ends a write that has changed nothing, because of err or because there
// was nothing to change. On a store that takes no writes the gate's error comes
// first: what is not so here may be so on the node that does.
func (s *Store) unchanged(err error) error {
	if s.table.Load() == nil {
		return ErrClosed
	}
	if closed := s.closed(); closed != nil {
		return closed
	}
	return err
}

// damaged returns ErrDamaged when the log has more than the table. The apply lock
// must be held.
func (s *Store) damaged() error {
	if s.apply.failed != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, s.apply.failed)
	}
	return nil
}

// checkKey returns ErrEmptyKey or ErrTooLarge for a key that no store holds.
func checkKey(key string) error {
	switch {
	case len(key) == 0:
		return ErrEmptyKey
	case len(key) > rdb.MaxKeyBytes:
		return fmt.Errorf("%w: key of %d bytes, limit %d", ErrTooLarge, len(key), rdb.MaxKeyBytes)
	}
	return nil
}

func checkValue(value []byte) error {
	if len(value) > rdb.MaxValueBytes {
		return fmt.Errorf("%w: value of %d bytes, limit %d", ErrTooLarge, len(value), rdb.MaxValueBytes)
	}
	return nil
}
