package kv

// SlabBytes returns how many bytes of the store's slabs were given out, and how many
// of them are dead.
func SlabBytes(s *Store) (used, dead int64) {
	t := s.table.Load()
	for i := range t.shards {
		m := &t.shards[i].mu
		m.Lock()
		used += m.arena.used
		dead += m.arena.dead
		m.Unlock()
	}
	return used, dead
}

// Views returns how many frozen views of the store's shards are in use.
func Views(s *Store) (n int) {
	t := s.table.Load()
	for i := range t.shards {
		m := &t.shards[i].mu
		m.Lock()
		n += m.freezes
		m.Unlock()
	}
	return n
}

// WorstDeadShare returns the largest share of dead bytes among the store's shards.
func WorstDeadShare(s *Store) (worst float64) {
	t := s.table.Load()
	for i := range t.shards {
		m := &t.shards[i].mu
		m.Lock()
		if m.arena.used > 0 {
			worst = max(worst, float64(m.arena.dead)/float64(m.arena.used))
		}
		m.Unlock()
	}
	return worst
}
