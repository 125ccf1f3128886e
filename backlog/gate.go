package backlog

// A Gate decides whether a write may enter the log. [Log.Append] and [Log.Restart] call it
// under the log's lock, once for each call, so that nothing comes between the
// decision and the append. It must neither block nor call the log: atomics and monotonic
// time only. The writer gets its error.
type Gate func() error

// A PausedError is what a [Gate] returns while it holds writes up for a moment. A store
// does not hand it to its callers: the writer lets go of every lock, waits until Resume is
// closed, and tries again.
type PausedError struct {
	Resume <-chan struct{} // closed when the gate says something else
}

func (*PausedError) Error() string { return "backlog: writes are held up" }

// A writer calls its Settler when its write stands and it has released every
// lock, with the offset after its records. It may block; that is how a write
// waits for acknowledgements. The writer gets what it returns, though the write
// stands.
type Settler func(end int64) error

// SetGate installs the gate that every later [Log.Append] and [Log.Restart] has to pass;
// nil lets all in. When SetGate returns, nothing that an earlier gate let in is still
// under way. It is for whoever decides which node writes.
func (l *Log) SetGate(g Gate) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.gate = g
}

// SetStoreGate is SetGate for the store that the log belongs to, which may refuse
// writes, too: when its disk takes no more, for example. It is asked after the other
// gate.
func (l *Log) SetStoreGate(g Gate) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.storeGate = g
}

// Refusing returns the error that a write would get now, or nil. It may be a
// [*PausedError].
func (l *Log) Refusing() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.refusingLocked()
}

func (l *Log) refusingLocked() error {
	if l.mu.gate != nil {
		if err := l.mu.gate(); err != nil {
			return err
		}
	}
	if l.mu.storeGate != nil {
		return l.mu.storeGate()
	}
	return nil
}

// SetSettler installs the function that [Log.Settler] returns; nil removes it.
func (l *Log) SetSettler(s Settler) {
	if s == nil {
		l.settler.Store(nil)
		return
	}
	l.settler.Store(&s)
}

// Settler returns the function that SetSettler has installed, or nil. It costs one atomic load. A
// store takes it before it appends a write, and calls it afterwards: somebody else may decide on
// writes by then, and know nothing of this one.
func (l *Log) Settler() Settler {
	if s := l.settler.Load(); s != nil {
		return *s
	}
	return nil
}
