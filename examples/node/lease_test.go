//go:build unix

package main

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/emberkv/ember/repl"
)

// refusesForLease checks that a write is refused for want of a lease.
func (p *process) refusesForLease(key string) {
	p.t.Helper()
	p.until("a write is refused for want of a lease", func() bool {
		r, err := p.try("PUT", "/keys/"+key, "v", "")
		return err == nil && r.status == http.StatusServiceUnavailable && strings.HasPrefix(r.body, "NOLEASE")
	})
}

// TestFencedNode: a node that is started with -fenced takes writes while a sentinel lets it, and
// after /disarm; and one that is not supervised by anybody needs none.
func TestFencedNode(t *testing.T) {
	t.Parallel()
	a := start(t, "a", "-fenced", "-priority", "7")
	a.refusesForLease("early")
	a.shows("ember_fenced:1", "ember_supervised:1", "ember_lease_armed:1", "ember_lease_granted:0")
	c, err := repl.DialControl(t.Context(), a.repl, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	eventually(t, func() error { // or a busy machine comes to write when the lease is over
		r, err := c.Poll(t.Context(), nil)
		if err != nil || r.Priority != 7 {
			t.Fatalf("%+v, %v", r, err)
		}
		if _, err := c.Poll(t.Context(), &repl.Poll{Grant: &repl.Grant{Stamp: r.Stamp, Lease: 2 * time.Second, Need: 1}}); err != nil {
			t.Fatal(err)
		}
		w, err := a.try("PUT", "/keys/during", "v", "")
		if err == nil && w.status != http.StatusNoContent {
			err = errors.New(w.body)
		}
		return err
	})
	a.refusesForLease("after")
	a.do(http.StatusNoContent, "POST", "/disarm", "", "")
	a.put("last", "v")
	a.has("during", "v")
	a.lacks("early")

	b := start(t, "b", "-follow", a.repl, "-priority", "0")
	b.shows("master_link_status:up", "slave_priority:0")
	a.terminate()
	b.promote()
	b.put("on", "v")
}
