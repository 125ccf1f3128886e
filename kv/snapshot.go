package kv

import (
	"io"
	"iter"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/internal/keytree"
	"github.com/emberkv/ember/rdb"
)

// A Snapshot is a store's contents at one moment, exactly. Writers go on: while a
// snapshot is open, each copies the part of the table that it is about to change,
// once, and overwritten entries keep their memory. Close it. Its methods may be
// called concurrently.
type Snapshot struct {
	digest  Digest
	lineage backlog.Lineage
	seed    uint64
	bytes   int64
	now     int64 // the store's clock
	visible int64 // keys whose deadline had not passed
	shift   uint  // of a hash, to get the view's number
	views   []*frozen
	index   *index // nil when there is none
	order   keytree.View

	mu struct {
		sync.Mutex
		closed bool
		users  int // who reads the views now; the last one after Close releases them
	}
}

// Snapshot returns the store's contents as they are now. It holds up writers for
// microseconds, however large the store is. At [Options.MaxBytes] what it holds cannot be
// freed: once there is nothing else to evict, writes that need memory return [ErrFull]
// until it is closed. If the store is to take writes meanwhile, take snapshots on a
// replica, or leave room for them. Snapshot returns [ErrClosed], and [ErrDamaged] for
// contents that are not those of any position.
func (s *Store) Snapshot() (*Snapshot, error) {
	s.apply.Lock()
	defer s.apply.Unlock()
	if err := s.damaged(); err != nil {
		return nil, err
	}
	t := s.lockAll()
	if t == nil {
		return nil, ErrClosed
	}
	defer t.unlock()
	keys, sum, bytes := t.totalsLocked()
	n := &Snapshot{
		lineage: s.log.Lineage(),
		seed:    t.seed,
		shift:   t.shift,
		bytes:   bytes,
		now:     s.clock.now(),
		visible: keys,
		views:   make([]*frozen, len(t.shards)),
	}
	// A fork may happen at any time, but it moves no offset: with all shards
	// locked the offset is that of the contents in either history.
	n.digest = Digest{Sum: sum, Keys: keys, Position: backlog.Position{History: n.lineage.Current, Offset: s.log.End()}}
	for i := range t.shards {
		n.views[i] = t.shards[i].freeze()
		n.visible -= t.shards[i].mu.deadlines.passed(n.now)
	}
	if n.index = t.index; n.index != nil {
		n.order = n.index.freeze()
	}
	return n, nil
}

// Position returns the position in the log that the snapshot stands for.
func (n *Snapshot) Position() backlog.Position { return n.digest.Position }

// Digest returns the digest of the snapshot's entries.
func (n *Snapshot) Digest() Digest { return n.digest }

// Len returns the number of keys that All yields.
func (n *Snapshot) Len() int { return int(n.visible) }

// Get returns the value that a key had when the snapshot was taken, a slice of the store's memory
// like that of [Store.Get]. It returns [ErrNotFound], and [ErrClosed] after Close.
func (n *Snapshot) Get(key string) ([]byte, error) {
	if !n.enter() {
		return nil, ErrClosed
	}
	defer n.leave()
	var e entry
	if !n.find(n.hash(key), key, &e) {
		return nil, ErrNotFound
	}
	return e.value, nil
}

// All returns an iterator over the keys and values, in no particular order, as
// [Store.All] does. Keys whose deadline had passed when the snapshot was taken are not shown. Keys and
// values are slices of the store's memory, as [Store.Get] returns them. After Close
// there is nothing to see; a loop that has begun goes on to its end.
func (n *Snapshot) All() iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		if !n.enter() {
			return
		}
		defer n.leave()
		for _, f := range n.views {
			more := true
			f.list(nil).records(func(record []byte) bool {
				e := parseEntry(record)
				if e.deadline == 0 || e.deadline > n.now {
					more = yield(text(e.key), e.value)
				}
				return more
			})
			if !more {
				return
			}
		}
	}
}

// WriteTo writes the snapshot to w, in the format that [rdb.NewReader] and
// [Store.Restore] read, and returns the number of bytes. It includes keys whose
// deadline had passed. It encodes on as many cores as there are, and writes from one
// goroutine at a time. It returns w's error, or [ErrClosed].
func (n *Snapshot) WriteTo(w io.Writer) (int64, error) {
	return n.WriteCompressed(w, rdb.None)
}

// WriteCompressed is WriteTo for a snapshot that is compressed, on the cores that
// encode it. It is read like any other. It also returns an error for a compression
// that package rdb does not have.
func (n *Snapshot) WriteCompressed(w io.Writer, c rdb.Compression) (int64, error) {
	if !n.enter() {
		return 0, ErrClosed
	}
	defer n.leave()
	counted := &countingWriter{w: w}
	err := n.write(counted, c)
	return counted.n, err
}

func (n *Snapshot) write(w io.Writer, c rdb.Compression) error {
	out, err := rdb.NewCompressedWriter(w, rdb.Header{
		Position:      n.digest.Position,
		Lineage:       n.lineage,
		Seed:          n.seed,
		Shards:        len(n.views),
		RecordVersion: rdb.RecordVersion,
		Keys:          n.digest.Keys,
		Bytes:         n.bytes,
	}, c)
	if err != nil {
		return err
	}
	var next atomic.Int64
	err = inParallel(runtime.GOMAXPROCS(0), func(failed func() bool) error {
		enc := encoder{write: out.WriteBlock}
		for {
			i := int(next.Add(1)) - 1
			if i >= len(n.views) || failed() {
				return nil
			}
			if err := enc.encode(n.views[i].list(&enc.worker), i, n.digest.Position.Offset); err != nil {
				return err
			}
		}
	})
	if err != nil {
		return err
	}
	return out.Close(rdb.Footer{Position: n.digest.Position, Keys: n.digest.Keys, Sum: n.digest.Sum})
}

// Close lets go of the snapshot. Iterations and WriteTo calls that have begun
// go on. Close may be called again, and returns nil.
func (n *Snapshot) Close() error {
	n.mu.Lock()
	last := !n.mu.closed && n.mu.users == 0
	n.mu.closed = true
	n.mu.Unlock()
	if last {
		n.release()
	}
	return nil
}

// enter begins to read the views. It returns false after Close.
func (n *Snapshot) enter() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.mu.closed {
		return false
	}
	n.mu.users++
	return true
}

func (n *Snapshot) leave() {
	n.mu.Lock()
	n.mu.users--
	last := n.mu.closed && n.mu.users == 0
	n.mu.Unlock()
	if last {
		n.release()
	}
}

func (n *Snapshot) release() {
	for _, f := range n.views {
		f.release()
	}
	n.views = nil
	if n.index != nil {
		n.index.release()
		n.order = keytree.View{}
	}
}

// A countingWriter counts what is written.
type countingWriter struct {
	w io.Writer
	n int64
}

func (c *countingWriter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}
