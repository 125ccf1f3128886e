package backlog

import (
	"errors"
	"fmt"
)

// An Archive has records that a log has dropped: usually the files of its journal. Its
// methods may be called concurrently.
type Archive interface {
	// First returns the offset of the oldest record there is, and false when there is
	// none. It does not block.
	First() (offset int64, ok bool)

	// Open returns the records from offset on. It may read a disk. It returns [ErrTrimmed]
	// for an offset that is no longer there, [ErrBoundary], or what the disk returned.
	Open(offset int64) (Past, error)
}

// A Past hands out records of an [Archive], in order. It is for one goroutine.
type Past interface {
	// Sum returns the running hash of the log up to where the Past began.
	Sum() Sum

	// Next returns the records that follow, one or more whole ones. They are the caller's.
	// It returns [ErrAhead] when what follows is not in the archive yet, and any other
	// error when the archive cannot give it.
	Next() ([]byte, error)

	// Close releases what the Past has open. It is called once, after the last Next.
	Close() error
}

// SetArchive tells the log where the records that it no longer holds are. From now on
// [Log.Continue] uses the archive, and a bound reader that is outrun goes on from there.
// Adopted contents have no archive until SetArchive is called for them. It does nothing for
// a reader that is Outdated.
func (r *Reader) SetArchive(a Archive) {
	l := r.log
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held.Load() == r.held {
		r.held.archive.Store(&a)
	}
}

// archived returns the offset from which on a follower can be given everything.
func (h *contents) archived() int64 {
	first := h.first.Load()
	if a := h.archive.Load(); a != nil {
		if older, ok := (*a).First(); ok {
			return min(first, older)
		}
	}
	return first
}

// A pastReader is what a reader gets from an archive, until the log has what follows.
type pastReader struct {
	past Past
	run  []byte // the last records from there
	used int    // bytes of run that were handed out
}

// openPast lets the reader go on in the archive. It returns ErrTrimmed when there is none.
func (r *Reader) openPast() error {
	a := r.held.archive.Load()
	if a == nil {
		return ErrTrimmed
	}
	past, err := (*a).Open(r.at)
	if err != nil {
		return trimmed(err)
	}
	r.older, r.c = &pastReader{past: past}, nil
	return nil
}

// trimmed returns ErrTrimmed with what an archive has to say of it.
func trimmed(err error) error {
	if err == ErrBoundary || errors.Is(err, ErrTrimmed) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrTrimmed, err)
}

func (r *Reader) closePast() {
	if r.older != nil {
		r.older.past.Close()
		r.older = nil
	}
}

// archiveMargin is the share of the window by which a reader from the archive is inside of
// it before it goes over, lest it be outrun again at once.
const archiveMargin = 8

// nextPast is next for a reader in the archive.
func (r *Reader) nextPast(limit int64) ([]byte, error) {
	p := r.older
	first, end := r.held.first.Load(), r.held.end.Load()
	if p.used == len(p.run) && r.at >= first+(end-first)/archiveMargin {
		r.closePast()
		return r.next(limit)
	}
	if r.at >= limit {
		return nil, nil
	}
	if p.used == len(p.run) {
		run, err := p.past.Next()
		switch {
		case err == ErrAhead && r.at >= first: // what is not on disk yet is in the window
			r.closePast()
			return r.next(limit)
		case err != nil:
			r.closePast()
			return nil, trimmed(err)
		}
		p.run, p.used = run, 0
	}
	n := int(min(int64(len(p.run)-p.used), limit-r.at))
	b := p.run[p.used : p.used+n : p.used+n]
	p.used += n
	r.at += int64(n)
	return b, nil
}

// Back moves the reader back by n bytes of what the last call of Next returned, to a
// place between two records: the next call returns them again.
func (r *Reader) Back(n int) {
	r.at -= int64(n)
	if r.older != nil {
		r.older.used -= n
	}
}

// Confirm is [Log.Confirm] for a reader that has read nothing yet, and for the offset at which
// it begins, which the log itself may no longer hold.
func (r *Reader) Confirm(theirs Sum) Confirmation {
	if r.older == nil {
		return r.log.Confirm(r.at, theirs)
	}
	return r.older.past.Sum().confirm(r.at, theirs)
}
