package kv

import (
	"errors"
	"sort"
	"sync"

	"github.com/emberkv/ember/backlog"
)

// Bounds of a hub's ring, for whichever is reached first. A watcher that is further
// behind reads the log by itself.
const (
	ringItems     = 32 << 10
	ringStretches = 4 << 10
	ringBytes     = 4 << 20 // of the log
)

// syncedBytes is after how much log without anything of interest to a watcher it is
// handed an EventSynced; it may be twice as much.
const syncedBytes = 1 << 20

// A hub decodes a store's log once for all watchers. One goroutine of its own reads the
// log as it grows and keeps the newest stretches in a ring, through which watchers go at
// their own pace. It exists while somebody watches, and waits for nobody.
type hub struct {
	store *Store
	quit  chan struct{} // closed by the last watcher
	done  chan struct{} // closed by the goroutine
	cuts  cuts

	mu struct {
		sync.Mutex
		ring    []*stretch // the newest ones, oldest first, without a gap
		next    int64      // sequence number of the stretch that comes next
		items   int        // of the ring
		bytes   int
		end     backlog.Position // behind the newest stretch
		changes int64            // how often any of this has changed
		err     error            // no stretch comes any more
		parked  parking
	}
}

func newHub(s *Store) *hub {
	h := &hub{store: s, quit: make(chan struct{}), done: make(chan struct{})}
	h.cuts.store = s
	h.mu.next = 1
	h.mu.parked.init()
	go h.run()
	return h
}

// run decodes until there are no watchers or the store is closed.
func (h *hub) run() {
	defer close(h.done)
	var c *source
	for {
		changed := h.store.waiters.watch()
		for more := true; more; {
			var err error
			if c, more, err = h.step(c); err != nil {
				h.fail(err)
				return
			}
			select {
			case <-h.quit:
				return
			default:
			}
		}
		select {
		case <-changed:
		case <-h.quit:
			return
		}
	}
}

// step decodes what comes next, if anything does. It makes a new source when the one
// it has, or has not, cannot go on.
func (h *hub) step(c *source) (_ *source, more bool, err error) {
	if c == nil {
		return h.begin()
	}
	b, err := c.next()
	var undecoded *RecordError
	switch {
	case errors.Is(err, backlog.ErrTrimmed), errors.Is(err, backlog.ErrReset):
		return nil, true, nil
	case errors.As(err, &undecoded):
		// Those who stand before the record find out by themselves. For others the
		// log goes on behind it.
		return nil, true, nil
	case err != nil:
		return c, false, err
	case b == nil:
		return c, false, nil
	}
	h.publish(b)
	h.cuts.prune()
	return c, true, nil
}

// begin makes a source at what is visible now. Whoever has not come that far reads the
// log by itself, and may find that it is not the same any more.
func (h *hub) begin() (*source, bool, error) {
	at, err := h.store.visible(-1)
	if err != nil {
		return nil, false, err
	}
	r, err := h.store.log.NewReader(at)
	if err != nil {
		return nil, false, nil // the log has moved on, or was replaced: that wakes us
	}
	lineage := h.store.log.Lineage()
	h.jump(backlog.Position{History: lineage.At(at).Current, Offset: at})
	h.cuts.prune()
	return &source{store: h.store, reader: r}, true, nil
}

// jump empties the ring and goes on at another position.
func (h *hub) jump(to backlog.Position) {
	h.mu.Lock()
	defer h.mu.Unlock()
	m := &h.mu
	// They have seen all that there was, whether or not it was of interest.
	m.parked.wakeAll(0, m.end)
	clear(m.ring)
	m.ring, m.items, m.bytes = m.ring[:0], 0, 0
	m.next++ // so that those who stood at the end are behind
	m.end = to
	m.changes++
}

// publish adds a stretch to the ring and wakes those who wait for it.
func (h *hub) publish(b *stretch) {
	h.mu.Lock()
	defer h.mu.Unlock()
	m := &h.mu
	b.seq = m.next
	m.next++
	m.ring = append(m.ring, b)
	m.items += len(b.items)
	m.bytes += len(b.data)
	for len(m.ring) > 1 && (m.items > ringItems || m.bytes > ringBytes || len(m.ring) > ringStretches) {
		m.items -= len(m.ring[0].items)
		m.bytes -= len(m.ring[0].data)
		m.ring[0] = nil
		m.ring = m.ring[1:]
	}
	m.parked.wakeConcerned(b)
	m.end = backlog.Position{History: b.history, Offset: b.end()}
	m.changes++
	if b.start/syncedBytes != b.end()/syncedBytes {
		m.parked.wakeAll(m.next, m.end)
	}
}

// fail ends the hub: watchers get err when they have come to the end of the ring.
func (h *hub) fail(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	m := &h.mu
	m.err = err
	m.changes++
	m.parked.wakeAll(m.next, m.end)
}

// next returns the stretch at w's place. Without one, w is either level, and was parked,
// or it has to read the log by itself; changes is for park then.
func (h *hub) next(w *watcher) (b *stretch, level bool, changes int64, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	m := &h.mu
	if w.seq == 0 {
		w.seq = h.findLocked(w.pos)
	}
	first := m.next - int64(len(m.ring))
	switch {
	case m.err != nil && (w.seq == m.next || m.err == ErrClosed):
		return nil, false, 0, m.err
	case w.seq == m.next:
		if w.target != unaimed {
			// The log was further than this: what comes next may be the
			// target, though it does not concern the prefix.
			m.parked.addAny(w)
		} else {
			m.parked.add(w)
		}
		return nil, true, 0, nil
	case w.seq >= first:
		return m.ring[w.seq-first], false, 0, nil
	}
	w.seq = 0
	return nil, false, m.changes, nil
}

// findLocked returns the sequence number of the stretch that goes on at pos, or 0. A
// stretch of pos's history that spans its offset does, whatever else has happened to the
// log: within a history an offset never means two things.
func (h *hub) findLocked(pos backlog.Position) int64 {
	m := &h.mu
	if pos == m.end {
		return m.next
	}
	i := sort.Search(len(m.ring), func(i int) bool { return m.ring[i].end() > pos.Offset })
	if i < len(m.ring) && m.ring[i].history == pos.History && m.ring[i].start <= pos.Offset {
		return m.ring[i].seq
	}
	return 0
}

// park lets w be woken by whatever comes, and reports false when something has come
// since changes was read.
func (h *hub) park(w *watcher, changes int64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.mu.changes != changes {
		return false
	}
	h.mu.parked.addAny(w)
	return true
}

// unpark takes w off the list of those to be woken, if it is on it.
func (h *hub) unpark(w *watcher) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.mu.parked.remove(w)
}
