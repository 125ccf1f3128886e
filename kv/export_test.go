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

// IndexKeys returns the keys that the store's index holds, in its order.
func IndexKeys(s *Store) (keys []string) {
	var (
		x     = s.table.Load().index
		items [100]indexKey
		from  start
		buf   [24]byte
	)
	for {
		n, slabs := x.ascend(&from, items[:])
		for _, it := range items[:n] {
			keys = append(keys, string(it.key(slabs, &buf)))
		}
		if n < len(items) {
			return keys
		}
		from = start{bound: boundOf(items[n-1], slabs), set: true, exclusive: true}
	}
}

// IndexKeyBytes returns how many bytes the index's slabs of long keys have, how many of
// them were given out, and how many of these are dead.
func IndexKeyBytes(s *Store) (held, used, dead int64) {
	x := s.table.Load().index
	x.mu.RLock()
	defer x.mu.RUnlock()
	k := &x.mu.tree.slabs
	for _, data := range k.set.data {
		held += int64(len(data))
	}
	return held, k.used, k.dead
}
