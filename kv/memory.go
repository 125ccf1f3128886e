package kv

import (
	"fmt"
	"sync/atomic"
	"unsafe"

	"github.com/emberkv/ember/backlog"
)

const (
	// MinMaxBytes is the least [Options.MaxBytes]: what a store needs before it holds
	// anything to speak of.
	MinMaxBytes = 256 << 10

	// logShare is the share of MaxBytes, one part in so many, that the log's window has
	// unless Options.LogBytes says otherwise.
	logShare = 16

	// logSlack is what a log holds beside its window, as a share of that, one part in so
	// many: a chunk that is not full, the next one, and what is left of one before.
	logSlack = 5

	// shardBytes is the share of MaxBytes that a shard should have, so that its slabs, of
	// which one is never full, are a small part of it.
	shardBytes = 128 << 10

	// leastShards is how many shards the smallest store has.
	leastShards = 4

	// lateShare bounds what all shards together may not have charged yet, as a share of
	// MaxBytes, one part in so many. Charges go to one counter, and most are small.
	lateShare = 256

	// headShare is the share of MaxBytes, one part in so many, that evicting writers try
	// to keep free, so that nobody has to wait for a whole slab's eviction.
	headShare = 64

	// moveShare is the share of MaxBytes, one part in so many, that writers leave to
	// the entries that are moved when slabs are emptied.
	moveShare = 100

	// slabCost is what the shard's lists take for each slab, and deadlineBytes what the
	// index of deadlines does for each, after many have come and gone.
	slabCost      = 64
	deadlineBytes = 80
)

// A memory bounds the bytes of a table and the log that goes with it. Shards and the index
// charge what they take, and writers acquire what they are about to take before they do.
type memory struct {
	store  *Store
	max    int64
	policy Eviction
	log    int64 // reserved for the log's window
	late   int64 // what a shard may charge late
	err    error // why there can be no writes

	used atomic.Int64  // what was charged, or acquired
	next atomic.Uint32 // the shard that is next to give something

	// credit is what may be taken though the bound is passed, because more than that was
	// freed for it: a store that has followed comes down step by step.
	credit atomic.Int64
}

// newMemory returns what bounds a new table, or nil if nothing does.
func (s *Store) newMemory(shards int) *memory {
	if s.maxBytes <= 0 {
		return nil
	}
	m := &memory{store: s, max: s.maxBytes, policy: s.eviction, late: s.maxBytes / lateShare / int64(shards)}
	if window := s.opts.MaxBytes; window > 0 {
		m.log = window + window/logSlack
	} else if window == 0 {
		m.log = backlog.DefaultMaxBytes + backlog.DefaultMaxBytes/logSlack
	}
	m.used.Store(int64(shards) * int64(unsafe.Sizeof(shard{})))
	switch {
	case s.maxBytes < MinMaxBytes, s.maxBytes-m.log < MinMaxBytes/2:
		m.err = &InvalidError{Field: "Options.MaxBytes", Value: s.maxBytes, Want: fmt.Sprintf("at least %d, and half of that beside the log", int64(MinMaxBytes))}
	case s.eviction > EvictTTL:
		m.err = &InvalidError{Field: "Options.Eviction", Value: s.eviction, Want: wantEviction}
	}
	return m
}

// boundedShards returns the number of shards of a new table.
func boundedShards(maxBytes int64) int {
	shards := tableShards
	for maxBytes > 0 && shards > leastShards && int64(shards)*shardBytes > maxBytes {
		shards /= 2
	}
	return shards
}

// room returns how many bytes are left, which may be less than none.
func (m *memory) room() int64 { return m.max - m.max/moveShare - m.log - m.used.Load() }

// tight reports whether writers should evict a little.
func (m *memory) tight() bool { return m.room() < m.max/headShare }

// acquire takes n bytes, if there are that many. The log may hold more than was
// reserved for it: records larger than its window.
func (m *memory) acquire(n int64) bool {
	limit := m.max - m.max/moveShare - max(m.log, m.store.log.HeldBytes())
	for used := m.used.Load(); used+n <= limit; used = m.used.Load() {
		if m.used.CompareAndSwap(used, used+n) {
			return true
		}
	}
	if m.spend(n) {
		m.used.Add(n)
		return true
	}
	return false
}

// spend takes n bytes from the credit.
func (m *memory) spend(n int64) bool {
	if m.credit.Load() < n {
		return false
	}
	if m.credit.Add(-n) < 0 {
		m.credit.Add(n)
		return false
	}
	return true
}

// fits returns ErrTooLarge for what could not be taken if there were nothing else.
func (m *memory) fits(need int64) error {
	if need > m.max-m.max/moveShare-m.log-int64(leastShards*unsafe.Sizeof(shard{})) {
		return fmt.Errorf("%w: takes %d bytes, Options.MaxBytes is %d", ErrTooLarge, need, m.max)
	}
	return nil
}

// A footprint is what a shard takes besides itself, in bytes. The shard's lock guards it.
type footprint struct {
	table    int64 // segments and directories
	slabs    int64
	dated    int64 // deadlines
	retained int64 // what only frozen views still need
	late     int64 // of all that, not yet charged
	acquired int64 // by the write that is under way
}

// charge adds n bytes to a part of the shard's footprint, or takes them away.
func (sh *shard) charge(part *int64, n int64) {
	*part += n
	if m := sh.mem; m != nil {
		f := &sh.mu.bytes
		if f.late += n; f.late >= m.late || f.late <= -m.late {
			m.used.Add(f.late)
			f.late = 0
		}
	}
}

// chargeCleared charges the removal of everything in the shard.
func (sh *shard) chargeCleared() {
	f := &sh.mu.bytes
	kept := f.table + f.slabs
	sh.charge(&f.table, -f.table)
	sh.charge(&f.slabs, -f.slabs)
	sh.charge(&f.dated, -f.dated)
	if sh.mu.freezes > 0 {
		sh.charge(&f.retained, kept)
	}
}

// chargeReplaced charges a part of the table, of so many bytes, and takes away the one
// that it replaces, which a frozen view may still need.
func (sh *shard) chargeReplaced(fresh, old int64) {
	f := &sh.mu.bytes
	sh.charge(&f.table, fresh-old)
	if sh.mu.freezes > 0 {
		sh.charge(&f.retained, old)
	}
}

// chargeDeadlines charges the deadlines that there are now.
func (sh *shard) chargeDeadlines() {
	f, n := &sh.mu.bytes, int64(0)
	if tree := sh.mu.deadlines.tree; tree != nil {
		n = int64(tree.Len()) * deadlineBytes
	}
	if n != f.dated {
		sh.charge(&f.dated, n-f.dated)
	}
}

// slabBytes returns what a slab takes, with what the allocator adds: classes of up to an
// eighth more, and whole pages above 32 KiB.
func slabBytes(n int) int64 {
	unit := 64
	switch {
	case n > 32<<10:
		unit = 8 << 10
	case n&(n-1) == 0:
		unit = 1
	default:
		for unit*16 <= n {
			unit *= 2
		}
	}
	return int64((n+unit-1)/unit*unit) + slabCost
}

// bytes returns what a segment takes.
func (s *segment) bytes() int64 {
	if len(s.groups) == 0 {
		return 0
	}
	return int64(cap(s.groups))*int64(unsafe.Sizeof(group{})) + int64(unsafe.Sizeof(*s))
}

// bytes returns what a directory takes, without its segments.
func (d *directory) bytes() int64 {
	if d == noKeys {
		return 0
	}
	return int64(len(d.segments))*int64(unsafe.Sizeof(d.segments[0])+unsafe.Sizeof(d.first[0])) + int64(unsafe.Sizeof(*d))
}
