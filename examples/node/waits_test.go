package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/repl"
)

// TestWaitsAreBounded: when as many requests wait as may, one more that would have to is told to try
// again; others are answered. Each gives its place back.
func TestWaitsAreBounded(t *testing.T) {
	synctest.Test(t, testWaitsAreBounded) // a position is waited for in vain
}

func testWaitsAreBounded(t *testing.T) {
	store := kv.New(nil)
	defer store.Close()
	m, err := repl.NewMaster(store, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Node().Close()
	if err := store.Set("k", []byte("v")); err != nil {
		t.Fatal(err)
	}
	s := newServer(store, m.Node(), nil)
	ask := func(method, path string, pos backlog.Position) int {
		r := httptest.NewRequest(method, path, nil)
		r.Header.Set(positionHeader, pos.String())
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		return w.Code
	}
	here := store.Position()
	beyond := here
	beyond.Offset++
	for _, c := range []struct {
		waiting int64
		method  string
		path    string
		pos     backlog.Position
		want    int
	}{
		{maxWaiting, "GET", "/keys/k", here, http.StatusOK},
		{maxWaiting, "GET", "/keys/k", beyond, http.StatusServiceUnavailable},
		{maxWaiting, "POST", "/wait?replicas=1&timeout=1ms", here, http.StatusServiceUnavailable},
		{maxWaiting - 1, "POST", "/wait?replicas=1&timeout=1ms", here, http.StatusOK},
		{maxWaiting - 1, "GET", "/keys/k", here, http.StatusOK},
		{maxWaiting - 1, "GET", "/keys/k", beyond, http.StatusGatewayTimeout},
	} {
		s.waits.n.Store(c.waiting)
		what := fmt.Sprintf("%s %s at %v, beside %d", c.method, c.path, c.pos, c.waiting)
		if got := ask(c.method, c.path, c.pos); got != c.want {
			t.Errorf("%s: %d, want %d", what, got, c.want)
		}
		if n := s.waits.n.Load(); n != c.waiting {
			t.Errorf("%s: %d wait afterwards", what, n)
		}
	}
}
