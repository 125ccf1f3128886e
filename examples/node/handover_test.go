//go:build unix

package main

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestHandover: the master gives its place to a replica while clients write to both, each
// to the one that takes it. Nothing that was answered with 204 is lost, nobody takes a full
// copy, and the other replica goes on through the old master.
func TestHandover(t *testing.T) {
	t.Parallel()
	a := start(t, "a", patient)
	b := start(t, "b", "-follow", a.repl, patient)
	c := start(t, "c", "-follow", a.repl, patient)
	written := a.fill("k", 20)
	b.gets("k19", "k", written)
	c.gets("k19", "k", written)

	var mu sync.Mutex
	acked := make(map[string]string)
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for i := range 2 {
		clients.Go(func() {
			at := a
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				key, value := fmt.Sprintf("c%d-%d", i, n%10), fmt.Sprint(n)
				r, err := at.try("PUT", "/keys/"+key, value, "")
				switch {
				case err == nil && r.status == http.StatusNoContent:
					mu.Lock()
					acked[key] = value
					mu.Unlock()
				case err == nil && r.status == http.StatusForbidden && strings.Contains(r.body, b.repl):
					at = b // it says who takes them
				default:
					t.Errorf("PUT on %s: %d, %s, %v", at.name, r.status, r.body, err)
					return
				}
			}
		})
	}
	time.Sleep(50 * time.Millisecond)
	r := a.do(http.StatusNoContent, "POST", "/handover?to=b&timeout=30s", "", "")
	b.shows("role:master")
	b.gets("k19", "k", r.position) // all that the old master had
	time.Sleep(50 * time.Millisecond)
	close(stop)
	clients.Wait()
	for key, value := range acked {
		b.has(key, value)
	}
	a.refuses("k0", b)
	written = b.put("after", "v")
	a.gets("after", "v", written)
	c.gets("after", "v", written)
	same(t, a, b, c)
	if full, _ := a.syncs(); full != 0 {
		t.Errorf("the old master took %d full copies", full)
	}
	if full, partial := c.syncs(); full != 1 || partial != 0 {
		t.Errorf("the other replica took %d full and %d partial syncs, want its first copy and no more", full, partial)
	}
	if r, err := a.try("POST", "/handover?to=b", "", ""); err != nil || r.status != http.StatusConflict {
		t.Errorf("a replica that is to hand over: %d, %s, %v", r.status, r.body, err)
	}
}

// TestHandoverToOneThatHangs: the replica does not answer; the master says so in time and
// goes on, and with it whoever wrote meanwhile. When the replica is back it has missed
// nothing, and can take over.
func TestHandoverToOneThatHangs(t *testing.T) {
	t.Parallel()
	a := start(t, "a")
	b := start(t, "b", "-follow", a.repl)
	b.gets("k9", "k", a.fill("k", 10))
	b.freeze()
	begun := time.Now()
	r, err := a.try("POST", "/handover?to=b&timeout=300ms", "", "")
	if took := time.Since(begun); err != nil || r.status != http.StatusServiceUnavailable || !strings.Contains(r.body, "goes on as the master") || took > patience {
		t.Errorf("after %v: %d, %s, %v", took, r.status, r.body, err)
	}
	written := a.put("k", "v")
	a.shows("role:master")
	b.thaw()
	b.gets("k", "v", written)
	a.do(http.StatusNoContent, "POST", "/handover?to=b&timeout=30s", "", "")
	b.shows("role:master")
	a.gets("new", "v", b.put("new", "v"))
	same(t, a, b)
}
