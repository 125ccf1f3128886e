package kv

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"github.com/emberkv/ember/rdb"
)

// Dump hands the store's contents to w, for a full copy to another node. It asks w
// which shard is next, captures that one under its lock, a matter of microseconds,
// and encodes it while the store goes on; on all cores, each with a shard of its
// own. So each shard stands at a different offset of the log, which its first
// block names, and w sends the log along to bring all of them to the footer's.
//
// It returns w's first error, ctx.Err, [ErrReplaced], [ErrClosed], or an
// [*InvalidError] if w asks for a shard that does not exist.
func (s *Store) Dump(ctx context.Context, w rdb.BlockWriter) error {
	t := s.table.Load()
	if t == nil {
		return ErrClosed
	}
	d := dump{s, t, t.repairs.Load()}
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
			if err := d.shard(i, &enc); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return d.end(w)
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
	// Records that Apply has logged and not applied would be counted as had.
	s.apply.Lock()
	defer s.apply.Unlock()
	h.Lineage = s.log.Lineage()
	for h.Position = s.log.Position(); h.Position.History != h.Lineage.Current; h.Position = s.log.Position() {
		h.Lineage = s.log.Lineage() // it forked in between
	}
	return h
}

// A dump is of one table, as long as that is the store's and in the same history.
type dump struct {
	store   *Store
	table   *table
	repairs int64 // of the table, when it began
}

// shard captures and encodes one shard.
func (d *dump) shard(i int, enc *encoder) error {
	if i < 0 || i >= len(d.table.shards) {
		return &InvalidError{Field: "shard", Value: i, Want: fmt.Sprintf("0 to %d", len(d.table.shards)-1)}
	}
	f, end, err := d.capture(&d.table.shards[i])
	if err != nil {
		return err
	}
	entries := f.list(&enc.worker)
	f.release()
	return enc.encode(entries, i, end)
}

// capture returns a view of a shard and the offset in the log for which it stands. All
// records up to there that touch the shard are in it, and none after: a writer of this
// store logs and publishes under the shard's lock, and Apply, which logs first and
// applies afterwards, is kept out. To say a lower offset, that of what is applied, would
// not do: the receiver may have been sent the log up to its end already.
func (d *dump) capture(sh *shard) (f *frozen, end int64, err error) {
	s := d.store
	s.apply.Lock()
	defer s.apply.Unlock()
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if err := errors.Join(d.still(), s.damaged()); err != nil {
		return nil, 0, err
	}
	return sh.freeze(), s.log.End(), nil
}

// end closes a dump with what the receiver has to find.
func (d *dump) end(w rdb.BlockWriter) error {
	digest, err := d.digest()
	if err != nil {
		return err
	}
	return w.End(rdb.Footer{Position: digest.Position, Keys: digest.Keys, Sum: digest.Sum})
}

func (d *dump) digest() (Digest, error) {
	s := d.store
	s.apply.Lock()
	defer s.apply.Unlock()
	locked := s.lockAll()
	if locked != nil {
		defer locked.unlock()
	}
	if err := errors.Join(d.still(), s.damaged()); err != nil {
		return Digest{}, err
	}
	return s.digestLocked(d.table), nil
}

// still returns an error if the dump's contents are not the store's any more.
func (d *dump) still() error {
	switch now := d.store.table.Load(); {
	case now == nil:
		return ErrClosed
	case now != d.table || now.repairs.Load() != d.repairs:
		return fmt.Errorf("%w: at %s", ErrReplaced, d.store.log.Position())
	}
	return nil
}
