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

// newPair makes a master "a", at 10.0.0.1:7000, and a replica "b", at 10.0.0.2:7000, which has
// caught up.
func newPair(network *repl.Memory, security repl.Security) *watched {
	w := &watched{stores: make(map[string]*kv.Store), nodes: make(map[string]*repl.Node)}
	upstream := ""
	for i, name := range []string{"a", "b"} {
		addr := fmt.Sprintf("10.0.0.%d:7000", i+1)
		w.join(name, upstream, &repl.Options{
			ID: repl.NodeID{byte(i + 1)}, Name: name, Group: "cache", Announce: addr, Transport: network,
			Security: security, Supervision: repl.Supervision{Supervised: true},
		})
		listener, err := network.Listen(addr)
		if err != nil {
			log.Fatal(err)
		}
		go w.nodes[name].Serve(listener)
		upstream = addr
	}
	replica, err := w.nodes["b"].Replica()
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := replica.WaitSynced(ctx); err != nil {
		log.Fatal(err)
	}
	return w
}

// promote makes a replica the master, without asking any sentinel.
func (w *watched) promote(name string) {
	replica, err := w.nodes[name].Replica()
	if err != nil {
		log.Fatal(err)
	}
	if _, err := replica.Promote(context.Background()); err != nil {
		log.Fatal(err)
	}
}

// newGuard makes a sentinel that is told of the master of a pair, and returns it with the kinds
// of its events. It takes nobody for down who is silent for less than a minute.
func newGuard(network *repl.Memory, name string, opts sentinel.Options) (*sentinel.Sentinel, <-chan sentinel.EventKind) {
	events := make(chan sentinel.EventKind, sentinel.MaxEvents)
	opts.Name, opts.Group, opts.Announce, opts.Monitor = name, "cache", name, []string{"10.0.0.1:7000"}
	opts.DownAfter, opts.Transport = time.Minute, network
	opts.OnEvent = func(e sentinel.Event) { events <- e.Kind }
	s, err := sentinel.New(&opts)
	if err != nil {
		log.Fatal(err)
	}
	listener, err := network.Listen(name)
	if err != nil {
		log.Fatal(err)
	}
	go s.Serve(listener)
	return s, events
}

// await returns when an event of this kind has come, for which it gives it a minute.
func await(events <-chan sentinel.EventKind, kind sentinel.EventKind) {
	for tooLate := time.After(time.Minute); ; {
		select {
		case got := <-events:
			if got == kind {
				return
			}
		case <-tooLate:
			log.Fatalf("no event %v has come", kind)
		}
	}
}

// Status is for dashboards; it marshals to JSON.
func ExampleStatus() {
	network := repl.NewMemory() // repl.TCP between machines
	w := newPair(network, repl.Security{})
	defer w.close()
	s, events := newGuard(network, "s", sentinel.Options{})
	defer s.Close()
	await(events, sentinel.EventNewSlave)

	status := s.Status()
	fmt.Printf("%s of group %s knows %d nodes; the master is %s\n", status.Name, status.Group, len(status.Nodes), status.Master.Name)
	fmt.Println("objectively down:", status.ODown, "failover:", status.Failover)
	fmt.Println("takes", status.Quorum, "sentinels to find it down; there are", 1+len(status.Sentinels))
	// Output:
	// s of group cache knows 2 nodes; the master is a
	// objectively down: false failover: none
	// takes 2 sentinels to find it down; there are 1
}

// A node that is not Supervised would never be promoted: its status says so before the day on
// which it matters.
func ExampleNodeStatus() {
	network := repl.NewMemory() // repl.TCP between machines
	w := newPair(network, repl.Security{})
	defer w.close()
	s, events := newGuard(network, "s", sentinel.Options{})
	defer s.Close()
	await(events, sentinel.EventNewSlave)

	for _, n := range s.Status().Nodes {
		fmt.Printf("%s: %s of %q, down: %t, takes orders: %t\n", n.Name, n.Role, n.Upstream, n.SDown, n.Supervised)
	}
	// Output:
	// a: master of "", down: false, takes orders: true
	// b: replica of "10.0.0.1:7000", down: false, takes orders: true
}

// Sentinels find each other by way of the nodes that they watch, and should be of one mind.
func ExamplePeerStatus() {
	network := repl.NewMemory() // repl.TCP between machines
	w := newPair(network, repl.Security{})
	defer w.close()
	first, events := newGuard(network, "s1", sentinel.Options{})
	defer first.Close()
	await(events, sentinel.EventMonitor)
	second, events := newGuard(network, "s2", sentinel.Options{})
	defer second.Close()
	await(events, sentinel.EventNewSentinel)

	var peer sentinel.PeerStatus
	until(func() error {
		if peer = second.Status().Sentinels[0]; peer.Heard < 0 {
			return errors.New("its first answer is on its way")
		}
		return nil
	})
	fmt.Printf("%s at %s: linked %t; the master is %s, down: %t\n", peer.Name, peer.Addr, peer.Linked, peer.Master.Name, peer.Down)
	// Output: s1 at s1: linked true; the master is a, down: false
}
