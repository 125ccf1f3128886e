package backlog

import (
	"encoding/binary"
	"fmt"
)

// MaxForks is how many earlier histories a [Lineage] remembers. Redis remembers
// one, so that two promotions in quick succession cost everybody a full copy.
const MaxForks = 32

// A Fork is an earlier history and where it was left.
type Fork struct {
	History History `json:"history"`
	End     int64   `json:"end"` // offset of the first byte that belongs to the next history
}

// A Lineage says how a log came to be: its history, and those before it. The
// first byte of the current history is at Earlier[0].End, or at 0.
type Lineage struct {
	Current History `json:"current"`
	Epoch   Epoch   `json:"epoch"`             // in which Current began, if known; see [Lineage.At]
	Earlier []Fork  `json:"earlier,omitempty"` // newest first, at most MaxForks, ends never rising
}

// Fork returns the lineage of a log that leaves l's current history at offset
// at and goes on as next, in the same epoch. It shares no memory with l.
func (l Lineage) Fork(next History, at int64) Lineage {
	kept := l.Earlier[:min(len(l.Earlier), MaxForks-1)]
	return Lineage{Current: next, Epoch: l.Epoch, Earlier: append([]Fork{{History: l.Current, End: at}}, kept...)}
}

// Knows reports whether h is the current history of l or an earlier one.
func (l Lineage) Knows(h History) bool {
	_, ok := l.end(h, 0)
	return ok
}

// end returns the offset where history h ended in l; for the current history
// that is the end of the log.
func (l Lineage) end(h History, logEnd int64) (int64, bool) {
	if h == l.Current {
		return logEnd, true
	}
	for _, f := range l.Earlier {
		if f.History == h {
			return f.End, true
		}
	}
	return 0, false
}

// Common returns the last offset up to which a log with lineage l that ends at
// end and one with lineage other that ends at otherEnd hold the same records.
// It returns false when they have no history in common, as far as they
// remember.
func (l Lineage) Common(end int64, other Lineage, otherEnd int64) (int64, bool) {
	// A history has one beginning, so the newest one that both know decides:
	// whatever precedes it is the same on both sides.
	if mine, ok := l.end(other.Current, end); ok {
		return min(mine, otherEnd), true
	}
	for _, f := range other.Earlier {
		if mine, ok := l.end(f.History, end); ok {
			return min(mine, f.End), true
		}
	}
	return 0, false
}

// Validate returns [ErrText] unless l could have come from a log that ends at
// end: a current history, no history twice, ends that never rise, no offset
// beyond [MaxOffset], and a valid epoch or none.
func (l Lineage) Validate(end int64) error {
	if l.Current.IsZero() || end < 0 || end > MaxOffset || len(l.Earlier) > MaxForks {
		return fmt.Errorf("%w: lineage of %d histories at offset %d", ErrText, 1+len(l.Earlier), end)
	}
	if err := l.Epoch.Validate(); err != nil {
		return err
	}
	seen := map[History]bool{l.Current: true}
	for _, f := range l.Earlier {
		if f.History.IsZero() || seen[f.History] || f.End < 0 || f.End > end {
			return fmt.Errorf("%w: history %s cannot end at %d", ErrText, f.History, f.End)
		}
		seen[f.History] = true
		end = f.End
	}
	return nil
}

// AppendBinary appends the binary form of l to dst: the current history, the epoch, one
// byte with the number of earlier histories, and for each its 16 bytes and its end as 8
// bytes, little endian. It never fails; if there are more than [MaxForks] it writes the
// newest.
func (l Lineage) AppendBinary(dst []byte) ([]byte, error) {
	earlier := l.Earlier[:min(len(l.Earlier), MaxForks)]
	dst = append(dst, l.Current[:]...)
	dst, _ = l.Epoch.AppendBinary(dst)
	dst = append(dst, byte(len(earlier)))
	for _, f := range earlier {
		dst = append(dst, f.History[:]...)
		dst = binary.LittleEndian.AppendUint64(dst, uint64(f.End))
	}
	return dst, nil
}

// CutLineage reads what [Lineage.AppendBinary] wrote from the front of b and
// returns the rest. It returns [ErrText] when b is too short or the result is
// not valid for a log that ends at end.
func CutLineage(b []byte, end int64) (l Lineage, rest []byte, err error) {
	const count, each = len(History{}) + EpochBytes, 24
	if len(b) <= count || int(b[count]) > MaxForks || len(b) <= count+int(b[count])*each {
		return Lineage{}, nil, fmt.Errorf("%w: lineage in %d bytes", ErrText, len(b))
	}
	n := int(b[count])
	copy(l.Current[:], b)
	if l.Epoch, _, err = CutEpoch(b[len(l.Current):]); err != nil {
		return Lineage{}, nil, err
	}
	b = b[count+1:]
	for range n {
		f := Fork{End: int64(binary.LittleEndian.Uint64(b[16:]))}
		copy(f.History[:], b)
		l.Earlier = append(l.Earlier, f)
		b = b[each:]
	}
	if err := l.Validate(end); err != nil {
		return Lineage{}, nil, err
	}
	return l, b, nil
}
