package kv_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/rdb"
)

// A link is a full copy from one store to another within a test: the smallest correct
// rdb.BlockWriter. Blocks and log go to the loader interleaved, the pending log first.
type link struct {
	tb     testing.TB
	loader rdb.Loader
	log    *backlog.Log
	shards int
	breaks int // blocks until the connection breaks; 0 for never

	mu     sync.Mutex
	reader *backlog.Reader
	limits map[int]int64 // shards that are asked for and have not begun: how far log may go
	next   int
	done   rdb.ShardSet
	footer rdb.Footer
	blocks int
}

var errBroken = errors.New("connection broken")

// newLink begins a copy into loader, or goes on with one.
func newLink(tb testing.TB, from *kv.Store, shards int, loader rdb.Loader, at backlog.Position, done rdb.ShardSet) *link {
	r, err := from.Log().NewReader(at.Offset)
	must(tb, err)
	return &link{tb: tb, loader: loader, log: from.Log(), shards: shards, reader: r, limits: map[int]int64{}, done: done}
}

func (l *link) Begin(rdb.Header) error { return nil }

func (l *link) Next() (int, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for ; l.next < l.shards; l.next++ {
		if !l.done.Has(l.next) {
			// Nothing behind this may be sent before the shard has begun:
			// the loader would skip what the capture may not have.
			l.limits[l.next] = l.log.End()
			l.next++
			return l.next - 1, true
		}
	}
	return 0, false
}

func (l *link) WriteBlock(b *rdb.Block) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.blocks++; l.blocks == l.breaks {
		return errBroken
	}
	limit := l.log.End()
	for _, n := range l.limits {
		limit = min(limit, n)
	}
	if err := l.sendLog(limit); err != nil {
		return err
	}
	own := *b
	own.Data = append([]byte(nil), b.Data...)
	if err := l.loader.Block(&own); err != nil {
		return err
	}
	delete(l.limits, b.Shard)
	return nil
}

func (l *link) sendLog(limit int64) error {
	for {
		at := l.reader.Offset()
		records, err := l.reader.Next(limit)
		if err != nil || records == nil {
			return err
		}
		if err := l.loader.Records(at, records); err != nil {
			return err
		}
	}
}

func (l *link) End(f rdb.Footer) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.footer = f
	return l.sendLog(f.Position.Offset)
}

// header returns the header of a dump of s.
func header(tb testing.TB, s *kv.Store, shards int) rdb.Header {
	tb.Helper()
	return rdb.Header{
		Position: s.Position(), Lineage: s.Log().Lineage(),
		Seed: 1, Shards: shards, RecordVersion: rdb.RecordVersion,
	}
}

// dumpHeader returns the header that s begins a dump with.
func dumpHeader(tb testing.TB, s *kv.Store) (h rdb.Header) {
	tb.Helper()
	if err := s.Dump(tb.Context(), headerOnly{&h}); err != errBroken {
		tb.Fatal(err)
	}
	return h
}

type headerOnly struct{ h *rdb.Header }

func (w headerOnly) Begin(h rdb.Header) error  { *w.h = h; return errBroken }
func (headerOnly) Next() (int, bool)           { panic("not begun") }
func (headerOnly) WriteBlock(*rdb.Block) error { panic("not begun") }
func (headerOnly) End(rdb.Footer) error        { panic("not begun") }

// fullCopy copies from to to, which then follows.
func fullCopy(tb testing.TB, from, to *kv.Store) *follower {
	tb.Helper()
	to.SetFollower(true)
	h := dumpHeader(tb, from)
	loader, err := to.Load(h)
	must(tb, err)
	defer loader.Abort()
	l := newLink(tb, from, h.Shards, loader, h.Position, rdb.ShardSet{})
	must(tb, from.Dump(tb.Context(), l))
	must(tb, loader.Commit(l.footer))
	return follow(tb, from, to)
}
