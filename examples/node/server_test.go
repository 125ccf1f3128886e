package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/kv"
)

// An api is a master with its HTTP API, in this process.
type api struct {
	url    string
	repl   string // address
	store  *kv.Store
	client *http.Client
	end    context.CancelFunc // as a signal does
	ended  chan error         // what serve has returned
}

func serveMaster(t *testing.T) *api {
	t.Helper()
	ctx, end := context.WithCancel(t.Context())
	n, err := openNode(ctx, config{httpAddr: "127.0.0.1:0", replAddr: "127.0.0.1:0"}, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	a := &api{"http://" + n.httpListener.Addr().String(), n.replListener.Addr().String(), n.store, &http.Client{}, end, make(chan error, 1)}
	go func() { a.ended <- n.serve(ctx) }()
	t.Cleanup(func() { a.client.CloseIdleConnections(); end(); a.ended <- <-a.ended })
	return a
}

// do sends a request and returns status, body and position.
func (a *api) do(t *testing.T, method, path string, body io.Reader) (int, string, backlog.Position) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, a.url+path, body)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := a.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	return read(t, resp)
}

func read(t *testing.T, resp *http.Response) (int, string, backlog.Position) {
	t.Helper()
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	pos, err := backlog.ParsePosition(resp.Header.Get(positionHeader))
	if err != nil {
		t.Errorf("%s: %v", positionHeader, err)
	}
	return resp.StatusCode, string(text), pos
}

// raw sends bytes as they are, ends its side of the connection, and returns the answer.
func (a *api) raw(t *testing.T, request string) *http.Response {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(a.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	io.WriteString(conn, request)
	conn.(*net.TCPConn).CloseWrite()
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("%q: %v", request, err)
	}
	return resp
}

// oddKeys are keys that a path might not survive.
func oddKeys() []string {
	var all [256]byte
	for i := range all {
		all[i] = byte(i)
	}
	return []string{
		"a", "a/b", "/a", "a/", "//", "a//b", ".", "..", "../a", "a/../b", "/./", "%", "%2F", "%2f", "%zz", "a%00",
		"\x00", "\xff\xfe", "caf\u00e9", " ", "+", "a b", "?", "a?ttl=1", "#", "a#b", ":", "&", "=", ";", "\\", "\r\n",
		string(all[:]), strings.Repeat("/\xff", 1<<14), strings.Repeat("\x00", 1<<16-1),
	}
}

func TestKeysAreArbitraryBytes(t *testing.T) {
	a := serveMaster(t)
	for _, key := range oddKeys() {
		name := fmt.Sprintf("%.20q", key)
		path := "/keys/" + url.PathEscape(key)
		value := "\x00value of " + key
		status, _, pos := a.do(t, "PUT", path, strings.NewReader(value))
		if status != http.StatusNoContent || pos != a.store.Position() {
			t.Errorf("PUT %s: %d at %v, want 204 at %v", name, status, pos, a.store.Position())
		}
		if got, err := a.store.Get(key); string(got) != value {
			t.Errorf("%s in the store: %.20q, %v", name, got, err)
		}
		if status, got, _ := a.do(t, "GET", path, nil); status != http.StatusOK || got != value {
			t.Errorf("GET %s: %d, %.20q", name, status, got)
		}
	}
	var listed []string
	_, text, _ := a.do(t, "GET", "/keys", nil)
	if err := json.Unmarshal([]byte(text), &listed); err != nil {
		t.Fatal(err)
	}
	for i, key := range listed {
		listed[i], _ = url.PathUnescape(key)
	}
	if want := slices.Sorted(slices.Values(oddKeys())); !slices.Equal(listed, want) {
		t.Errorf("listed are %.20q, want %.20q", listed, want)
	}
	for _, key := range oddKeys() {
		path := "/keys/" + url.PathEscape(key)
		for _, want := range []int{http.StatusNoContent, http.StatusNotFound} {
			if status, _, _ := a.do(t, "DELETE", path, nil); status != want {
				t.Errorf("DELETE %.20q: %d, want %d", key, status, want)
			}
		}
		if status, _, _ := a.do(t, "GET", path, nil); status != http.StatusNotFound {
			t.Errorf("GET %.20q after DELETE: %d", key, status)
		}
	}
}

func TestList(t *testing.T) {
	a := serveMaster(t)
	for i := range 500 {
		for _, kind := range []string{"user/", "user\xff", "z"} {
			if err := a.store.Set(fmt.Sprintf("%s%03d", kind, i*7%500), nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, c := range []struct {
		query       string
		first, last string
		n           int
	}{
		{"", "user%2F000", "user%FF499", 1000},
		{"?prefix=&limit=", "user%2F000", "user%FF499", 1000},
		{"?limit=100000", "user%2F000", "z499", 1500},
		{"?limit=3", "user%2F000", "user%2F002", 3},
		{"?prefix=z&limit=7", "z000", "z006", 7},
		{"?prefix=user%FF&limit=499", "user%FF000", "user%FF498", 499},
		{"?prefix=user%2F49", "user%2F490", "user%2F499", 10},
		{"?prefix=none", "", "", 0},
	} {
		status, text, _ := a.do(t, "GET", "/keys"+c.query, nil)
		var keys []string
		if err := json.Unmarshal([]byte(text), &keys); err != nil || status != http.StatusOK || keys == nil {
			t.Errorf("%q: %d, %.20q, %v", c.query, status, text, err)
			continue
		}
		if len(keys) != c.n || c.n > 0 && (keys[0] != c.first || keys[c.n-1] != c.last) || !slices.IsSorted(keys) {
			t.Errorf("%q: %d keys, %.40q, want %d, %s to %s", c.query, len(keys), keys, c.n, c.first, c.last)
		}
	}
}

// TestListIsBounded: a list that would take too much memory is refused, and a shorter one
// is had.
func TestListIsBounded(t *testing.T) {
	t.Parallel()
	a := serveMaster(t)
	for i := range 100 {
		key := strings.Repeat("\x00", 1<<16-4) + fmt.Sprintf("%03d", i)
		if err := a.store.Set(key, nil); err != nil {
			t.Fatal(err)
		}
	}
	if status, text, _ := a.do(t, "GET", "/keys", nil); status != http.StatusBadRequest || !strings.Contains(text, "ask for fewer") {
		t.Errorf("%d, %.80q; want 400 and advice", status, text)
	}
	if status, text, _ := a.do(t, "GET", "/keys?limit=50", nil); status != http.StatusOK || len(text) < 50*3*(1<<16-4) {
		t.Errorf("fewer: %d, %d bytes", status, len(text))
	}
}

// TestBadRequests: each gets a status of its own, a line that says why, and a position,
// and changes nothing.
func TestBadRequests(t *testing.T) {
	a := serveMaster(t)
	own := a.store.Position().History
	for _, c := range []struct {
		request string // without version and end
		header  string
		status  int
		says    string
	}{
		{"GET /", "", 404, "nothing is at /"},
		{"GET /key/a", "", 404, "nothing is at /key/a"},
		{"GET //keys/a", "", 404, "nothing is at //keys/a"},
		{"OPTIONS *", "", 404, "nothing is at *"},
		{"PUT /keys", "", 405, "want GET"},
		{"PATCH /keys/a", "", 405, "want DELETE, GET, PUT"},
		{"GET /promote", "", 405, "want POST"},
		{"POST /status", "", 405, "want GET"},
		{"GET /keys/", "", 400, "empty key"},
		{"PUT /keys/", "", 400, "empty key"},
		{"DELETE /keys/", "", 400, "empty key"},
		{"PUT /keys/" + strings.Repeat("k", 1<<16), "", 414, "too large"},
		{"GET /keys/a", "", 404, "not found"},
		{"DELETE /keys/a", "", 404, "not found"},
		{"PUT /keys/a?ttl=%zz", "", 400, "escape"},
		{"PUT /keys/a?tll=10s", "", 400, `"tll"`},
		{"PUT /keys/a?ttl=", "", 400, "ttl"},
		{"PUT /keys/a?ttl=10", "", 400, "ttl"},
		{"PUT /keys/a?ttl=0s", "", 400, "ttl"},
		{"PUT /keys/a?ttl=-1s", "", 400, "ttl"},
		{"PUT /keys/a?ttl=1ns", "", 400, "ttl"},
		{"PUT /keys/a?ttl=2000000h", "", 400, "ttl"},
		{"PUT /keys/a", "Content-Length: 99999999999", 413, "larger than 33554432 bytes"},
		{"PUT /keys/a", "Content-Length: 10", 400, "unexpected EOF"},
		{"PUT /keys/a", "Transfer-Encoding: chunked", 400, "unexpected EOF"},
		{"GET /keys?limit=0", "", 400, "limit"},
		{"GET /keys?limit=-1", "", 400, "limit"},
		{"GET /keys?limit=100001", "", 400, "limit"},
		{"GET /keys?limit=x", "", 400, "limit"},
		{"GET /keys?prefix=%f", "", 400, "escape"},
		{"GET /keys/a?prefix=b", "", 400, "prefix"},
		{"GET /digest", "Ember-Position: somewhere", 400, "somewhere"},
		{"GET /digest", "Ember-Position: " + own.String() + "--1", 400, "Ember-Position"},
		{"GET /digest", "Ember-Position: " + backlog.NewHistory().String() + "-0", 409, "no history of this node"},
		{"POST /wait", "", 400, "replicas"},
		{"POST /wait?replicas=-1", "", 400, "replicas"},
		{"POST /wait?replicas=1&timeout=soon", "", 400, "timeout"},
		{"POST /wait?replicas=1&timeout=2h", "", 400, "timeout"},
		{"POST /wait?replicas=1", "Ember-Position: " + backlog.NewHistory().String() + "-0", 409, "history"},
		{"POST /handover", "", 400, "to is missing"},
		{"POST /handover?to=nobody", "", 404, "nobody"},
		{"POST /handover?to=b&timeout=0s", "", 400, "timeout"},
		{"POST /handover?to=b&timeout=2h", "", 400, "timeout"},
		{"POST /follow", "", 400, "addr"},
		{"POST /follow?addr=nowhere", "", 400, "port"},
		{"POST /follow?addr=127.0.0.1:port", "", 400, "port"},
		{"POST /follow?addr=127.0.0.1:0", "", 400, "port"},
		{"POST /follow?addr=127.0.0.1:", "", 400, "port"},
		{"POST /promote", "Origin: http://elsewhere.example", 403, "another site"},
		{"POST /promote", "Sec-Fetch-Site: cross-site", 403, "another site"},
		{"PUT /keys/a", "Sec-Fetch-Site: same-site", 403, "another site"},
		{"POST /follow?addr=name.invalid:7001", "", 400, "name.invalid"},
		{"POST /follow?addr=127.0.0.1:7001&allow=all", "", 400, "allow"},
		{"POST /follow?addr=127.0.0.1:7001&allow=empty&allow=", "", 400, "allow"},
		{"POST /follow?addr=" + a.repl, "", 400, "this node"},
		{"POST /promote?force=1", "", 400, "force"},
	} {
		resp := a.raw(t, c.request+" HTTP/1.1\r\nHost: node\r\n"+c.header+"\r\n\r\n")
		status, text, pos := read(t, resp)
		name := fmt.Sprintf("%.50s %s", c.request, c.header)
		if status != c.status || !strings.Contains(text, c.says) || strings.Count(text, "\n") != 1 {
			t.Errorf("%s: %d, %.200q, want %d and one line with %q", name, status, text, c.status, c.says)
		}
		if pos != a.store.Position() {
			t.Errorf("%s: at %s, want %s", name, pos, a.store.Position())
		}
		if allow := resp.Header.Get("Allow"); (allow != "") != (status == http.StatusMethodNotAllowed) {
			t.Errorf("%s: %d with Allow: %q", name, status, allow)
		}
	}
	if n := a.store.Len(); n != 0 || a.store.Position().Offset != 0 {
		t.Errorf("the store has %d keys and is at %s", n, a.store.Position())
	}
}

// TestHead: HEAD is GET without the body, its status and position included.
func TestHead(t *testing.T) {
	a := serveMaster(t)
	a.do(t, "PUT", "/keys/there", strings.NewReader("value"))
	for path, want := range map[string]int{"/keys/there": 200, "/keys/not": 404, "/status": 200, "/promote": 405} {
		status, body, pos := a.do(t, "HEAD", path, nil)
		if status != want || body != "" || pos != a.store.Position() {
			t.Errorf("HEAD %s: %d, %q, %v, want %d, no body and %v", path, status, body, pos, want, a.store.Position())
		}
	}
}

// TestBrokenEscape: package net/http refuses the path before a handler sees it.
func TestBrokenEscape(t *testing.T) {
	resp := serveMaster(t).raw(t, "GET /keys/%zz HTTP/1.1\r\nHost: node\r\n\r\n")
	if resp.StatusCode != http.StatusBadRequest {
		t.Errorf("status is %d, want 400", resp.StatusCode)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// TestLargestValue sends bodies at and over the limit that say nothing of their length.
func TestLargestValue(t *testing.T) {
	t.Parallel()
	a := serveMaster(t)
	for size, want := range map[int64]int{maxValueBytes: 204, maxValueBytes + 1: 413} {
		if status, text, _ := a.do(t, "PUT", fmt.Sprintf("/keys/%d", size), io.LimitReader(zeros{}, size)); status != want {
			t.Errorf("%d bytes: %d, %q, want %d", size, status, text, want)
		}
	}
	if v, err := a.store.Get(fmt.Sprint(maxValueBytes)); len(v) != maxValueBytes {
		t.Errorf("the value at the limit has %d bytes, %v", len(v), err)
	}
	if a.store.Len() != 1 {
		t.Errorf("there are %d keys, want 1", a.store.Len())
	}
}

// TestDeadlines: a key with a ttl is there, and then is not.
func TestDeadlines(t *testing.T) {
	a := serveMaster(t)
	a.do(t, "PUT", "/keys/long?ttl=1h", strings.NewReader("x"))
	if ttl, err := a.store.TTL("long"); err != nil || ttl <= 59*time.Minute || ttl > time.Hour {
		t.Errorf("ttl is %v, %v, want an hour", ttl, err)
	}
	a.do(t, "PUT", "/keys/long", strings.NewReader("y"))
	if ttl, err := a.store.TTL("long"); ttl != kv.NoTTL {
		t.Errorf("ttl is %v, %v after a PUT without one", ttl, err)
	}
	a.do(t, "PUT", "/keys/short?ttl=1ms", strings.NewReader("x"))
	eventually(t, func() error {
		if status, _, _ := a.do(t, "GET", "/keys/short", nil); status != http.StatusNotFound {
			return fmt.Errorf("the key with a deadline: %d", status)
		}
		return nil
	})
}

// TestRequestsEndWithTheNode: one that waits is let go when the node closes, and told so. If it were
// not, its connection would be closed, without an answer, after shutdownTimeout.
func TestRequestsEndWithTheNode(t *testing.T) {
	a := serveMaster(t)
	go func() {
		// Nothing but its stack tells that the request waits.
		stacks := make([]byte, 1<<20)
		for t.Context().Err() == nil && !bytes.Contains(stacks[:runtime.Stack(stacks, true)], []byte("(*server).wait(")) {
			runtime.Gosched()
		}
		a.end()
	}()
	status, text, _ := a.do(t, "POST", "/wait?replicas=1&timeout=1m", nil)
	if status != http.StatusServiceUnavailable || !strings.Contains(text, "this node is closing") {
		t.Errorf("%d, %q, want 503, as this node is closing", status, text)
	}
	err := <-a.ended
	a.ended <- err
	if err != nil {
		t.Errorf("serve returned %v", err)
	}
}
