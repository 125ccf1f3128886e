//go:build unix

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// A town is three nodes and three sentinels. Its methods are for the test's goroutine; only the
// nodes by their address are for others, too.
type town struct {
	t         *testing.T
	flags     []string // of each node
	sentinels []*process

	mu    sync.Mutex
	nodes map[string]*process // by -repl
}

// newTown starts a group, with these flags for each node, whose sentinels wait for so long until
// they find a node down. Both replicas must be heard before one is promoted: so with -ack 1 a
// write that was acknowledged survives the loss of one node.
func newTown(t *testing.T, downAfter string, flags ...string) *town {
	t.Helper()
	c := &town{t: t, flags: flags, nodes: make(map[string]*process)}
	a := c.start("a")
	c.start("b", "-follow", a.repl)
	c.start("c", "-follow", a.repl)
	for _, name := range []string{"s1", "s2", "s3"} {
		c.sentinels = append(c.sentinels, watchover(t, name, "-monitor", a.repl, "-down-after", downAfter, "-min-heard", "2"))
	}
	c.awaitMaster("")
	// All know all: the majority is of three, and each replica can be promoted.
	for _, s := range c.sentinels {
		eventually(t, func() error {
			var known struct{ Nodes, Sentinels []any }
			s.decode(s.do(http.StatusOK, "GET", "/sentinel", "", "").body, &known)
			if len(known.Nodes) != 3 || len(known.Sentinels) != 2 {
				return fmt.Errorf("%s knows %d nodes and %d sentinels", s.name, len(known.Nodes), len(known.Sentinels))
			}
			return nil
		})
	}
	return c
}

// start starts a node, or starts it again.
func (c *town) start(name string, flags ...string) *process {
	c.t.Helper()
	p := start(c.t, name, append(flags, c.flags...)...)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nodes[p.repl] = p
	return p
}

// restart starts a node that was killed, at its address, as a replica of up. It returns
// when that has caught up.
func (c *town) restart(old, up *process) {
	c.t.Helper()
	p := c.start(old.name, "-repl", old.repl, "-follow", up.repl)
	p.shows("role:slave", "master_link_status:up")
}

func (c *town) node(addr string) *process {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nodes[addr]
}

func (c *town) all() []*process {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []*process
	for _, p := range c.nodes {
		all = append(all, p)
	}
	return all
}

// masterOf returns the node that a sentinel takes for the master, or nil. It may be called by
// any goroutine.
func (c *town) masterOf(s *process) *process {
	r, err := s.try("GET", "/master", "", "")
	var m master
	if err != nil || r.status != http.StatusOK || json.Unmarshal([]byte(r.body), &m) != nil {
		return nil
	}
	return c.node(m.Addr)
}

// awaitMaster returns the master as soon as all sentinels name the same, which is not the node
// at that address.
func (c *town) awaitMaster(not string) *process {
	c.t.Helper()
	var m *process
	eventually(c.t, func() error {
		m = c.masterOf(c.sentinels[0])
		for _, s := range c.sentinels {
			if other := c.masterOf(s); other == nil || other != m || other.repl == not {
				return errors.New("the sentinels name no other master, or not the same")
			}
		}
		return nil
	})
	return m
}

// A clerk writes one key after the other to whoever the sentinels name.
type clerk struct {
	town *town
	stop chan struct{}
	wg   sync.WaitGroup

	mu    sync.Mutex
	acked []string // keys
}

// hasty is how a clerk speaks to nodes, of which one may be dead.
var hasty = &http.Client{Timeout: 500 * time.Millisecond}

// newClerk starts a clerk, which ends with the test if it was not ended before.
func (c *town) newClerk() *clerk {
	w := &clerk{town: c, stop: make(chan struct{})}
	w.wg.Go(w.run)
	c.t.Cleanup(w.end)
	return w
}

func (w *clerk) run() {
	for n := 0; ; {
		select {
		case <-w.stop:
			return
		case <-time.After(time.Millisecond):
		}
		to := w.town.masterOf(w.town.sentinels[n%3])
		key := fmt.Sprintf("clerk:%05d", n)
		if to == nil || put(hasty, to, key) != http.StatusNoContent {
			continue
		}
		n++
		w.mu.Lock()
		w.acked = append(w.acked, key)
		w.mu.Unlock()
	}
}

// put writes a key and returns the status of the answer, or 0 without one.
func put(by *http.Client, to *process, key string) int {
	r, err := http.NewRequest("PUT", "http://"+to.http+"/keys/"+key, strings.NewReader("v"))
	if err != nil {
		return 0
	}
	resp, err := by.Do(r)
	if err != nil {
		return 0
	}
	resp.Body.Close()
	return resp.StatusCode
}

// writes waits until some more writes are acknowledged.
func (w *clerk) writes() {
	w.town.t.Helper()
	before := len(w.keys())
	eventually(w.town.t, func() error {
		if n := len(w.keys()); n < before+5 {
			return fmt.Errorf("%d writes after %d", n, before)
		}
		return nil
	})
}

func (w *clerk) keys() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.acked
}

// end ends the clerk. It may be called twice.
func (w *clerk) end() {
	w.mu.Lock()
	select {
	case <-w.stop:
	default:
		close(w.stop)
	}
	w.mu.Unlock()
	w.wg.Wait()
}

// holds says that the nodes are alike and have all of these keys.
func (c *town) holds(keys []string) {
	c.t.Helper()
	same(c.t, c.all()...)
	m := c.awaitMaster("")
	for _, key := range keys {
		if r, err := m.try("GET", "/keys/"+key, "", ""); err != nil || r.status != http.StatusOK {
			c.t.Errorf("%s is lost, which was acknowledged: %d, %s, %v", key, r.status, r.body, err)
		}
	}
}
