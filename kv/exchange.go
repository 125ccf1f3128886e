package kv

// exchange puts another table in place of the one in use. adopt makes the log's
// contents those that go with it; it is called when nothing is appended any more, and may
// refuse.
func (s *Store) exchange(t *table, adopt func() error) error {
	old, err := s.swap(t, adopt)
	if err == nil {
		old.ahead.Close() // it is waited for
	}
	return err
}

// swap is exchange as far as it needs the locks. It returns the table that was in use.
func (s *Store) swap(t *table, adopt func() error) (old *table, err error) {
	s.apply.Lock()
	defer s.apply.Unlock()
	if s.local != nil {
		s.local.mu.Lock()
		defer s.local.mu.Unlock()
	}
	if old = s.lockAll(); old == nil {
		return nil, ErrClosed
	}
	// First the log, as always. Whoever locks a shard of the old table from now
	// on sees that it is not the store's any more.
	if err := adopt(); err != nil {
		old.unlock()
		return nil, err
	}
	s.applying.Store(idle) // before the table: see visible
	s.install(t)
	if s.local != nil {
		s.setLocked(nil) // local writes end with the contents that they were over
	}
	s.apply.failed = nil
	old.unlock()
	s.expirer.restart()
	s.waiters.wake()
	return old, nil
}
