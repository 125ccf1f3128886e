package backlog

// Occupy makes the caller the one who decides about the log: it installs its gate and
// settler, and says which history begins or is adopted. It returns [ErrOccupied] while
// somebody else has it, and otherwise a function that gives it back, which may be called
// more than once. Neither appends nor readers ask for it: it keeps two nodes from
// controlling one log, where each would take the other's gate for its own.
func (l *Log) Occupy() (release func(), err error) {
	token := new(byte)
	if !l.occupant.CompareAndSwap(nil, token) {
		return nil, ErrOccupied
	}
	return func() { l.occupant.CompareAndSwap(token, nil) }, nil
}
