//go:build unix

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/emberkv/ember/repl"
)

// client speaks to all nodes. It has a time-out beyond every one of theirs.
var client = &http.Client{Timeout: 2 * patience}

// A reply is what a node answers.
type reply struct {
	status   int
	body     string
	position string
}

// try sends a request, with a position unless it is empty.
func (p *process) try(method, path, body, position string) (reply, error) {
	r, err := http.NewRequest(method, "http://"+p.http+path, strings.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	if position != "" {
		r.Header.Set(positionHeader, position)
	}
	resp, err := client.Do(r)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, string(text), resp.Header.Get(positionHeader)}, err
}

// do is try with a status that must come.
func (p *process) do(want int, method, path, body, position string) reply {
	p.t.Helper()
	r, err := p.try(method, path, body, position)
	if err != nil || r.status != want {
		p.t.Fatalf("%s: %s %s: %d, %q, %v, want %d", p.name, method, path, r.status, r.body, err, want)
	}
	return r
}

// put sets a key to a value and returns the position after it.
func (p *process) put(key, value string) string {
	p.t.Helper()
	return p.do(http.StatusNoContent, "PUT", "/keys/"+url.PathEscape(key), value, "").position
}

// fill sets n keys that begin with prefix.
func (p *process) fill(prefix string, n int) string {
	p.t.Helper()
	position := ""
	for i := range n {
		position = p.put(fmt.Sprintf("%s%d", prefix, i), prefix)
	}
	return position
}

// refuses says that a write here is answered with READONLY, and with whom this node
// follows.
func (p *process) refuses(key string, follows *process) {
	p.t.Helper()
	for _, method := range []string{"PUT", "DELETE"} {
		r := p.do(http.StatusForbidden, method, "/keys/"+url.PathEscape(key), "from a replica", "")
		if !strings.HasPrefix(r.body, "READONLY ") || !strings.Contains(r.body, " "+follows.repl+";") {
			p.t.Errorf("%s: %s on a replica: %q, want READONLY and %s", p.name, method, r.body, follows.repl)
		}
	}
}

// has says that a key has a value here now.
func (p *process) has(key, value string) {
	p.t.Helper()
	if r := p.do(http.StatusOK, "GET", "/keys/"+url.PathEscape(key), "", ""); r.body != value {
		p.t.Errorf("%s: %s is %q, want %q", p.name, key, r.body, value)
	}
}

// lacks says that a key is not here now.
func (p *process) lacks(key string) {
	p.t.Helper()
	p.do(http.StatusNotFound, "GET", "/keys/"+url.PathEscape(key), "", "")
}

// gets says that a key has a value here as soon as this node has what is at position.
// The node gives up earlier than a story does, so it is asked again.
func (p *process) gets(key, value, position string) {
	p.t.Helper()
	eventually(p.t, func() error {
		r, err := p.try("GET", "/keys/"+url.PathEscape(key), "", position)
		if err == nil && (r.status == http.StatusGatewayTimeout || r.status == http.StatusServiceUnavailable) {
			err = errors.New(r.body)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		if r.status != http.StatusOK || r.body != value {
			p.t.Fatalf("%s: %s at %s: %d, %.40q, want %.40q", p.name, key, position, r.status, r.body, value)
		}
		return nil
	})
}

// follow points the node at another one: "slaveof".
func (p *process) follow(up *process, allow ...string) {
	p.t.Helper()
	q := url.Values{"addr": {up.repl}, "allow": allow}
	p.do(http.StatusNoContent, "POST", "/follow?"+q.Encode(), "", "")
}

// promote makes the node a master: "slaveof no one".
func (p *process) promote() string {
	p.t.Helper()
	return p.do(http.StatusNoContent, "POST", "/promote", "", "").position
}

// waits returns how many replicas have applied position in time.
func (p *process) waits(replicas int, timeout time.Duration, position string) int {
	p.t.Helper()
	r := p.do(http.StatusOK, "POST", fmt.Sprintf("/wait?replicas=%d&timeout=%v", replicas, timeout), "", position)
	var got struct{ Replicas int }
	p.decode(r.body, &got)
	return got.Replicas
}

func (p *process) decode(text string, v any) {
	p.t.Helper()
	if err := json.Unmarshal([]byte(text), v); err != nil {
		p.t.Fatalf("%s: %q: %v", p.name, text, err)
	}
}

func (p *process) status() repl.Status {
	p.t.Helper()
	var s repl.Status
	p.decode(p.do(http.StatusOK, "GET", "/status", "", "").body, &s)
	return s
}

// complains waits until the node says that its link went down for this reason.
func (p *process) complains(reason string) {
	p.t.Helper()
	eventually(p.t, func() error {
		if up := p.status().Upstream; up == nil || !strings.Contains(up.LastError, reason) {
			return fmt.Errorf("%s: upstream is %+v, want an error with %q", p.name, up, reason)
		}
		return nil
	})
}

// syncs returns how many full copies and partial resyncs the node has had from
// upstreams.
func (p *process) syncs() (full, partial int64) {
	p.t.Helper()
	s := p.status()
	if s.Upstream == nil {
		return 0, 0
	}
	return s.Upstream.Fulls, s.Upstream.Partials
}

// info returns the fields of GET /info.
func (p *process) info() map[string]string {
	p.t.Helper()
	fields := make(map[string]string)
	for line := range strings.SplitSeq(p.do(http.StatusOK, "GET", "/info", "", "").body, "\r\n") {
		if name, value, ok := strings.Cut(line, ":"); ok {
			fields[name] = value
		}
	}
	return fields
}

// shows waits until these fields of GET /info, given as "name:value", are so.
func (p *process) shows(fields ...string) {
	p.t.Helper()
	eventually(p.t, func() error {
		got := p.info()
		for _, field := range fields {
			name, want, _ := strings.Cut(field, ":")
			if value, ok := got[name]; value != want || !ok {
				return fmt.Errorf("%s: %s is %q, want %q", p.name, name, value, want)
			}
		}
		return nil
	})
}

// same waits until the nodes stand at one position and hold the same.
func same(t *testing.T, nodes ...*process) {
	t.Helper()
	eventually(t, func() error {
		digests := make(map[string]string)
		for _, p := range nodes {
			digests[p.do(http.StatusOK, "GET", "/digest", "", "").body] += " " + p.name
		}
		if len(digests) > 1 {
			return fmt.Errorf("nodes differ: %v", digests)
		}
		return nil
	})
}

// historyOf returns the history in a position.
func historyOf(position string) string {
	history, _, _ := strings.Cut(position, "-")
	return history
}

// offsetOf returns the offset in a position.
func offsetOf(position string) string {
	_, offset, _ := strings.Cut(position, "-")
	return offset
}

// portOf returns the port of an address.
func portOf(addr string) string {
	_, port, _ := strings.Cut(addr, ":")
	return port
}
