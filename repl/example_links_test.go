package repl_test

import (
	"context"
	"fmt"

	"github.com/emberkv/ember/repl"
)

// A replica that was away twice has cost its master one full copy.
func ExampleCounters() {
	net, top, below := repl.NewMemory(), newLedger(nil), newLedger(nil)
	top.put("key", "value")
	master := masterAt(net, "paris", top, nil)
	defer master.Close()
	for range 3 {
		replicaAt(net, "", "paris", below, nil).Close()
	}
	c := master.Status().Counters
	fmt.Println("partial resyncs:", c.PartialSyncs)
	fmt.Println("full copies:", c.FullSyncs, "because of", c.Refusals)
	// Output:
	// partial resyncs: 2
	// full copies: 1 because of map[empty:1]
}

// What a master does for a follower when it has come, and when it has caught up.
func ExampleFollowerState() {
	var master *repl.Master
	states := make(chan repl.FollowerState, 10)
	look := func() { states <- master.Status().Followers[0].State }
	net := repl.NewMemory()
	master = masterAt(net, "paris", newLedger(nil), &repl.Options{Events: repl.Events{
		FullSync: func(repl.FullSync) { look() },
		CaughtUp: func(repl.CaughtUp) { look() },
	}})
	defer master.Close()
	replica := replicaAt(net, "", "paris", newLedger(nil), nil)
	defer replica.Close()
	fmt.Println(<-states, <-states)
	// Output: copying streaming
}

// How far a master's followers are.
func ExampleFollowerStatus() {
	master, replica := attach(repl.Options{Name: "berlin"})
	defer master.Close()
	defer replica.Close()
	if _, err := master.Wait(context.Background(), master.Status().Position, 1); err != nil {
		panic(err)
	}
	for _, f := range master.Status().Followers {
		fmt.Printf("%s: %s, has applied %d, is %d bytes behind\n", f.Peer.Name, f.State, f.Applied, f.Behind)
	}
	// Output: berlin: streaming, has applied 11, is 0 bytes behind
}

// A replica's link before Run, while it follows, and after Close.
func ExampleLinkState() {
	net := repl.NewMemory()
	master := masterAt(net, "paris", newLedger(nil), nil)
	defer master.Close()
	replica, err := repl.NewReplica(newLedger(nil), "paris", &repl.Options{Transport: net})
	if err != nil {
		panic(err)
	}
	defer replica.Close()
	fmt.Println(replica.Status().Upstream.State)
	go replica.Run(context.Background())
	if err := replica.WaitSynced(context.Background()); err != nil {
		panic(err)
	}
	fmt.Println(replica.Status().Upstream.State)
	replica.Close()
	fmt.Println(replica.Status().Upstream.State)
	// Output:
	// down
	// streaming
	// down
}

// A replica of a replica knows whether both links hold.
func ExampleUpstreamStatus() {
	net := repl.NewMemory()
	a := masterAt(net, "a", newLedger(nil), nil)
	defer a.Close()
	b := replicaAt(net, "b", "a", newLedger(nil), nil)
	defer b.Close()
	c := replicaAt(net, "c", "b", newLedger(nil), nil)
	defer c.Close()

	up := c.Status().Upstream
	fmt.Printf("follows %s: %s, synced: %v\n", up.Addr, up.State, up.Synced)
	fmt.Println("the master is", len(up.Path), "links away, all of them up:", up.Linked)
	fmt.Println(up.Path[1] == a.Node().ID())
	// Output:
	// follows b: streaming, synced: true
	// the master is 2 links away, all of them up: true
	// true
}
