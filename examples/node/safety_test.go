//go:build unix

package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// refusesForWant writes, and expects that the node lacks replicas and says why. It may say
// something else at first: on a busy machine a replica is not near for a moment.
func (p *process) refusesForWant(key, why string) {
	p.t.Helper()
	eventually(p.t, func() error {
		r := p.do(http.StatusServiceUnavailable, "PUT", "/keys/"+key, "refused", "")
		if !strings.HasPrefix(r.body, "NOREPLICAS") {
			p.t.Fatalf("%s: PUT %s: %q", p.name, key, r.body)
		}
		if !strings.Contains(r.body, why) {
			return fmt.Errorf("%s: PUT %s: %q, want %q", p.name, key, r.body, why)
		}
		return nil
	})
}

// takes writes until the node takes it.
func (p *process) takes(key, value string) (position string) {
	p.t.Helper()
	eventually(p.t, func() error {
		r, err := p.try("PUT", "/keys/"+key, value, "")
		if err == nil && r.status != http.StatusNoContent {
			err = fmt.Errorf("%s: PUT %s: %d %s", p.name, key, r.status, r.body)
		}
		position = r.position
		return err
	})
	return position
}

// TestTooFewReplicas: a master with -min-replicas takes writes while as many are near, and
// stops within -max-lag when they die or hang. A master that another has taken the place of
// can so not go on for long.
func TestTooFewReplicas(t *testing.T) {
	t.Parallel()
	a := start(t, "a", "-heartbeat", "50ms", "-min-replicas", "2", "-max-lag", "500ms")
	a.refusesForWant("k", "want 2 within 500ms, have 0")
	b := start(t, "b", "-follow", a.repl, "-heartbeat", "50ms")
	b.shows("master_link_status:up")
	a.shows("ember_near_slaves:1")
	a.refusesForWant("k", "want 2 within 500ms, have 1")
	a.lacks("k")
	c := start(t, "c", "-follow", a.repl, "-heartbeat", "50ms")
	written := a.takes("k", "v")
	b.gets("k", "v", written)
	c.gets("k", "v", written)
	a.shows("min_slaves_good_slaves:2", "ember_min_replicas:2")

	c.freeze()
	time.Sleep(500 * time.Millisecond)
	a.refusesForWant("during", "have 1")
	a.has("k", "v")
	c.thaw()
	written = a.takes("after", "v")
	c.gets("after", "v", written)

	b.kill()
	a.shows("connected_slaves:1")
	a.refusesForWant("during", "have 1")
	b = start(t, "b again", "-follow", a.repl, "-heartbeat", "50ms")
	a.takes("last", "v")
	b.lacks("during")
	same(t, a, b, c)
}

// takesInTime writes until the replicas have a write within the time-out, which on a busy machine
// they may not at first, and returns the value that they have then: each try has its own.
func (p *process) takesInTime(key string) (value string) {
	p.t.Helper()
	eventually(p.t, func() error {
		value += "v"
		r, err := p.try("PUT", "/keys/"+key, value, "")
		switch {
		case err == nil && r.status == http.StatusGatewayTimeout:
			return fmt.Errorf("%s: PUT %s: %s", p.name, key, r.body)
		case err != nil || r.status != http.StatusNoContent:
			p.t.Fatalf("%s: PUT %s: %d, %q, %v", p.name, key, r.status, r.body, err)
		}
		return nil
	})
	return value
}

// TestWritesThatWait: with -ack a write is answered when the replicas have it. When they
// are not there it stands all the same, and the answer says so.
func TestWritesThatWait(t *testing.T) {
	t.Parallel()
	a := start(t, "a", "-ack", "1")
	r := a.do(http.StatusGatewayTimeout, "PUT", "/keys/early", "v", "")
	if !strings.HasPrefix(r.body, "NOTACKED") || r.position == "" {
		t.Errorf("%q at %q", r.body, r.position)
	}
	a.has("early", "v")
	b := start(t, "b", "-follow", a.repl)
	b.shows("master_link_status:up")
	for i := range 20 {
		key := fmt.Sprint("k", i)
		value := a.takesInTime(key)
		b.has(key, value) // without a position: it is there before the answer is
	}
	b.has("early", "v")
}
