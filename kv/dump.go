package kv

import (
	"context"
	"fmt"
	"runtime"

	"github.com/emberkv/ember/rdb"
)

// Dump hands the store's contents to w, for a full copy to another node. It asks
// w which shard is next, captures that one under its lock, a matter of
// microseconds, and encodes it while the store goes on; on as many cores as there
// are, each with a shard of its own. So each shard stands at another offset of the
// log, which its first block names, and w sends the log along to bring all of them
// to the one of the footer.
//
// It returns w's first error, ctx.Err, [ErrReplaced], [ErrClosed], or an
// [*InvalidError] for a shard that w asked for and that there is none of.
func (s *Store) Dump(ctx context.Context, w rdb.BlockWriter) error {
	t := s.table.Load()
	if t == nil {
		return ErrClosed
	}
	if err := w.Begin(s.header(t)); err != nil {
		return err
	}
	workers := min(runtime.GOMAXPROCS(0), len(t.shards))
	err := inParallel(workers, func(failed func() bool) error {
		enc := encoder{write: func(b *rdb.Block) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return w.WriteBlock(b)
		}}
		for !failed() {
			if err := ctx.Err(); err != nil {
				return err
			}
			i, ok := w.Next()
			if !ok {
				return nil
			}
			if err := s.dumpShard(t, i, &enc); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.endDump(t, w)
}

// header returns the header of a dump that begins now.
func (s *Store) header(t *table) rdb.Header {
	h := rdb.Header{Seed: t.seed, Shards: len(t.shards), RecordVersion: rdb.RecordVersion}
	for i := range t.shards {
		m := &t.shards[i].mu
		m.Lock()
		h.Keys += m.keys
		h.Bytes += m.arena.used - m.arena.dead
		m.Unlock()
	}
	h.Lineage = s.log.Lineage()
	for h.Position = s.log.Position(); h.Position.History != h.Lineage.Current; h.Position = s.log.Position() {
		h.Lineage = s.log.Lineage() // it forked in between
	}
	// What Apply has logged and not applied has to go with the log. The end is
	// read first; see reached.
	h.Position.Offset = min(h.Position.Offset, s.applying.Load())
	return h
}

// dumpShard captures and encodes one shard.
func (s *Store) dumpShard(t *table, i int, enc *encoder) error {
	if i < 0 || i >= len(t.shards) {
		return &InvalidError{Field: "shard", Value: i}
	}
	sh := &t.shards[i]
	sh.mu.Lock()
	if err := s.still(t); err != nil {
		sh.mu.Unlock()
		return err
	}
	f := sh.freeze()
	// All records up to here that touch the shard are in it: a writer logs and
	// publishes under this lock. Apply logs first and applies afterwards, so while
	// it is under way the capture stands where its records begin; those that are
	// in it already are applied twice, which does no harm.
	end := s.log.End()
	end = min(end, s.applying.Load())
	sh.mu.Unlock()
	defer f.release()
	return enc.encode(f, i, end)
}

// endDump closes a dump with what the receiver has to find.
func (s *Store) endDump(t *table, w rdb.BlockWriter) error {
	s.apply.Lock()
	locked := s.lockAll()
	if locked != t {
		if locked != nil {
			locked.unlock()
		}
		s.apply.Unlock()
		return s.still(t)
	}
	d := s.digestLocked(t)
	t.unlock()
	s.apply.Unlock()
	return w.End(rdb.Footer{Position: d.Position, Keys: d.Keys, Sum: d.Sum})
}

// still returns an error if t is not the store's table any more.
func (s *Store) still(t *table) error {
	switch now := s.table.Load(); now {
	case t:
		return nil
	case nil:
		return ErrClosed
	default:
		return fmt.Errorf("%w: at %s", ErrReplaced, s.log.Position())
	}
}
