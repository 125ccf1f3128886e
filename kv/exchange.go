package kv

// exchange puts another table in the place of the one in use. adopt makes the log's
// contents those that go with it; it is called when nothing is appended any more, and may
// refuse.
func (s *Store) exchange(t *table, adopt func() error) error {
	s.apply.Lock()
	defer s.apply.Unlock()
	if s.local != nil {
		s.local.mu.Lock()
		defer s.local.mu.Unlock()
	}
	old := s.lockAll()
	if old == nil {
		return ErrClosed
	}
	// First the log, as always. Who locks a shard of the old table from now on
	// sees that it is not the store's any more.
	if err := adopt(); err != nil {
		old.unlock()
		return err
	}
	s.applying.Store(idle) // before the table: see visible
	s.install(t)
	if s.local != nil {
		s.setLocked(nil) // local writes end with the contents that they were over
	}
	s.apply.failed = nil
	old.unlock()
	old.ahead.Close()
	s.expirer.restart()
	s.waiters.wake()
	return nil
}
