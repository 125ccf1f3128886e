package sentinel_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/repl"
	"github.com/emberkv/ember/repl/sentinel"
)

// Three nodes, three sentinels, which are given one address; the master is closed, and another
// takes its place.
func ExampleNew() {
	network := repl.NewMemory() // repl.TCP between machines
	nodes := map[string]*repl.Node{}
	for _, name := range []string{"a", "b", "c"} {
		opts := &repl.Options{Name: name, Announce: name, Transport: network, Supervision: repl.Supervision{Supervised: true}}
		store := kv.New(nil)
		defer store.Close()
		if name == "a" {
			master, err := repl.NewMaster(store, opts)
			if err != nil {
				log.Fatal(err)
			}
			nodes[name] = master.Node()
		} else {
			replica, err := repl.NewReplica(store, "a", opts)
			if err != nil {
				log.Fatal(err)
			}
			nodes[name] = replica.Node()
		}
		listener, err := network.Listen(name)
		if err != nil {
			log.Fatal(err)
		}
		go nodes[name].Serve(listener)
		go nodes[name].Run(context.Background())
		defer nodes[name].Close()
	}

	var sentinels []*sentinel.Sentinel
	for _, name := range []string{"s1", "s2", "s3"} {
		s, err := sentinel.New(&sentinel.Options{
			Name: name, Monitor: []string{"a"}, DownAfter: 2 * time.Second, Transport: network,
			Store: new(sentinel.MemoryStore), // sentinel.OpenFileStore, of a real one
		})
		if err != nil {
			log.Fatal(err)
		}
		listener, err := network.Listen(name)
		if err != nil {
			log.Fatal(err)
		}
		go s.Serve(listener)
		defer s.Close()
		sentinels = append(sentinels, s)
	}

	s := sentinels[0]
	until(func() error {
		if st := s.Status(); len(st.Nodes) < 3 || len(st.Sentinels) < 2 {
			return fmt.Errorf("%d nodes and %d other sentinels were found", len(st.Nodes), len(st.Sentinels))
		}
		return nil
	})
	fmt.Println("master:", s.Master().Name)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, name := range []string{"b", "c"} { // one that has nothing yet is not promoted
		replica, err := nodes[name].Replica()
		if err == nil {
			err = replica.WaitSynced(ctx)
		}
		if err != nil {
			log.Fatal(err)
		}
	}
	nodes["a"].Close()
	until(func() error {
		if s.Master().Name == "a" {
			return errors.New("nobody has taken a's place")
		}
		return nil
	})
	fmt.Println("another took its place:", s.Master().Name == "b" || s.Master().Name == "c")
	// Output:
	// master: a
	// another took its place: true
}

// Options are checked when the sentinel is made.
func ExampleOptions() {
	_, err := sentinel.New(&sentinel.Options{
		Group:           "cache",
		Monitor:         []string{"10.0.0.1:7000", "10.0.0.2:7000"}, // in case that one of them is down
		Quorum:          2,
		DownAfter:       2 * time.Second,
		FailoverTimeout: time.Second,
	})
	fmt.Println(err)
	// Output: repl: invalid option: FailoverTimeout is 1s, want at least DownAfter
}

// An operator has the writing moved to another node, and no write is lost.
func ExampleSentinel() {
	network := repl.NewMemory() // repl.TCP between machines
	w := newPair(network, repl.Security{})
	defer w.close()
	s, events := newGuard(network, "s", sentinel.Options{Quorum: 1})
	defer s.Close()
	await(events, sentinel.EventNewSlave) // the master was found before

	usable, err := s.CheckQuorum()
	fmt.Println("sentinels that can be reached:", usable, err)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := s.Handover(ctx, w.nodes["b"].ID()); err != nil {
		log.Fatal(err)
	}
	fmt.Println("writes go to", s.Master().Name)
	// Output:
	// sentinels that can be reached: 1 <nil>
	// writes go to b
}
