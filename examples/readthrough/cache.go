package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/kv"
)

// positionHeader carries a place in the group's log.
const positionHeader = "Ember-Position"

// newCache returns the cache of a node's store. The node at the URL ask is asked to load
// what this one cannot keep, because it is a replica; it is empty for a master.
func newCache(s *kv.Store, ask string) (*kv.Map[int, product], error) {
	opts := &kv.MapOptions[int, product]{
		Load: func(ctx context.Context, id int) (product, time.Duration, error) {
			p, err := fetch(ctx, id)
			return p, 0, err
		},
		TTL:          10 * time.Minute,
		RefreshAfter: 2 * time.Second, // soon, for it to be seen
		NegativeTTL:  time.Second,
		LoadTimeout:  10 * time.Second,

		// A node that has died refuses at once; one that is busy is not to be given up.
		ForwardTimeout: 5 * time.Second,
	}
	if ask != "" {
		opts.Forward = forwarder(ask)
	}
	return kv.NewMap(s, "product:", opts)
}

// forwarder returns a hook that has the node at a URL load a product.
func forwarder(ask string) func(context.Context, int) (backlog.Position, error) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: kv.DefaultMaxLoads}}
	return func(ctx context.Context, id int) (backlog.Position, error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, fmt.Sprintf("%s/load/%d", ask, id), nil)
		if err != nil {
			return backlog.Position{}, err
		}
		answer, err := client.Do(r)
		if err != nil {
			return backlog.Position{}, err
		}
		answer.Body.Close()
		switch answer.StatusCode {
		case http.StatusNoContent:
			return backlog.ParsePosition(answer.Header.Get(positionHeader))
		case http.StatusNotFound:
			return backlog.Position{}, kv.ErrNotFound
		}
		return backlog.Position{}, fmt.Errorf("%s answers %s", ask, answer.Status)
	}
}
