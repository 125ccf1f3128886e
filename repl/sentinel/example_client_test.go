package sentinel_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"syscall"
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
		Group: "cache", Monitor: []string{"a"}, Quorum: 1, DownAfter: 2 * time.Second, Transport: network,
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
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := replica.WaitSynced(ctx); err != nil {
		log.Fatal(err)
	}
	until(func() error {
		if n := len(w.guard.Status().Nodes); n < 2 {
			return fmt.Errorf("the sentinel has found %d nodes", n)
		}
		return nil
	})
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
	if w.guard != nil {
		w.guard.Close()
	}
	for name, node := range w.nodes {
		node.Close()
		w.stores[name].Close()
	}
}

// until calls f until it returns nil, for a minute.
func until(f func() error) {
	for begun := time.Now(); ; time.Sleep(time.Millisecond) {
		err := f()
		if err == nil {
			return
		}
		if time.Since(begun) > time.Minute {
			log.Fatal(err)
		}
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
		until(func() error {
			value, err := w.stores["client"].Get(key)
			if err == nil {
				fmt.Printf("%s\n", value)
			}
			return err
		})
	}
	until(func() error { return w.stores["a"].Set("greeting", []byte("hello from a")) }) // until it has a lease
	show("greeting")

	w.nodes["a"].Close()
	until(func() error { return w.stores["b"].Set("next", []byte("hello from b")) }) // until it is the master
	show("next")
	// Output:
	// hello from a
	// hello from b
}

// A client is let in where it says the right group and knows its secret.
func ExampleClientOptions() {
	network := repl.NewMemory() // repl.TCP between machines
	guarded := repl.Security{Secrets: []repl.Secret{repl.NewSecret()}}
	w := newPair(network, guarded)
	defer w.close()
	s, events := newGuard(network, "s", sentinel.Options{Security: guarded})
	defer s.Close()
	await(events, sentinel.EventMonitor)

	opts := &sentinel.ClientOptions{Name: "shop", Transport: network, Timeout: time.Minute, Security: guarded}
	master, err := sentinel.Resolve(context.Background(), []string{"s"}, "cache", opts)
	fmt.Println(master.Name, err)
	opts.Secrets = nil // who knows none gets no answer
	_, err = sentinel.Resolve(context.Background(), []string{"s"}, "cache", opts)
	fmt.Println(errors.Is(err, sentinel.ErrNoSentinel))
	// Output:
	// a <nil>
	// true
}

// The error says of each sentinel why it was of no use.
func ExampleNoSentinelError() {
	opts := &sentinel.ClientOptions{Transport: repl.NewMemory()} // on which nobody listens
	_, err := sentinel.Resolve(context.Background(), []string{"s1", "s2", "s3"}, "cache", opts)
	var deaf *sentinel.NoSentinelError
	if errors.As(err, &deaf) {
		for _, err := range deaf.Errs {
			fmt.Println(errors.Is(err, syscall.ECONNREFUSED))
		}
	}
	fmt.Println(errors.Is(err, sentinel.ErrNoSentinel))
	// Output:
	// true
	// true
	// true
	// true
}

// Of two reigns, be they told by different sentinels, the one above is the newer one.
func ExampleReign() {
	network := repl.NewMemory() // repl.TCP between machines
	w := newPair(network, repl.Security{})
	defer w.close()
	s, events := newGuard(network, "s", sentinel.Options{})
	defer s.Close()
	var none sentinel.Reign
	fmt.Println(none.IsZero())

	await(events, sentinel.EventMonitor)
	before := s.Master()
	fmt.Println(before.Name, "since epoch", before.Epoch.Counter, "at", before.Addr)
	w.promote("b") // as an operator would
	await(events, sentinel.EventSwitchMaster)
	now := s.Master()
	fmt.Println(now.Name, "since epoch", now.Epoch.Counter, "at", now.Addr)
	fmt.Println(now.Above(before), before.Above(none))
	// Output:
	// true
	// a since epoch 1 at 10.0.0.1:7000
	// b since epoch 2 at 10.0.0.2:7000
	// true true
}
