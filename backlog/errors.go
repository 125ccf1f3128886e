package backlog

import "errors"

// Errors of a [Reader]: it has to start over elsewhere.
var (
	// ErrTrimmed is returned for an offset that the log no longer holds. The
	// reader was outrun, or asked too late.
	ErrTrimmed = errors.New("backlog: offset is no longer held")

	// ErrAhead is returned for an offset past the log's end.
	ErrAhead = errors.New("backlog: offset is past the end")

	// ErrBoundary is returned for an offset that lies inside a record.
	ErrBoundary = errors.New("backlog: offset is inside a record")

	// ErrReset is returned to readers of a log whose contents were replaced, by
	// [Log.Adopt] or [Log.Restart]: what they have read is not continued here.
	ErrReset = errors.New("backlog: log was replaced")
)

// Errors of an append, of an occupation and of decoding.
var (
	// ErrPosition is returned by [Log.AppendAt] when the records do not follow
	// the log's end: a gap, a repetition or another history.
	ErrPosition = errors.New("backlog: records do not continue the log")

	// ErrRecord is returned for bytes that are not a well-framed record.
	ErrRecord = errors.New("backlog: malformed record")

	// ErrOccupied is returned by [Log.Occupy] while somebody else occupies the log.
	ErrOccupied = errors.New("backlog: log is occupied by another")

	// ErrText is returned when a text or a binary form does not decode to a
	// [History], a [Position], an [Epoch], a [Lineage], a [Sum] or a [Refusal].
	ErrText = errors.New("backlog: malformed text")
)
