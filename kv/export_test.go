package kv

import (
	"fmt"
	"unsafe"

	"github.com/emberkv/ember/internal/keytree"
)

// TableShards is the number of shards of a table that was not loaded from another node.
const TableShards = tableShards

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
		items [100]keytree.Item
		from  keytree.Start
		buf   [24]byte
	)
	for {
		n, slabs := x.ascend(&from, items[:])
		for _, it := range items[:n] {
			keys = append(keys, string(it.Key(slabs, &buf)))
		}
		if n < len(items) {
			return keys
		}
		from = keytree.Start{Bound: keytree.BoundOf(items[n-1], slabs), Set: true, Exclusive: true}
	}
}

// IndexKeyBytes returns how many bytes the index's slabs of long keys have, how many of
// them were given out, and how many of these are dead.
func IndexKeyBytes(s *Store) (held, used, dead int64) {
	x := s.table.Load().index
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.mu.tree.LongBytes()
}

// WantFootprints returns an error unless what the store has counted of its memory, shard
// by shard and block by block, is what there is.
func WantFootprints(s *Store) error {
	t := s.table.Load()
	charged := int64(len(t.shards)) * int64(unsafe.Sizeof(shard{}))
	for i := range t.shards {
		sh := &t.shards[i]
		sh.mu.Lock()
		f := sh.mu.bytes
		d, slabs := sh.dir.Load(), int64(0)
		table := d.bytes() + int64(len(sh.mu.arena.eviction.ghosts.sets))*2*ghostWays
		for _, seg := range d.distinct() {
			table += seg.bytes()
		}
		for _, data := range sh.slabs.Load().data {
			if data != nil {
				slabs += slabBytes(len(data))
			}
		}
		freezes := sh.mu.freezes
		sh.mu.Unlock()
		if f.table != table || f.slabs != slabs || freezes == 0 && f.retained != 0 {
			return fmt.Errorf("shard %d: counted %+v, has %d of table and %d of slabs", i, f, table, slabs)
		}
		charged += f.table + f.slabs + f.dated + f.retained - f.late
	}
	if x := t.index; x != nil {
		held, retained := x.bytes()
		charged += held + retained
		if err := x.mu.tree.Verify(); err != nil {
			return err
		}
	}
	if m := t.mem; m != nil && m.used.Load() != charged {
		return fmt.Errorf("%d bytes are charged, of %d", m.used.Load(), charged)
	}
	return nil
}
