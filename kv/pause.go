package kv

import "github.com/emberkv/ember/backlog"

// A node that hands the writing over to another holds writes up meanwhile: the log's gate
// says so with a [*backlog.PausedError]. A writer lets go of its locks, waits here until
// that is over, and tries again; what the gate says then is what it gets. Nobody else
// comes here: what it costs otherwise is a comparison of types when a write has failed.

// resumed waits, if err says that writes are held up, until they go on, and reports whether
// the one that got err should be tried again. No lock may be held.
func resumed(err error) bool {
	paused, ok := err.(*backlog.PausedError)
	if ok {
		<-paused.Resume
	}
	return ok
}

// closed returns the error with which the log's gate would refuse a write. It waits while
// writes are held up; no lock may be held.
func (s *Store) closed() error {
	for {
		if err := s.log.Refusing(); !resumed(err) {
			return err
		}
	}
}

// isElsewhere reports whether another node takes the writes, which this one follows. One
// that follows none and takes no writes either, because it lacks replicas or room on its
// disk, would only ask itself. It may wait; no lock may be held.
func (s *Store) isElsewhere() bool { return s.closed() != nil && s.following.Load() }
