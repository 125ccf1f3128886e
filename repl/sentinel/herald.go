package sentinel

import (
	"sync"
)

// MaxEvents is how many events wait for Options.OnEvent at most. Further ones are left out,
// see Event.Missed: a function that does not return must not stop a failover.
const MaxEvents = 1024

// A herald tells events to the program, in order, on a goroutine of its own.
type herald struct {
	tell func(Event)
	wake chan struct{} // 1: there may be something to do
	done chan struct{} // closed when the goroutine has ended

	mu struct {
		sync.Mutex
		queue  []Event // at most MaxEvents
		missed int     // since the last that was queued
		closed bool
	}
}

func newHerald(tell func(Event)) *herald {
	h := &herald{tell: tell, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go h.run()
	return h
}

// put queues events. It does not block.
func (h *herald) put(events ...Event) {
	h.mu.Lock()
	for _, e := range events {
		if len(h.mu.queue) >= MaxEvents {
			h.mu.missed++
			continue
		}
		e.Missed, h.mu.missed = h.mu.missed, 0
		h.mu.queue = append(h.mu.queue, e)
	}
	h.mu.Unlock()
	h.nudge()
}

func (h *herald) nudge() {
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// close tells what is queued and waits for that.
func (h *herald) close() {
	h.mu.Lock()
	h.mu.closed = true
	h.mu.Unlock()
	h.nudge()
	<-h.done
}

func (h *herald) run() {
	defer close(h.done)
	for range h.wake {
		queue, closed := h.take()
		for len(queue) > 0 {
			for _, e := range queue {
				h.tell(e)
			}
			queue, closed = h.take()
		}
		if closed {
			return
		}
	}
}

func (h *herald) take() (queue []Event, closed bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	queue, h.mu.queue = h.mu.queue, nil
	return queue, h.mu.closed
}
