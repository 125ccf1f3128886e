package sentinel_test

import (
	"bytes"
	"errors"
	"fmt"
	"log"
	"os"

	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/repl"
	"github.com/emberkv/ember/repl/sentinel"
)

// A shelf keeps a sentinel's state in a store that no node replicates, and that was opened with
// kv.FsyncAlways: then what Save has saved is on disk.
type shelf struct{ store *kv.Store }

func (s shelf) Load() ([]byte, error) {
	state, err := s.store.Get("sentinel")
	if errors.Is(err, kv.ErrNotFound) {
		return nil, nil // the first start
	}
	return bytes.Clone(state), err // whoever loads it owns it
}

func (s shelf) Save(state []byte) error { return s.store.Set("sentinel", state) }

// A sentinel that is restarted, even elsewhere, is the one that it was, and knows what it knew.
func ExampleStore() {
	dir, err := os.MkdirTemp("", "ember")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	store, err := kv.Open(dir, &kv.Options{Durability: kv.Durability{Fsync: kv.FsyncAlways}})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	network := repl.NewMemory() // repl.TCP between machines
	w := newPair(network, repl.Security{})
	defer w.close()

	s, events := newGuard(network, "s", sentinel.Options{Store: shelf{store}})
	await(events, sentinel.EventMonitor)
	s.Close()
	again, _ := newGuard(network, "elsewhere", sentinel.Options{Store: shelf{store}})
	defer again.Close()
	fmt.Println(again.ID() == s.ID(), again.Master().Name)
	// Output: true a
}

// A sentinel does not start with a state that it cannot read: it may have voted.
func ExampleStateError() {
	store := new(sentinel.MemoryStore)
	if err := store.Save([]byte("somebody else's file")); err != nil {
		log.Fatal(err)
	}
	_, err := sentinel.New(&sentinel.Options{Monitor: []string{"10.0.0.1:7000"}, Store: store})
	var unusable *sentinel.StateError
	fmt.Println(errors.As(err, &unusable), errors.Is(err, sentinel.ErrState))
	fmt.Println(err)
	// Output:
	// true true
	// sentinel: unusable state: not the state of a sentinel
}
