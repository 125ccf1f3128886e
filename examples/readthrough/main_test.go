package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/emberkv/ember/internal/leakcheck"
	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/repl"
)

// TestMain makes the test's executable the program itself when it is started as a node.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == nodeArgument {
		main()
	}
	leakcheck.Main(m)
}

// The program's own checks are the test.
func TestRun(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), &out, 500*time.Millisecond); err != nil {
		t.Fatalf("%v, after\n%s", err, &out)
	}
	for _, want := range []string{"without the cache", "The master is back", "Both nodes have the same"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("nothing of %q:\n%s", want, &out)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

// What goes wrong is an answer that says so.
func TestAnswers(t *testing.T) {
	store := kv.New(nil)
	defer store.Close()
	m, err := repl.NewMaster(store, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	cache, err := newCache(store, "")
	if err != nil {
		t.Fatal(err)
	}
	defer cache.Close()
	h := (&server{store: store, cache: cache, node: m.Node()}).handler()
	want := func(status int, method, path, body string) {
		t.Helper()
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
		if w.Code != status || !strings.Contains(w.Body.String(), body) {
			t.Errorf("%s %s: %d %s, want %d %q", method, path, w.Code, w.Body, status, body)
		}
	}
	want(http.StatusOK, "GET", "/products/7", `{"ID":7,"Name":"Product No. 7"`)
	want(http.StatusOK, "GET", "/uncached/7", `{"ID":7,"Name":"Product No. 7"`)
	want(http.StatusNotFound, "GET", "/products/-1", "not found")
	want(http.StatusNotFound, "GET", "/uncached/5000", "not found")
	want(http.StatusNotFound, "POST", "/load/5000", "not found")
	want(http.StatusBadRequest, "GET", "/products/x", "want a number")
	want(http.StatusNoContent, "POST", "/load/8", "")
	want(http.StatusOK, "GET", "/stats", `"Requests":2,"Hits":0`)
	cache.Close()
	want(http.StatusServiceUnavailable, "GET", "/products/9", "closed")
	if _, err := m.Demote("127.0.0.1:1"); err != nil {
		t.Fatal(err)
	}
	want(http.StatusConflict, "POST", "/load/7", "replica")
}

// The hook passes on what the master's node answers.
func TestForward(t *testing.T) {
	status := http.StatusNotFound
	node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(positionHeader, "no position")
		w.WriteHeader(status)
	}))
	defer node.Close()
	ask := forwarder(node.URL)
	if _, err := ask(t.Context(), 1); !errors.Is(err, kv.ErrNotFound) {
		t.Error(err)
	}
	for _, status = range []int{http.StatusNoContent, http.StatusConflict, http.StatusBadGateway} {
		if _, err := ask(t.Context(), 1); err == nil || errors.Is(err, kv.ErrNotFound) {
			t.Errorf("%d: %v", status, err)
		}
	}
	node.Close()
	if _, err := ask(t.Context(), 1); err == nil {
		t.Error("nobody has answered")
	}
}

// A service that answers wrongly is found out.
func TestLoadChecksAnswers(t *testing.T) {
	for _, body := range []string{`{"ID":-1,"Name":"another"}`, "nothing", ""} {
		node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if body == "" {
				w.WriteHeader(http.StatusTeapot)
			}
			fmt.Fprint(w, body)
		}))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		if _, err := (load{urls: []string{node.URL + "/"}, ends: time.Minute}).run(ctx); err == nil {
			t.Errorf("%q was taken for a product", body)
		}
		cancel()
		node.Close()
	}
}

func TestPercentile(t *testing.T) {
	var sorted []time.Duration
	if got := percentile(sorted, 50); got != 0 {
		t.Error(got)
	}
	for i := range 200 {
		sorted = append(sorted, time.Duration(i+1))
	}
	for percent, want := range map[int]time.Duration{0: 1, 50: 100, 99: 198, 100: 200} {
		if got := percentile(sorted, percent); got != want {
			t.Errorf("percentile %d is %d, want %d", percent, got, want)
		}
	}
}
