package main

import (
	"context"
	"errors"
	"fmt"
	"net/rpc"
	"sync"
	"time"

	"github.com/emberkv/ember/repl/sentinel"
)

// A client writes one key after the other to whoever is the master. A write that fails is
// tried again, for as long as it takes: a failed one may stand or not, only a good one counts.
type client struct {
	cancel context.CancelFunc
	wg     sync.WaitGroup
	where  func(name string) string // where clients reach a node, or ""

	mu     sync.Mutex
	master sentinel.Reign
	link   *rpc.Client // to the master; nil without one
	acked  []string    // keys
	last   time.Time   // when the last write was acknowledged
	failed int         // attempts since the last lap
	gap    time.Duration
}

// newClient starts a client. The caller must call stop.
func newClient(ctx context.Context, sentinels []string, where func(name string) string) *client {
	c := &client{where: where}
	ctx, c.cancel = context.WithCancel(ctx)
	c.wg.Go(func() { c.follow(ctx, sentinels) })
	c.wg.Go(func() { c.write(ctx) })
	return c
}

// follow notes who the master is.
func (c *client) follow(ctx context.Context, sentinels []string) {
	for reign, err := range sentinel.Switches(ctx, sentinels, "", nil) {
		if err != nil {
			continue // it says when it hears of the sentinels again
		}
		c.mu.Lock()
		c.master = reign
		c.mu.Unlock()
		c.drop() // and the call that waits for the old one
	}
}

// connected returns a link to the master.
func (c *client) connected() (*rpc.Client, error) {
	c.mu.Lock()
	master, link := c.master, c.link
	c.mu.Unlock()
	if link != nil {
		return link, nil
	}
	if master.IsZero() {
		return nil, errors.New("there is no master yet")
	}
	link, err := rpc.Dial("tcp", c.where(master.Name))
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.master.ID != master.ID {
		link.Close()
		return nil, errors.New("there is another master")
	}
	c.link = link
	return link, nil
}

// drop ends the link to the master.
func (c *client) drop() {
	c.mu.Lock()
	link := c.link
	c.link = nil
	c.mu.Unlock()
	if link != nil {
		link.Close()
	}
}

func (c *client) write(ctx context.Context) {
	for n := 0; ctx.Err() == nil; {
		key := fmt.Sprintf("key:%08d", n)
		if err := c.set(key); err == nil {
			n++
			continue
		}
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// set writes one key and notes what came of it.
func (c *client) set(key string) error {
	link, err := c.connected()
	if err == nil {
		err = link.Call("Store.Set", Write{key, []byte("the value of " + key)}, &struct{}{})
	}
	if _, said := err.(rpc.ServerError); err != nil && !said {
		c.drop() // it is broken
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.failed++
		return err
	}
	now := time.Now()
	if !c.last.IsZero() {
		c.gap = max(c.gap, now.Sub(c.last))
	}
	c.acked, c.last = append(c.acked, key), now
	return nil
}

// A lap is what a client has seen for some time.
type lap struct {
	master sentinel.Reign
	writes int           // acknowledged since it was started
	last   time.Time     // when the last of them was
	failed int           // attempts in this lap
	gap    time.Duration // the longest time in this lap without one
}

// look returns how it stands.
func (c *client) look() lap {
	c.mu.Lock()
	defer c.mu.Unlock()
	return lap{c.master, len(c.acked), c.last, c.failed, c.gap}
}

// begin begins a new lap.
func (c *client) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failed, c.gap = 0, 0
}

// stop ends the client. It may be called twice.
func (c *client) stop() {
	c.cancel()
	c.drop() // and the call that waits
	c.wg.Wait()
	c.drop() // one that was made just then
}
