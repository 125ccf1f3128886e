package kv

import (
	"github.com/emberkv/ember/internal/hash"
	"github.com/emberkv/ember/internal/keytree"
)

const (
	// A chunk is as many keys as are taken from the index under its lock, a microsecond's
	// work. The first one is small, for those who want no more than a few keys.
	firstChunk = 8
	chunkItems = 128

	// chunkGrowth is by how much the next chunk is larger.
	chunkGrowth = 4
)

// A cursor goes through the keys of an index, a chunk at a time. It lies on the stack of
// the loop that it is for.
type cursor struct {
	backward bool
	end      keytree.Start // of the range: the first key beyond it, or backward the last one in it
	this     keytree.Start // of this chunk
	next     keytree.Start // of the next one
	size     int           // of the next one
	done     bool          // there is no next one

	n      int // items in this chunk
	items  [chunkItems]keytree.Item
	hashes [chunkItems]uint64
	slabs  *keytree.Slabs // of the items
	buf    [24]byte

	warmer warmer
	entry  entry // of the loop's turn
}

func (c *cursor) init(r *keyRange) {
	c.backward, c.size = r.backward, firstChunk
	from, to := keytree.Start{Bound: keytree.BoundAt(r.from), Set: r.from != ""}, keytree.Start{Bound: keytree.BoundAt(r.to), Set: r.to != ""}
	if c.next, c.end = from, to; c.backward {
		c.next, c.end = to, from
	}
}

// room returns where the next chunk's items go.
func (c *cursor) room() []keytree.Item { return c.items[:c.size] }

// took takes notice of the n items that are there now, and leaves out those beyond the
// range's end.
func (c *cursor) took(n int, slabs *keytree.Slabs) {
	c.n, c.slabs, c.done = n, slabs, n < c.size
	c.size = min(c.size*chunkGrowth, chunkItems)
	c.this = c.next
	if n == 0 {
		return
	}
	c.next = c.behind(n - 1)
	for c.n > 0 && c.beyond(c.n-1) {
		c.done = true
		c.n--
	}
}

// beyond reports whether item i is beyond the range's end.
func (c *cursor) beyond(i int) bool {
	return c.end.Set && c.end.After(&c.items[i], c.slabs) == c.backward
}

// behind returns the start of a chunk that begins behind item i of this one.
func (c *cursor) behind(i int) keytree.Start {
	return keytree.Start{Bound: keytree.BoundOf(c.items[i], c.slabs), Set: true, Exclusive: true}
}

// key returns the key of item i, good until the next call.
func (c *cursor) key(i int) string { return text(c.items[i].Key(c.slabs, &c.buf)) }

// ahead returns the hashes of the items from i on that are looked up together.
func (c *cursor) ahead(i int, seed uint64) []uint64 {
	end := min(i+scanAhead, c.n)
	for j := i; j < end; j++ {
		c.hashes[j] = hash.String(seed, c.key(j))
	}
	return c.hashes[i:end]
}

// scan is an iteration by the index.
func (s *Store) scan(r keyRange, yield func(string, []byte) bool) {
	var c cursor
	for c.init(&r); !c.done; {
		t, err := s.readable()
		if err != nil {
			return
		}
		if r.backward {
			c.took(t.index.descend(&c.next, c.room()))
		} else {
			c.took(t.index.ascend(&c.next, c.room()))
		}
		if !s.scanChunk(t, &c, yield) {
			return
		}
	}
}

// scanChunk yields what the table has of a cursor's chunk.
func (s *Store) scanChunk(t *table, c *cursor, yield func(string, []byte) bool) (more bool) {
	for i := 0; i < c.n; i++ {
		if i%scanAhead == 0 {
			c.warmer.warmIn(t, c.ahead(i, t.seed))
		}
		if s.table.Load() != t {
			// The contents were replaced: go on in the others.
			if c.next, c.done = c.this, false; i > 0 {
				c.next = c.behind(i - 1)
			}
			return true
		}
		h := c.hashes[i]
		if t.shard(h).find(h, c.key(i), &c.entry) && !s.clock.reached(c.entry.deadline) && !yield(text(c.entry.key), c.entry.value) {
			return false
		}
	}
	return true
}

// scan is an iteration by the frozen index. Nothing in the views changes, and nothing is
// missing there.
func (n *Snapshot) scan(r keyRange, yield func(string, []byte) bool) {
	var c cursor
	for c.init(&r); !c.done; {
		if r.backward {
			c.took(n.order.Descend(&c.next, c.room()), n.order.Slabs)
		} else {
			c.took(n.order.Ascend(&c.next, c.room()), n.order.Slabs)
		}
		for i := 0; i < c.n; i++ {
			if i%scanAhead == 0 {
				ahead := c.ahead(i, n.seed)
				for j, h := range ahead {
					f := n.view(h)
					c.warmer.views[j] = view{f.dir, f.slabs}
				}
				c.warmer.warm(ahead)
			}
			h := c.hashes[i]
			if n.find(h, c.key(i), &c.entry) && !yield(text(c.entry.key), c.entry.value) {
				return
			}
		}
	}
}

func (n *Snapshot) hash(key string) uint64 { return hash.String(n.seed, key) }

func (n *Snapshot) view(hash uint64) *frozen { return n.views[hash>>n.shift] }

// find says in e what the snapshot shows of a key, and reports whether that is anything.
func (n *Snapshot) find(hash uint64, key string, e *entry) bool {
	return n.view(hash).find(hash, key, e) && (e.deadline == 0 || e.deadline > n.now)
}
