package backlog

import (
	"fmt"
	"strconv"
	"strings"
)

// A Refusal says why a follower cannot go on from where it stands and needs a
// full copy. The zero Refusal is none: it may go on.
type Refusal uint8

const (
	// Accepted means that the follower's end is in the log.
	Accepted Refusal = iota
	// Empty means that the follower has nothing yet: it is at offset 0 of a
	// history of its own.
	Empty
	// OtherHistory means that no history is known to both.
	OtherHistory
	// AheadOfFork means that the follower has records that this log does not
	// have: it went on in a history that was left here at an earlier offset.
	AheadOfFork
	// Trimmed means that the log no longer holds the follower's end.
	Trimmed
	// InsideRecord means that the follower's end is not between two records.
	InsideRecord
	// OtherBytes means that the follower's end is in the log, but what precedes it is
	// not what this log has: their [Sum] differs. Continue, which knows no
	// sums, never says so.
	OtherBytes
)

var refusals = [...]string{
	Accepted:     "accepted",
	Empty:        "empty",
	OtherHistory: "other history",
	AheadOfFork:  "ahead of the fork",
	Trimmed:      "trimmed",
	InsideRecord: "inside a record",
	OtherBytes:   "other bytes",
}

// String returns the refusal in lower-case words.
func (r Refusal) String() string {
	if int(r) < len(refusals) {
		return refusals[r]
	}
	return fmt.Sprintf("Refusal(%d)", uint8(r))
}

// MarshalText returns what String returns, so that counters by refusal read as
// words on a status page.
func (r Refusal) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads what [Refusal.MarshalText] wrote. It returns [ErrText] for
// anything else.
func (r *Refusal) UnmarshalText(text []byte) error {
	for i, word := range refusals {
		if word == string(text) {
			*r = Refusal(i)
			return nil
		}
	}
	// What a later version calls by a name, this one calls by its number.
	digits, ok := strings.CutPrefix(string(text), "Refusal(")
	n, err := strconv.ParseUint(strings.TrimSuffix(digits, ")"), 10, 8)
	if !ok || err != nil || Refusal(n).String() != string(text) {
		return fmt.Errorf("%w: refusal %.40q", ErrText, text)
	}
	*r = Refusal(n)
	return nil
}

// Continue decides whether a follower with lineage f whose log ends at end can
// go on with the records of this log from there. If so it returns a reader at
// that offset and Accepted, else no reader and the reason.
//
// The rule: a follower continues if and only if its end is at or below the last offset up to which
// both lineages agree, and the log still holds it. Redis applies this to two histories, Continue to
// all that are remembered. An [Archive] is as good as the log's window; then Continue reads a disk,
// and the reader must be closed.
func (l *Log) Continue(f Lineage, end int64) (*Reader, Refusal) {
	// One set of contents for the question and the reader: if another is
	// adopted in between, the reader says so.
	h := l.held.Load()
	lineage, here := h.position()
	common, ok := lineage.Common(here.Offset, f, end)
	switch {
	case !ok && end == 0:
		return nil, Empty
	case !ok:
		return nil, OtherHistory
	case end > common:
		return nil, AheadOfFork
	}
	r, err := l.readerOf(h, end)
	if err == ErrTrimmed {
		r = &Reader{log: l, held: h, at: end, lineage: h.lineage.Load(), ready: make(chan struct{}, 1)}
		err = r.openPast()
	}
	switch err {
	case nil:
		return r, Accepted
	case ErrBoundary:
		return nil, InsideRecord
	}
	return nil, Trimmed
}
