package kv

import (
	"maps"
	"slices"
	"sync"
)

// enders are what Store.Close ends before the store: the flights of its maps.
type enders struct {
	mu struct {
		sync.Mutex
		ended bool
		all   map[ender]struct{}
	}
}

type ender interface{ end() }

func (e *enders) add(x ender) {
	e.mu.Lock()
	ended := e.mu.ended
	if !ended {
		if e.mu.all == nil {
			e.mu.all = make(map[ender]struct{})
		}
		e.mu.all[x] = struct{}{}
	}
	e.mu.Unlock()
	if ended {
		x.end()
	}
}

func (e *enders) remove(x ender) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.mu.all, x)
}

// end ends them all, and whatever is added later.
func (e *enders) end() {
	e.mu.Lock()
	e.mu.ended = true
	all := slices.Collect(maps.Keys(e.mu.all))
	e.mu.Unlock()
	for _, x := range all {
		x.end()
	}
}
