package backlog

import (
	"fmt"
	"slices"
)

// At returns the lineage that a log has when it ends at offset end on its way
// along l: without the histories that begin beyond end, and without an epoch if
// the current history does, as those of earlier histories are not remembered. It
// shares memory with l.
func (l Lineage) At(end int64) Lineage {
	for len(l.Earlier) > 0 && l.Earlier[0].End > end {
		l = Lineage{Current: l.Earlier[0].History, Earlier: l.Earlier[1:]}
	}
	return l
}

// NextFork returns the first offset beyond end at which l goes over from one
// history to the next. It returns false when there is none.
func (l Lineage) NextFork(end int64) (int64, bool) {
	for i := len(l.Earlier) - 1; i >= 0; i-- {
		if l.Earlier[i].End > end {
			return l.Earlier[i].End, true
		}
	}
	return 0, false
}

// Extend takes over the lineage of a log that this one follows. The log must end where
// both agree: Extend returns [ErrPosition], and changes nothing, unless its end is on
// theirs. Records stay and readers go on; those that wait are woken: their followers
// should hear of a new history. The epoch becomes the higher of the two: it never
// falls.
func (l *Log) Extend(theirs Lineage) error {
	if err := l.extend(theirs); err != nil {
		return err
	}
	l.wakeAll()
	return nil
}

func (l *Log) extend(theirs Lineage) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.held.Load()
	end, mine := h.end.Load(), *h.lineage.Load()
	if err := theirs.Validate(end); err != nil {
		return err
	}
	if common, ok := mine.Common(end, theirs, end); !ok || common < end {
		return fmt.Errorf("%w: log at %s-%d is not on the lineage of %s", ErrPosition, mine.Current, end, theirs.Current)
	}
	if mine.Epoch.Compare(theirs.Epoch) > 0 {
		theirs.Epoch = mine.Epoch
	}
	if mine.Current == theirs.Current && mine.Epoch == theirs.Epoch && slices.Equal(mine.Earlier, theirs.Earlier) {
		return nil
	}
	theirs.Earlier = slices.Clone(theirs.Earlier)
	h.lineage.Store(&theirs)
	h.own = false
	return nil
}
