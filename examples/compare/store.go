package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/emberkv/ember/kv"
)

// A store is one of those that are compared. Keys and values are the caller's and
// change after the call: what a store keeps it has to copy. All methods may be called
// concurrently.
type store interface {
	Set(key, value []byte) error

	// Get returns the value, or nil when the key is not there. It is the store's memory
	// or a copy, as the store does it, and only read.
	Get(key []byte) []byte

	Delete(key []byte) error

	// Close ends what the store has running.
	Close() error
}

// A ranger is a store that keeps its keys in order.
type ranger interface {
	// Range visits keys from from on, in ascending order, with their values, until visit
	// returns false. The slices are good until it returns.
	Range(from []byte, visit func(key, value []byte) bool)
}

// A transactor is a store that changes several keys at once.
type transactor interface {
	// Transact reads all keys and gives them value, as one transaction.
	Transact(keys [][]byte, value []byte) error
}

// A waiter is a store that carries out some of a Set after it has returned.
type waiter interface {
	// Wait returns when nothing is under way.
	Wait()
}

// A peer is a kind of store.
type peer struct {
	name string

	// exact says that every key that was set is there until it is deleted, so that the
	// figures are those of a store; else they are those of a cache, which answers some of
	// the reads with nothing.
	exact bool

	module string // whose version is printed; empty for none

	// open makes an empty store that is to hold up to keys keys. It is nil for a cache of
	// which nothing but the hit ratio is measured.
	open func(keys int) (store, error)

	// bounded makes an empty cache that holds as much as capacity says, which is bytes if
	// boundsBytes, and keys if not. It is nil for what is no cache.
	bounded     func(capacity int) (cache, error)
	boundsBytes bool
}

// peers are all that can be compared, in the order of the tables.
var peers = []peer{
	{name: "ember", exact: true, open: openEmber},
	{name: "ember-ordered", exact: true, open: openOrderedEmber},
	{name: "sharded", exact: true, open: openSharded},
	{name: "syncmap", exact: true, open: openSyncMap},
	{name: "xsync", exact: true, module: "github.com/puzpuzpuz/xsync/v4", open: openXsync},
	{name: "otter", exact: true, module: "github.com/maypok86/otter/v2", open: openOtter, bounded: openBoundedOtter},
	{name: "buntdb", exact: true, module: "github.com/tidwall/buntdb", open: openBuntDB},
	{name: "btree", exact: true, module: "github.com/google/btree", open: openBTree},
	{name: "bigcache", module: "github.com/allegro/bigcache/v3", open: openBigCache},
	{name: "freecache", module: "github.com/coocood/freecache", open: openFreeCache},
	{name: "ristretto", module: "github.com/dgraph-io/ristretto/v2", open: openRistretto, bounded: openBoundedRistretto},
	{name: "ember-lfu", bounded: boundedEmberOf(kv.EvictLFU), boundsBytes: true},
	{name: "ember-lru", bounded: boundedEmberOf(kv.EvictLRU), boundsBytes: true},
	{name: "golang-lru", module: lruModule, bounded: openLRU},
	{name: "golang-2q", bounded: open2Q},
}

// choose returns the peers that names, separated by commas, says; all when it is
// empty.
func choose(names string) ([]peer, error) {
	if names == "" {
		return peers, nil
	}
	var chosen []peer
	for name := range strings.SplitSeq(names, ",") {
		i := slices.IndexFunc(peers, func(p peer) bool { return p.name == name })
		if i < 0 {
			return nil, fmt.Errorf("-stores: none is called %q; there are %s", name, strings.Join(peerNames(), ", "))
		}
		chosen = append(chosen, peers[i])
	}
	return chosen, nil
}

func peerNames() (names []string) {
	for _, p := range peers {
		names = append(names, p.name)
	}
	return names
}

// errWrong is what a workload returns when a store that is exact lost a key.
var errWrong = errors.New("a key is missing in a store that never drops one")
