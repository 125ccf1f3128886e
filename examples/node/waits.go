package main

import (
	"net/http"
	"sync/atomic"
)

// maxWaiting is how many requests wait at once for something that others do: each has a connection and a
// goroutine for as long as it may.
const maxWaiting = 1024

// A waits counts the requests that wait for a position, for replicas, or for another master.
type waits struct{ n atomic.Int64 }

// enter takes a place, which leave gives back. It does not wait for one: whoever is told so can try
// again.
func (w *waits) enter() (leave func(), err error) {
	if w.n.Add(1) > maxWaiting {
		w.n.Add(-1)
		return nil, refuse(http.StatusServiceUnavailable, "%d requests wait here, which are as many as may; try again", maxWaiting)
	}
	return func() { w.n.Add(-1) }, nil
}
