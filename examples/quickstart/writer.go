package main

import (
	"fmt"
	"sync"
	"time"

	"github.com/emberkv/ember/kv"
)

// A writer sets small keys, some 20,000 a second, until it is stopped.
type writer struct {
	once    sync.Once
	quit    chan struct{}
	done    chan struct{}
	writes  int
	slowest time.Duration
	err     error
}

func startWriter(s *kv.Store) *writer {
	w := &writer{quit: make(chan struct{}), done: make(chan struct{})}
	go w.run(s)
	return w
}

func (w *writer) run(s *kv.Store) {
	defer close(w.done)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		for range 20 {
			start := time.Now()
			key := fmt.Sprintf("live/%04d", w.writes%5000)
			if w.err = s.Set(key, fmt.Appendf(nil, "write number %d", w.writes)); w.err != nil {
				return
			}
			w.slowest = max(w.slowest, time.Since(start))
			w.writes++
		}
		select {
		case <-tick.C:
		case <-w.quit:
			return
		}
	}
}

// stop ends the writer and returns how many writes it made. It may be called
// twice.
func (w *writer) stop() (int, error) {
	w.once.Do(func() { close(w.quit) })
	<-w.done
	return w.writes, w.err
}
