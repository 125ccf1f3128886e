package sentinel_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/repl"
	"github.com/emberkv/ember/repl/sentinel"
)

// A watched is a master, a replica and one sentinel, at "a", "b" and "s". Three sentinels
// should run; one is enough for an example.
type watched struct {
	stores map[string]*kv.Store
	nodes  map[string]*repl.Node
	guard  *sentinel.Sentinel
}

func newWatched(network *repl.Memory) *watched {
	w := &watched{stores: make(map[string]*kv.Store), nodes: make(map[string]*repl.Node)}
	for name, upstream := range map[string]string{"a": "", "b": "a"} {
		w.join(name, upstream, &repl.Options{
			Name: name, Group: "cache", Announce: name, Transport: network, Supervision: repl.Supervision{Supervised: true},
		})
		listener, err := network.Listen(name)
		if err != nil {
			log.Fatal(err)
		}
		go w.nodes[name].Serve(listener)
	}
	var err error
	w.guard, err = sentinel.New(&sentinel.Options{
		Group: "cache", Monitor: []string{"a"}, Quorum: 1, DownAfter: 300 * time.Millisecond, Transport: network,
	})
	if err != nil {
		log.Fatal(err)
	}
	listener, err := network.Listen("s")
	if err != nil {
		log.Fatal(err)
	}
	go w.guard.Serve(listener)
	replica, err := w.nodes["b"].Replica()
	if err != nil {
		log.Fatal(err)
	}
	if err := replica.WaitSynced(context.Background()); err != nil {
		log.Fatal(err)
	}
	for len(w.guard.Status().Nodes) < 2 {
		time.Sleep(time.Millisecond)
	}
	return w
}

// join makes a node, a master if it has no upstream.
func (w *watched) join(name, upstream string, opts *repl.Options) {
	store := kv.New(nil)
	if upstream == "" {
		master, err := repl.NewMaster(store, opts)
		if err != nil {
			log.Fatal(err)
		}
		w.nodes[name] = master.Node()
	} else {
		replica, err := repl.NewReplica(store, upstream, opts)
		if err != nil {
			log.Fatal(err)
		}
		w.nodes[name] = replica.Node()
	}
	w.stores[name] = store
	go w.nodes[name].Run(context.Background())
}

func (w *watched) close() {
	w.guard.Close()
	for name, node := range w.nodes {
		node.Close()
		w.stores[name].Close()
	}
}

// A program that wants to write finds out where.
func ExampleResolve() {
	network := repl.NewMemory() // repl.TCP between machines
	w := newWatched(network)
	defer w.close()

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	master, err := sentinel.Resolve(ctx, []string{"s"}, "cache", &sentinel.ClientOptions{Transport: network})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(master.Name, "at", master.Addr)
	// Output:
	// a at a
}

// A program that writes hears of each master as soon as the sentinels know it.
func ExampleSwitches() {
	network := repl.NewMemory() // repl.TCP between machines
	w := newWatched(network)
	defer w.close()

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for master, err := range sentinel.Switches(ctx, []string{"s"}, "cache", &sentinel.ClientOptions{Transport: network}) {
		if err != nil {
			log.Print(err)
			continue
		}
		fmt.Println("writes go to", master.Addr)
		if master.Addr == "b" {
			break
		}
		w.nodes["a"].Close()
	}
	// Output:
	// writes go to a
	// writes go to b
}

// A replica that belongs to no sentinel's group of candidates, such as one in a client's
// process, follows whoever is the master.
func ExampleTransport() {
	network := repl.NewMemory() // repl.TCP between machines
	w := newWatched(network)
	defer w.close()

	transport, err := sentinel.NewTransport([]string{"s"}, "cache", &sentinel.ClientOptions{Transport: network})
	if err != nil {
		log.Fatal(err)
	}
	w.join("client", "the master", &repl.Options{Name: "client", Group: "cache", Transport: transport, Priority: -1})
	show := func(key string) {
		for {
			if value, err := w.stores["client"].Get(key); err == nil {
				fmt.Printf("%s\n", value)
				return
			}
			time.Sleep(time.Millisecond)
		}
	}
	w.stores["a"].Set("greeting", []byte("hello from a"))
	show("greeting")

	w.nodes["a"].Close()
	for w.stores["b"].Set("next", []byte("hello from b")) != nil { // until it is the master
		time.Sleep(time.Millisecond)
	}
	show("next")
	// Output:
	// hello from a
	// hello from b
}
