package kv

import (
	"math/bits"
	"slices"
	"strings"
	"sync"

	"github.com/emberkv/ember/backlog"
)

// Bounds of the contents that are handed out to watchers.
const (
	// maxCuts bounds the snapshots that a store holds open for watchers. While there
	// are as many, others join the newest, and are handed what the log has had since
	// on top.
	maxCuts = 4

	// pageRecords and pageBytes bound what a watcher holds of a snapshot at once.
	pageRecords = 256
	pageBytes   = 64 << 10

	// pageLook is at how many records a watcher looks at once, to find as many.
	pageLook = 4096
)

// A cut is a snapshot of the contents that watchers share. A watcher that is stuck in
// the middle of it does not hold it: when the log has lost the cut's position, nobody
// can go on from there, and it is given up.
type cut struct {
	pos    backlog.Position
	snap   *Snapshot
	shards int
	users  int // guarded by cuts.mu

	mu struct {
		sync.Mutex
		lists []*listing // of the shards, made when needed; nil when the cut was given up
	}
}

// cuts are the cuts of a hub.
type cuts struct {
	store *Store
	mu    struct {
		sync.Mutex
		cuts []*cut // oldest first
	}
}

// take returns a cut of the contents as they are, which is fresh unless others read it already,
// or if there are too many the newest one. It returns [ErrClosed].
func (g *cuts) take() (c *cut, fresh bool, err error) {
	g.prune()
	g.mu.Lock()
	defer g.mu.Unlock()
	if n := len(g.mu.cuts); n > 0 {
		if c := g.mu.cuts[n-1]; n >= maxCuts || c.pos == g.store.Position() {
			c.users++
			return c, false, nil
		}
	}
	snap, err := g.store.Snapshot()
	if err != nil {
		return nil, false, err
	}
	c = &cut{pos: snap.Position(), snap: snap, shards: len(snap.views), users: 1}
	c.mu.lists = make([]*listing, c.shards)
	g.mu.cuts = append(g.mu.cuts, c)
	return c, true, nil
}

// release ends the use of a cut.
func (g *cuts) release(c *cut) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if c.users--; c.users > 0 {
		return
	}
	if i := slices.Index(g.mu.cuts, c); i >= 0 {
		g.mu.cuts = slices.Delete(g.mu.cuts, i, i+1)
	}
	c.giveUp()
}

// prune gives up the cuts from which the log does not lead on any more.
func (g *cuts) prune() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.mu.cuts) == 0 {
		return
	}
	log := g.store.log
	first, lineage, end := log.Window().First, log.Lineage(), log.End()
	g.mu.cuts = slices.DeleteFunc(g.mu.cuts, func(c *cut) bool {
		// The end may be older than the lineage, but then the cut is older than both.
		common, ok := lineage.Common(end, backlog.Lineage{Current: c.pos.History}, c.pos.Offset)
		gone := c.pos.Offset < first || !ok || common < c.pos.Offset && c.pos.History != lineage.Current
		if gone {
			c.giveUp()
		}
		return gone
	})
}

// giveUp lets go of the snapshot. It may be called again.
func (c *cut) giveUp() {
	c.mu.Lock()
	c.mu.lists = nil
	c.mu.Unlock()
	c.snap.Close()
}

// list returns where the entries of a shard lie. It returns false when the cut was
// given up.
func (c *cut) list(shard int) (*listing, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.lists == nil {
		return nil, false
	}
	if c.mu.lists[shard] == nil {
		c.mu.lists[shard] = c.snap.views[shard].list(nil)
	}
	return c.mu.lists[shard], true
}

// A place is how far a watcher has come in a cut: in the order of the memory, or of the
// index. The zero place is the beginning.
type place struct {
	shard, slab, word int
	seen              uint64 // the marks of the word that are behind

	key string // the first that may come, by the index
}

// page appends entries with the prefix, from at on, to dst, and returns the place
// behind the last. It takes no more than a page, and none when there are no more, or
// when none is among the next few thousand: more says which. It returns ok as false when
// the cut was given up.
func (c *cut) page(at place, prefix string, dst []entry) (_ []entry, next place, more, ok bool) {
	switch {
	case c.snap.index != nil && prefix != "":
		return c.pageInOrder(at, prefix, dst)
	case at.shard == c.shards:
		return dst, at, false, true
	}
	l, ok := c.list(at.shard)
	if !ok {
		return dst, at, false, false
	}
	looked, size := 0, 0
	for ; at.slab < len(l.marks); at.slab, at.word = at.slab+1, 0 {
		marks := l.marks[at.slab]
		for ; at.word < len(marks); at.word, at.seen = at.word+1, 0 {
			for word := marks[at.word] &^ at.seen; word != 0; word &= word - 1 {
				if looked == pageLook || len(dst) == pageRecords || size >= pageBytes {
					return dst, at, true, true
				}
				bit := bits.TrailingZeros64(word)
				at.seen |= 1 << bit
				e := parseEntry(l.slabs.data[at.slab][(at.word*64+bit)*entryAlign:])
				if looked++; strings.HasPrefix(text(e.key), prefix) && (e.deadline == 0 || e.deadline > c.snap.now) {
					dst = append(dst, e)
					size += e.size
				}
			}
		}
	}
	return dst, place{shard: at.shard + 1}, true, true
}

// pageInOrder is page by the index, which leads to the few keys of a prefix at once.
func (c *cut) pageInOrder(at place, prefix string, dst []entry) (_ []entry, next place, more, ok bool) {
	r, size := prefixRange(prefix), 0
	r.from = max(r.from, at.key)
	for key := range c.snap.iterate(r) {
		if len(dst) == pageRecords || size >= pageBytes {
			at.key, more = strings.Clone(key), true
			break
		}
		var e entry
		c.snap.find(c.snap.hash(key), key, &e) // again, for its deadline
		dst = append(dst, e)
		size += e.size
	}
	// A snapshot that is closed yields nothing.
	c.mu.Lock()
	defer c.mu.Unlock()
	return dst, at, more, c.mu.lists != nil
}
