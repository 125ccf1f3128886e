package repl_test

import (
	"crypto/sha256"
	"fmt"
	"sync"
	"testing"

	"github.com/emberkv/ember/repl"
)

// made counts the nodes of each test that is running, by its name.
var made = struct {
	sync.Mutex
	nodes map[string]int
}{nodes: make(map[string]int)}

// seeded returns a copy of opts with a node id, if it has none, that is the same whenever the
// test runs: a hash of its name and of how many it has asked for. The id seeds the pauses
// between a replica's tries, which from random ids would be others in each run.
func seeded(t testing.TB, opts *repl.Options) *repl.Options {
	var o repl.Options
	if opts != nil {
		o = *opts
	}
	if o.ID != (repl.NodeID{}) {
		return &o
	}
	made.Lock()
	n := made.nodes[t.Name()]
	made.nodes[t.Name()] = n + 1
	made.Unlock()
	if n == 0 {
		t.Cleanup(func() { // or it would go on counting when it is run again
			made.Lock()
			defer made.Unlock()
			delete(made.nodes, t.Name())
		})
	}
	sum := sha256.Sum256(fmt.Append(nil, t.Name(), " ", n))
	copy(o.ID[:], sum[:])
	return &o
}
