package kv

import (
	"github.com/emberkv/ember/backlog"
)

// A source reads a store's log for watchers and decodes it: no further than to where
// everything is applied and can be read from the store. It is for one goroutine.
type source struct {
	store  *Store
	reader *backlog.Reader

	history backlog.History
	at      int64  // where rest begins
	rest    []byte // was read and is not decoded
}

// next returns what follows in the log, or nil when there is nothing that is visible.
// It never blocks for longer than a write, but to read the journal's files when the log does
// not reach back. It returns [ErrClosed], a [*RecordError],
// [backlog.ErrTrimmed] and [backlog.ErrReset].
func (c *source) next() (*stretch, error) {
	if len(c.rest) == 0 {
		if err := c.read(); err != nil || len(c.rest) == 0 {
			return nil, err
		}
	}
	b, rest, err := decodeStretch(c.history, c.at, c.rest)
	if err != nil {
		return nil, err
	}
	c.at, c.rest = b.end(), rest
	return b, nil
}

func (c *source) read() error {
	limit, err := c.store.visible(c.reader.Offset())
	if err != nil {
		return err
	}
	// What is read now was written by now, so the lineage has the history in which
	// it was; it belongs to these contents, or else Next returns ErrReset.
	at, lineage := c.reader.Offset(), c.store.log.Lineage()
	if fork, ok := lineage.NextFork(at); ok {
		limit = min(limit, fork)
	}
	if c.rest, err = c.reader.Next(limit); err != nil {
		return err
	}
	c.at, c.history = at, lineage.At(at).Current
	return nil
}

// visible returns an offset of the log up to which everything is visible in the store.
// It is not above what was asked for when nothing is visible behind that.
func (s *Store) visible(behind int64) (int64, error) {
	for {
		t := s.table.Load()
		if t == nil {
			return 0, ErrClosed
		}
		repairs := t.repairs.Load()
		// In this order; see reached.
		end := s.log.End()
		limit := min(end, s.applying.Load())
		if limit <= behind {
			return limit, nil
		}
		t.pass()
		// Contents that are being exchanged hold all locks of the old table until
		// the new one is in place, and applying was set before. So if the table is
		// still the same one, end and applying belonged together. A repair of the same
		// table holds them, too.
		if s.table.Load() == t && t.repairs.Load() == repairs {
			return limit, nil
		}
	}
}
