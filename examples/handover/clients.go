package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/emberkv/ember/repl"
)

// clients write all the while, and go to whoever takes the writes: a replica says who.
type clients struct {
	done context.CancelFunc
	wg   sync.WaitGroup

	mu    sync.Mutex
	nodes []*node
	acked map[string]string // what was acknowledged, the last of each key
	laps
}

// laps is what clients have seen since somebody has asked.
type laps struct {
	writes, moved int
	slowest       time.Duration
	err           error
}

func (l laps) String() string {
	return fmt.Sprintf("%d writes meanwhile the slowest took %v, %d were sent to another node, none failed",
		l.writes, l.slowest.Round(10*time.Microsecond), l.moved)
}

func newClients(nodes ...*node) *clients {
	ctx, cancel := context.WithCancel(context.Background())
	c := &clients{done: cancel, nodes: nodes, acked: make(map[string]string)}
	for id := range 4 {
		c.wg.Go(func() { c.run(ctx, id) })
	}
	return c
}

func (c *clients) run(ctx context.Context, id int) {
	at := 0
	for n := 0; ctx.Err() == nil; n++ {
		c.mu.Lock()
		to := c.nodes[at]
		c.mu.Unlock()
		key, value := fmt.Sprintf("client-%d:%d", id, n%1000), fmt.Sprint(n)
		began := time.Now()
		err := to.store.Set(key, []byte(value))
		at = c.note(key, value, time.Since(began), at, err)
		time.Sleep(50 * time.Microsecond) // as clients that have something else to do
	}
}

// note records how a write ended and returns where the next one goes.
func (c *clients) note(key, value string, took time.Duration, at int, err error) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.slowest = max(c.slowest, took)
	var readOnly *repl.ReadOnlyError
	switch {
	case err == nil:
		c.acked[key] = value
		c.writes++
	case errors.As(err, &readOnly):
		c.moved++
		for i, n := range c.nodes {
			if n.addr == readOnly.Master {
				return i
			}
		}
		return (at + 1) % len(c.nodes) // it has moved on
	case c.err == nil:
		c.err = err
	}
	return at
}

// lap returns what was seen since the last time, and begins anew.
func (c *clients) lap() laps {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.laps
	c.laps = laps{err: l.err}
	return l
}

// replace puts another node in place of the i-th.
func (c *clients) replace(i int, n *node) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nodes[i] = n
}

// stop ends them. It may be called more than once.
func (c *clients) stop() {
	c.done()
	c.wg.Wait()
}

// compare waits until all nodes have what the master has now, looks whether it has all that
// was acknowledged, and says how they stand.
func (s *story) compare(master *node) error {
	ctx, cancel := context.WithTimeout(s.ctx, 40*time.Second)
	defer cancel()
	s.clients.mu.Lock()
	acked, err := len(s.clients.acked), s.clients.err
	for key := range s.clients.acked {
		if has, _ := master.store.Has(key); !has {
			err = fmt.Errorf("%s has lost %s", master.name, key)
		}
	}
	s.clients.mu.Unlock()
	if err != nil {
		return err
	}
	at := master.store.Position()
	for _, n := range []*node{s.a, s.b, s.c} {
		if err := n.store.Wait(ctx, at); err != nil {
			return fmt.Errorf("%s does not come to %s: %w; %+v", n.name, at, err, n.member.Status().Upstream)
		}
		follows := "takes the writes"
		st := n.member.Status()
		if u := st.Upstream; u != nil {
			follows = fmt.Sprintf("follows %s, full copies so far: %d", u.Peer.Name, u.Fulls)
			if u.Fulls > 1 && st.Counters.LostTails == 0 {
				return fmt.Errorf("%s took %d full copies", n.name, u.Fulls)
			}
		}
		fmt.Fprintf(s.out, "  %s  %-8s %s\n", n.name, st.Role, follows)
	}
	fmt.Fprintf(s.out, "  %s has all of %d keys that were acknowledged\n", master.name, acked)
	return nil
}
