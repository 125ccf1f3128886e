package backlog

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"sync"
	"sync/atomic"

	"github.com/emberkv/ember/internal/giveway"
)

// A Sum is a running hash of a log: of its bytes from the offset From up to the one
// for which the Sum was asked. Two logs whose Sums over the same bytes differ do
// not hold the same records there, whatever their lineages say: a node has gone on
// in a history after a crash that took a part of it, or two nodes have written in
// the same one. A Sum from an offset to itself says nothing.
//
// Value is two checksums, CRC-32C in the upper half and CRC-32 (IEEE) in the lower, so
// that it does not depend on the pieces in which the bytes came, and processors have
// instructions for it. It guards against accidents; whoever can choose the bytes can forge
// it.
type Sum struct {
	From  int64  `json:"from"`
	Value uint64 `json:"value"`
}

// SumBytes is the length of the binary form of a [Sum].
const SumBytes = 16

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Add returns the sum of the bytes that s is of, followed by b.
func (s Sum) Add(b []byte) Sum {
	upper := crc32.Update(uint32(s.Value>>32), castagnoli, b)
	lower := crc32.Update(uint32(s.Value), crc32.IEEETable, b)
	s.Value = uint64(upper)<<32 | uint64(lower)
	return s
}

// AppendBinary appends the binary form of s to dst: From and Value, 8 bytes each,
// little endian. It never fails.
func (s Sum) AppendBinary(dst []byte) ([]byte, error) {
	dst = binary.LittleEndian.AppendUint64(dst, uint64(s.From))
	return binary.LittleEndian.AppendUint64(dst, s.Value), nil
}

// CutSum reads what [Sum.AppendBinary] wrote from the front of b and returns the rest.
// It returns [ErrText] when b is too short, or when the result cannot be a sum up to
// offset end.
func CutSum(b []byte, end int64) (s Sum, rest []byte, err error) {
	if len(b) < SumBytes {
		return Sum{}, nil, fmt.Errorf("%w: sum in %d bytes", ErrText, len(b))
	}
	s = Sum{From: int64(binary.LittleEndian.Uint64(b)), Value: binary.LittleEndian.Uint64(b[8:])}
	if s.From < 0 || s.From > end || s.From == end && s.Value != 0 {
		return Sum{}, nil, fmt.Errorf("%w: sum from %d to %d", ErrText, s.From, end)
	}
	return s, b[SumBytes:], nil
}

// A Confirmation is what a log can say about another's [Sum].
type Confirmation uint8

const (
	// Unknown means that the log does not know the sum of these bytes.
	Unknown Confirmation = iota
	// Confirmed means that the bytes are the same.
	Confirmed
	// Differs means that they are not.
	Differs
)

// sumEvery is how many bytes a log that is read or that follows may be ahead of its sum.
// So many are summed at once while they are still in a cache; it also bounds what is left
// to do when a sum is asked for.
const sumEvery = maxChunkBytes

// sums is the running hash of some contents. It is nothing to a writer: whoever sums is the
// first reader that has come sumEvery bytes further, a follower's AppendAt, and whoever
// asks. If nobody does for a whole window, bytes are gone before they were summed, and the
// sum begins anew behind them.
type sums struct {
	mu struct {
		sync.Mutex // before Log.mu; held for as long as it takes to read a window, at most
		sum        Sum
		given      mark // what was set, or where the sum begins
	}
	at atomic.Int64 // how far sum has come; stored under mu
}

// A mark is the sum up to an offset.
type mark struct {
	at  int64
	sum Sum
}

func (s *sums) setLocked(m mark) {
	s.mu.sum, s.mu.given = m.sum, m
	s.at.Store(m.at)
}

// keepUp sums what there is up to offset, if that is much, and nobody is at it.
func (h *contents) keepUp(offset int64) {
	if offset-h.sums.at.Load() < sumEvery || !h.sums.mu.TryLock() {
		return
	}
	defer h.sums.mu.Unlock()
	h.advanceLocked(offset)
}

// advanceLocked brings the sum up to offset to, which must not be beyond the end, and
// leaves a mark in each chunk that it comes through. A window is twenty milliseconds' work: it
// gives way to others in between.
func (h *contents) advanceLocked(to int64) {
	s := &h.sums
	var worker giveway.Worker
	since := 0 // bytes since it gave way
	for at := s.at.Load(); at < to; at = s.at.Load() {
		if since > sumEvery {
			worker.GiveWay()
			since = 0
		}
		c, _ := h.seek(at)
		if c == nil { // trimmed before it was summed
			first := h.first.Load()
			if first <= at {
				return // it was emptied: there will be no more
			}
			s.setLocked(mark{first, Sum{From: first}})
			continue
		}
		if c.base == at {
			c.sum, c.summed = s.mu.sum, true
		}
		end := min(c.end(), to)
		s.mu.sum = s.mu.sum.Add(c.buf[at-c.base : end-c.base])
		s.at.Store(end)
		since += int(end - at)
	}
}

// sum returns the sum up to offset.
func (h *contents) sum(offset int64) (Sum, error) {
	h.sums.mu.Lock()
	defer h.sums.mu.Unlock()
	c, err := h.seek(offset)
	if err != nil {
		return Sum{}, err
	}
	at := h.sums.at.Load()
	if offset >= at {
		if h.advanceLocked(offset); h.sums.at.Load() == offset {
			return h.sums.mu.sum, nil
		}
		return Sum{}, ErrTrimmed // meanwhile
	}
	if c == nil { // it was emptied meanwhile
		return Sum{}, ErrTrimmed
	}
	m := h.sums.mu.given
	if c.summed && (m.at <= c.base || m.at > offset) {
		m = mark{c.base, c.sum}
	}
	if m.at < c.base || m.at > offset {
		return Sum{}, fmt.Errorf("%w: sum up to %d", ErrTrimmed, offset)
	}
	return m.sum.Add(c.buf[m.at-c.base : offset-c.base]), nil
}

// Sum returns the running hash of the log up to offset, which need not be between two
// records. It takes as long as reading what was not summed yet: at most a quarter of a MiB
// of a log that is followed, or follows, else perhaps a window. It holds up no writer.
//
// It returns [ErrAhead], and [ErrTrimmed] for an offset that is no longer held or whose
// sum is not known, for example because it is below a position that was given to SetSum.
func (l *Log) Sum(offset int64) (Sum, error) { return l.held.Load().sum(offset) }

// SetSum tells the log the sum up to offset. A log that got its state from another node,
// or from a disk, begins at an offset and knows nothing of what was before. It returns
// [ErrAhead], [ErrTrimmed], or [ErrText] for a sum that cannot be one up to there.
func (l *Log) SetSum(offset int64, s Sum) error {
	if s.From < 0 || s.From > offset {
		return fmt.Errorf("%w: sum from %d to %d", ErrText, s.From, offset)
	}
	h := l.held.Load()
	h.sums.mu.Lock()
	defer h.sums.mu.Unlock()
	if _, err := h.seek(offset); err != nil {
		return err
	}
	h.sums.setLocked(mark{offset, s})
	return nil
}

// Confirm compares the sum of another log up to offset with this one's. It knows the
// answer if both sums begin at the same offset, before the given one.
func (l *Log) Confirm(offset int64, theirs Sum) Confirmation {
	ours, err := l.Sum(offset)
	if err != nil {
		return Unknown
	}
	return ours.confirm(offset, theirs)
}

// confirm compares two sums up to offset.
func (s Sum) confirm(offset int64, theirs Sum) Confirmation {
	switch {
	case s.From != theirs.From || s.From == offset:
		return Unknown
	case s != theirs:
		return Differs
	}
	return Confirmed
}
