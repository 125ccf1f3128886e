package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"

	"github.com/emberkv/ember/kv"
)

// All requests together hold no more than maxBodiesBytes, whatever they announce; one that
// finds no room is told to try again, and what it held is given back.
func TestBodiesAreBoundedTogether(t *testing.T) {
	t.Parallel()
	var b bodies
	const others = maxBodiesBytes - 1<<20
	b.held.Store(others)
	take := func(size int) (int, error) {
		r := httptest.NewRequest("PUT", "/keys/a", io.LimitReader(zeros{}, int64(size)))
		value, done, err := b.take(r)
		defer done()
		return len(value), err
	}
	if n, err := take(1 << 20); n != 1<<20 || err != nil {
		t.Errorf("all the room: %d, %v", n, err)
	}
	for range 3 {
		if _, err := take(1<<20 + 1); err == nil || failure(err).status != http.StatusServiceUnavailable {
			t.Errorf("a byte more: %v", err)
		}
	}
	if held := b.held.Load(); held != others {
		t.Errorf("%d bytes were not given back", held-others)
	}

	// What is announced and does not come takes nothing.
	in, out := io.Pipe()
	slow := httptest.NewRequest("PUT", "/keys/a", in)
	slow.ContentLength = 1 << 20
	ended := make(chan error)
	go func() {
		_, done, err := b.take(slow)
		done()
		ended <- err
	}()
	out.Write(make([]byte, 1000))
	out.Write([]byte{1}) // is read after the others were counted
	for b.held.Load() != others+1001 {
		runtime.Gosched() // or what is taken next may leave no room for this byte
	}
	if n, err := take(1<<20 - 2000); err != nil {
		t.Errorf("%d, beside one that is slow: %v", n, err)
	}
	if _, err := take(1<<20 - 500); err == nil {
		t.Error("what the slow one has sent was not counted")
	}
	out.CloseWithError(io.ErrUnexpectedEOF)
	if err := <-ended; failure(err).status != http.StatusBadRequest {
		t.Errorf("half a body: %v", err)
	}
	if held := b.held.Load(); held != others {
		t.Errorf("%d bytes were not given back", held-others)
	}
}

// The server counts, and gives back when a value is set or refused.
func TestServerGivesRoomBack(t *testing.T) {
	t.Parallel()
	store := kv.New(nil)
	defer store.Close()
	s := newServer(store, nil, nil)
	for _, path := range []string{"/keys/a", "/keys/", "/keys/a?ttl=x"} {
		s.serve(httptest.NewRequest("PUT", path, bytes.NewReader(make([]byte, 5000))))
	}
	if v, err := s.store.Get("a"); len(v) != 5000 || err != nil {
		t.Errorf("%d bytes, %v", len(v), err)
	}
	s.bodies.held.Add(maxBodiesBytes)
	if _, err := s.serve(httptest.NewRequest("PUT", "/keys/b", bytes.NewReader([]byte("b")))); err == nil {
		t.Error("the server has taken more than the bound")
	}
	if held := s.bodies.held.Load(); held != maxBodiesBytes {
		t.Errorf("%d bytes were not given back", held-maxBodiesBytes)
	}
}
