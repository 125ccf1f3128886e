package backlog

// Branch returns a new log that holds what l holds up to offset, in the lineage that l
// had there, and shares that memory. l does not see what is appended to it: so a node can
// build another continuation beside the one that it has, and then adopt it. The options
// are those with which l was made; the branch has no gate and no settler.
//
// It returns [ErrAhead], [ErrTrimmed] or [ErrBoundary] for an offset at which no reader
// can begin.
func (l *Log) Branch(offset int64) (*Log, error) {
	h := l.held.Load()
	if _, err := l.readerOf(h, offset); err != nil {
		return nil, err
	}
	sum, unsummed := h.sum(offset)
	b := NewLogAt(h.lineage.Load().At(offset), offset, &Options{MaxBytes: l.max, MaxAge: l.age})
	into := b.held.Load()

	h.sums.mu.Lock()
	defer h.sums.mu.Unlock()
	// The lock keeps chunks from being dropped, and so cut off from the next.
	l.mu.Lock()
	defer l.mu.Unlock()
	if h != l.held.Load() {
		return nil, ErrReset
	}
	if first := h.first.Load(); offset < first {
		return nil, ErrTrimmed
	}
	into.share(h, offset)
	if unsummed == nil {
		into.sums.setLocked(mark{offset, sum})
		if given := h.sums.mu.given; given.at < offset {
			into.sums.mu.given = given
		}
	}
	return b, nil
}

// share makes h, which is empty and not in use, hold what from holds up to offset. Both
// locks of from must be held.
func (h *contents) share(from *contents, offset int64) {
	h.first.Store(from.first.Load())
	for c := from.head.Load(); c != nil && c.base < offset; c = c.next.Load() {
		n := min(c.n.Load(), offset-c.base)
		// Without room: what is behind belongs to the one who wrote there.
		own := &chunk{base: c.base, buf: c.buf[:n:n], begun: c.begun, newest: c.newest, sum: c.sum, summed: c.summed}
		own.n.Store(n)
		if h.tail == nil {
			h.head.Store(own)
		} else {
			h.tail.next.Store(own)
		}
		h.tail = own
	}
	h.size = from.size
}
