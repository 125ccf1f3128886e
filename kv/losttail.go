package kv

import (
	"iter"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/rdb"
)

// A LostTail is what a store had beyond the point at which its history parted from that
// of the node that it follows now. It was written here, and perhaps acknowledged, when
// another node was promoted without it. The state that takes its place does not have it.
// See Options.OnLostTail.
type LostTail struct {
	// From is the last position that both have passed, and To the end of this store's
	// log. From is zero if they have no history in common, or if they have one and still
	// hold different bytes in it: nobody knows since when.
	From, To backlog.Position

	// Complete says that Events has everything between From and To. Otherwise the
	// log's window did not reach back so far, and Events begins later.
	Complete bool

	// Events are the changes in the order of the log, none of them Last. They share
	// memory with the log, as those of [Store.Watch] do, and may be iterated over
	// only before OnLostTail returns.
	Events iter.Seq[Event]
}

// reportLostTail calls OnLostTail if there is something in the log that one with
// lineage theirs, which ends at end, does not have.
func (s *Store) reportLostTail(theirs backlog.Lineage, end int64) {
	mine, to := s.log.Lineage(), s.log.End()
	common, ok := mine.Common(to, theirs, end)
	switch {
	case ok && common < to:
		s.reportLost(backlog.Position{History: mine.At(common).Current, Offset: common})
	case !ok && to > 0:
		s.reportLost(backlog.Position{})
	}
}

// reportLost calls OnLostTail with what is in the log behind from.
func (s *Store) reportLost(from backlog.Position) {
	f := s.onLostTail
	if f == nil {
		return
	}
	t := LostTail{From: from, To: s.log.Position()}
	first := max(from.Offset, s.log.Window().First)
	t.Complete = first == from.Offset
	t.Events = s.tail(s.log.Lineage(), first, t.To.Offset)
	f(t)
}

// tail returns an iterator over the changes in the log from first to end, as far as it
// holds them.
func (s *Store) tail(lineage backlog.Lineage, first, end int64) iter.Seq[Event] {
	return func(yield func(Event) bool) {
		r, err := s.log.NewReader(first)
		if err != nil {
			return // trimmed meanwhile
		}
		defer r.Close()
		for {
			at, limit := r.Offset(), end
			if fork, ok := lineage.NextFork(at); ok {
				limit = min(limit, fork)
			}
			records, err := r.Next(limit)
			if err != nil {
				return
			}
			if len(records) == 0 {
				return
			}
			if !yieldRecords(lineage.At(at).Current, at, records, yield) {
				return
			}
		}
	}
}

// yieldRecords decodes records of one history that begin at offset at.
func yieldRecords(history backlog.History, at int64, records []byte, yield func(Event) bool) bool {
	for len(records) > 0 {
		b, rest, err := decodeStretch(history, at, records)
		if err != nil {
			return false // not logged by this version
		}
		for i := range b.items {
			if !yield(b.event(&b.items[i])) {
				return false
			}
		}
		at, records = b.end(), rest
	}
	return true
}

// leave reports what is lost when the state that next describes takes the place of the
// present one.
func (s *Store) leave(next rdb.Header) {
	if !next.Lineage.Current.IsZero() {
		s.reportLostTail(next.Lineage, next.Position.Offset)
	}
}
