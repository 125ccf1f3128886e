package kv

import (
	"sync/atomic"
	"unsafe"

	"github.com/emberkv/ember/backlog"
)

// Stats say what a store holds, how much memory that takes, and what has become of its
// keys since [New]. Sizes are bytes of memory as they were allocated. What callers
// hold is not counted: values that were read, and iterations.
type Stats struct {
	Keys int64 `json:"keys"` // as Store.ReplicatedLen counts them

	Bytes    int64 `json:"bytes"`     // all of the parts below
	MaxBytes int64 `json:"max_bytes"` // Options.MaxBytes, 0 for no bound

	TableBytes    int64 `json:"table_bytes"`    // shards and segments
	ArenaBytes    int64 `json:"arena_bytes"`    // slabs, including DeadBytes, what is not filled yet, and one that is made ahead
	DeadBytes     int64 `json:"dead_bytes"`     // entries in slabs that were overwritten or removed
	IndexBytes    int64 `json:"index_bytes"`    // the order of the keys, if Options.Ordered
	DeadlineBytes int64 `json:"deadline_bytes"` // the order of the deadlines; an estimate
	RetainedBytes int64 `json:"retained_bytes"` // what open snapshots alone still need
	LogBytes      int64 `json:"log_bytes"`      // the log's window

	// LocalKeys counts the keys that local writes have set or removed (see
	// Options.WritableReplica), and LocalBytes what those take, which is not in Bytes.
	LocalKeys  int64 `json:"local_keys"`
	LocalBytes int64 `json:"local_bytes"`

	// Evictions and Expiries count the keys that this store has removed, not those
	// that another told it to remove.
	Evictions int64 `json:"evictions"`
	Expiries  int64 `json:"expiries"`

	// Hits and Misses count what Get, GetMulti, Append and Has found and did not find. They
	// are counted only under a policy that evicts.
	Hits   int64 `json:"hits"`
	Misses int64 `json:"misses"`
}

// Stats returns what the store holds at one moment. It holds up writers for microseconds,
// as Snapshot does. After Close only the counts since New are left.
func (s *Store) Stats() Stats {
	st := Stats{
		MaxBytes:  max(s.maxBytes, 0),
		Evictions: s.counts.evictions.Load(),
		Expiries:  s.counts.expiries.Load(),
	}
	st.Hits, st.Misses = s.counts.lookups.sum()
	if v := s.localView(); v != nil {
		st.LocalKeys, st.LocalBytes = int64(v.tree.Len()), v.bytes
	}
	t := s.lockAll()
	if t == nil {
		return st
	}
	defer t.unlock()
	now := s.clock.now()
	st.TableBytes = int64(len(t.shards)) * int64(unsafe.Sizeof(shard{}))
	for i := range t.shards {
		m := &t.shards[i].mu
		st.Keys += m.keys - m.deadlines.passed(now)
		st.TableBytes += m.bytes.table
		st.ArenaBytes += m.bytes.slabs
		st.DeadBytes += m.arena.dead
		st.DeadlineBytes += m.bytes.dated
		st.RetainedBytes += m.bytes.retained
	}
	st.ArenaBytes += t.ahead.Held()
	if t.index != nil {
		held, retained := t.index.bytes()
		st.IndexBytes += held
		st.RetainedBytes += retained
	}
	st.LogBytes = s.log.HeldBytes()
	st.Bytes = st.TableBytes + st.ArenaBytes + st.IndexBytes + st.DeadlineBytes + st.RetainedBytes + st.LogBytes
	return st
}

// counts are what a store counts all its life.
type counts struct {
	evictions, expiries atomic.Int64
	lookups             lookups
}

// lookupStripes is how many counters share the work, so that readers on different
// processors seldom meet in one.
const lookupStripes = 32

// lookups count what readers find and do not.
type lookups struct {
	stripes *[lookupStripes]lookupStripe // nil: not counted
}

type lookupStripe struct {
	hits, misses atomic.Int64
	_            [48]byte // a cache line each
}

func (l *lookups) count(found bool) {
	// There is no cheap way to ask for the processor. A goroutine's stack is as good:
	// those that run at the same time have different ones.
	var here byte
	at := uintptr(unsafe.Pointer(&here))
	stripe := &l.stripes[(at>>11^at>>16)%lookupStripes]
	if found {
		stripe.hits.Add(1)
	} else {
		stripe.misses.Add(1)
	}
}

func (l *lookups) sum() (hits, misses int64) {
	if l.stripes == nil {
		return 0, 0
	}
	for i := range l.stripes {
		hits += l.stripes[i].hits.Load()
		misses += l.stripes[i].misses.Load()
	}
	return hits, misses
}

// boundedLog returns the options of a log that counts against a bound.
func boundedLog(opts *Options) backlog.Options {
	o := backlog.Options{MaxBytes: opts.LogBytes, MaxAge: opts.LogAge}
	if opts.MaxBytes > 0 && o.MaxBytes == 0 {
		o.MaxBytes = max(1, min(backlog.DefaultMaxBytes, opts.MaxBytes/logShare))
	}
	return o
}
