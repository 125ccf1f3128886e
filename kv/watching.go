package kv

import "sync"

// A watching is a store's hub, for as long as there are watchers.
type watching struct {
	mu struct {
		sync.Mutex
		hub    *hub
		users  int
		closed bool
	}
}

// join returns the hub. It returns nil when the store is closed.
func (g *watching) join(s *Store) *hub {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.mu.closed {
		return nil
	}
	if g.mu.hub == nil {
		g.mu.hub = newHub(s)
	}
	g.mu.users++
	return g.mu.hub
}

// leave gives up what join returned. The last one ends the hub and waits for it.
func (g *watching) leave(h *hub) {
	g.mu.Lock()
	g.mu.users--
	last := g.mu.users == 0 && !g.mu.closed
	if last {
		g.mu.hub = nil
	}
	g.mu.Unlock()
	if last {
		close(h.quit)
		<-h.done
	}
}

// close waits for the hub, which ends because the store has ended.
func (g *watching) close() {
	g.mu.Lock()
	g.mu.closed = true
	h := g.mu.hub
	g.mu.Unlock()
	if h != nil {
		<-h.done
	}
}
