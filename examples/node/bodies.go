package main

import (
	"errors"
	"io"
	"net/http"
	"sync/atomic"
)

// Bounds of what comes with requests.
const (
	maxValueBytes  = 32 << 20  // of one body, which is held whole before it is set
	maxBodiesBytes = 128 << 20 // of all that are held at once
)

// A bodies bounds what all requests together hold of their bodies. It counts bytes as they
// come, not as they are announced: a slow sender takes no more than was sent.
type bodies struct{ held atomic.Int64 }

// take reads what comes with a request, up to maxValueBytes; what does not come whole is not
// taken. It does not wait for room: whoever is told so can try again. done gives the room
// back, and must be called when the bytes are of no use any more, also after an error.
func (b *bodies) take(r *http.Request) (value []byte, done func(), err error) {
	if r.ContentLength > maxValueBytes {
		return nil, func() {}, &http.MaxBytesError{Limit: maxValueBytes}
	}
	c := &counted{bodies: b, from: http.MaxBytesReader(nil, r.Body, maxValueBytes)}
	value, err = io.ReadAll(c)
	var (
		tooLarge *http.MaxBytesError
		refused  *requestError
	)
	if err != nil && !errors.As(err, &tooLarge) && !errors.As(err, &refused) {
		err = refuse(http.StatusBadRequest, "body: %v", err)
	}
	return value, func() { b.held.Add(-c.n) }, err
}

// A counted is a body that is being read.
type counted struct {
	bodies *bodies
	from   io.Reader
	n      int64 // that it holds
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	c.n += int64(n)
	if held := c.bodies.held.Add(int64(n)); held > maxBodiesBytes {
		return n, refuse(http.StatusServiceUnavailable, "requests hold more than %d bytes; try again", maxBodiesBytes)
	}
	return n, err
}
