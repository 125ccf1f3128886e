package repl_test

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/repl"
)

// masterAt makes m the machine of a master, which is reached at name, if that is not empty.
func masterAt(net *repl.Memory, name string, m repl.Machine, opts *repl.Options) *repl.Master {
	master, err := repl.NewMaster(m, named(net, name, opts))
	if err != nil {
		panic(err)
	}
	runAt(net, name, master.Node())
	return master
}

// replicaAt makes m the machine of a replica of the node at upstream, which is reached at
// name, if that is not empty, and waits until it has caught up.
func replicaAt(net *repl.Memory, name, upstream string, m repl.Machine, opts *repl.Options) *repl.Replica {
	replica, err := repl.NewReplica(m, upstream, named(net, name, opts))
	if err != nil {
		panic(err)
	}
	runAt(net, name, replica.Node())
	if err := replica.WaitSynced(context.Background()); err != nil {
		panic(err)
	}
	return replica
}

func named(net *repl.Memory, name string, opts *repl.Options) *repl.Options {
	var o repl.Options
	if opts != nil {
		o = *opts
	}
	o.Name, o.Transport = name, net
	return &o
}

func runAt(net *repl.Memory, name string, node *repl.Node) {
	if name != "" {
		ln, err := net.Listen(name)
		if err != nil {
			panic(err)
		}
		go node.Serve(ln)
	}
	go node.Run(context.Background()) // follows whenever the node is a replica
}

// Each end of a link knows who is at the other.
func ExamplePeer() {
	master, replica := attach(repl.Options{Name: "berlin", Announce: "10.0.0.2:7000", Priority: 50})
	defer master.Close()
	defer replica.Close()
	for _, f := range master.Status().Followers {
		fmt.Println(f.Peer.Name, "may be reached at", f.Peer.Listen, "and has priority", f.Peer.Priority)
	}
	up := replica.Status().Upstream.Peer
	fmt.Println(up.Name, "was dialled at", up.Addr)
	// Output:
	// berlin may be reached at 10.0.0.2:7000 and has priority 50
	// paris was dialled at 10.0.0.1:7000
}

// A replica that was away goes on from where it stands.
func ExamplePartialSync() {
	net, top, below := repl.NewMemory(), newLedger(nil), newLedger(nil)
	top.put("key", "value")
	master := masterAt(net, "paris", top, nil)
	defer master.Close()
	replicaAt(net, "", "paris", below, nil).Close()
	top.put("more", "value")

	syncs := make(chan repl.PartialSync, 10)
	replica := replicaAt(net, "", "paris", below, &repl.Options{Events: repl.Events{
		PartialSync: func(s repl.PartialSync) { syncs <- s },
	}})
	defer replica.Close()
	s := <-syncs
	fmt.Printf("goes on from %d, and lacks %d bytes of log\n", s.From.Offset, s.Bytes)
	// Output: goes on from 11, and lacks 12 bytes of log
}

// A master that has written on after another was promoted leaves that, and takes no full copy.
func ExampleRepaired() {
	net, a, b := repl.NewMemory(), kv.New(nil), kv.New(nil)
	defer a.Close()
	defer b.Close()
	repairs := make(chan repl.Repaired, 10)
	old := masterAt(net, "a", a, &repl.Options{Events: repl.Events{
		Repaired: func(r repl.Repaired) { repairs <- r },
	}})
	defer old.Close()
	if err := a.Set("stock", []byte("7")); err != nil {
		panic(err)
	}
	replica := replicaAt(net, "b", "a", b, nil)
	defer replica.Close()
	if _, err := replica.Promote(context.Background()); err != nil {
		panic(err)
	}
	err := a.Set("stock", []byte("6")) // it does not know yet
	fmt.Println("written too late:", err)

	if _, err := old.Demote("b"); err != nil {
		panic(err)
	}
	r := <-repairs
	stock, err := a.Get("stock")
	fmt.Printf("%d key is as %s has it: %s, %v\n", r.Keys, r.Peer.Name, stock, err)
	fmt.Println("full copies:", old.Status().Upstream.Fulls)
	// Output:
	// written too late: <nil>
	// 1 key is as b has it: 7, <nil>
	// full copies: 0
}

// A replica was away for longer than its master's log reaches back.
func ExampleFullSync() {
	net, top, below := repl.NewMemory(), newLedger(&backlog.Options{MaxBytes: 4 << 10}), newLedger(nil)
	top.put("key", "value")
	master := masterAt(net, "paris", top, nil)
	defer master.Close()
	replicaAt(net, "", "paris", below, nil).Close()
	for i := range 4 {
		top.put(fmt.Sprint("key", i), strings.Repeat("v", 8<<10))
	}

	copies := make(chan repl.FullSync, 10)
	replica := replicaAt(net, "", "paris", below, &repl.Options{Events: repl.Events{
		FullSync: func(s repl.FullSync) { copies <- s },
	}})
	defer replica.Close()
	s := <-copies
	fmt.Printf("the log is %s: all of the %d keys come from %s\n", s.Reason, s.Keys, s.Peer.Name)
	// Output: the log is trimmed: all of the 5 keys come from paris
}

// Progress is for a bar that somebody looks at. The last one says that all is there.
func ExampleProgress() {
	var last repl.Progress
	master, replica := attach(repl.Options{Events: repl.Events{
		Progress: func(p repl.Progress) { last = p },
	}})
	defer master.Close()
	defer replica.Close()
	fmt.Printf("%d of about %d keys, %d of %d shards\n", last.Keys, last.KeysTotal, last.Shards, last.ShardsTotal)
	// Output: 1 of about 1 keys, 8 of 8 shards
}

// What a full copy has brought, and what it has taken from a master that wrote on after another
// was promoted. Its machine is no Repairer.
func ExampleSynced() {
	net, a, b := repl.NewMemory(), newLedger(nil), newLedger(nil)
	copies := make(chan repl.Synced, 10)
	old := masterAt(net, "a", a, &repl.Options{Events: repl.Events{Synced: func(s repl.Synced) {
		if s.Peer.Upstream { // else it is told of the copies that it gives
			copies <- s
		}
	}}})
	defer old.Close()
	a.put("key", "value")
	replica := replicaAt(net, "b", "a", b, nil)
	defer replica.Close()
	if _, err := replica.Promote(context.Background()); err != nil {
		panic(err)
	}
	a.put("late", "write")

	if _, err := old.Demote("b"); err != nil {
		panic(err)
	}
	s := <-copies
	fmt.Printf("%d keys from %s; %d bytes of log are lost\n", s.Keys, s.Peer.Name, s.Lost)
	// Output: 1 keys from b; 12 bytes of log are lost
}

// A master hears that another was promoted behind its back, and writes no more.
func ExampleRoleChange() {
	net, ctx, a, b := repl.NewMemory(), context.Background(), newLedger(nil), newLedger(nil)
	changes := make(chan repl.RoleChange, 10)
	old := masterAt(net, "a", a, &repl.Options{Events: repl.Events{
		Role: func(c repl.RoleChange) { changes <- c },
	}})
	defer old.Close()
	a.put("key", "value")
	replica := replicaAt(net, "b", "a", b, nil)
	defer replica.Close()
	other := replicaAt(net, "c", "b", newLedger(nil), nil)
	defer other.Close()
	master, err := replica.Promote(ctx)
	if err != nil {
		panic(err)
	}
	b.put("key", "newer")
	if _, err := master.Wait(ctx, b.Log().Position(), 1); err != nil {
		panic(err)
	}

	if err := other.Follow("a"); err != nil { // tells it
		panic(err)
	}
	c := <-changes
	fmt.Printf("%s of %q, because of a higher epoch: %v\n", c.Role, c.Upstream, errors.Is(c.Err, repl.ErrFenced))
	// Output: replica of "", because of a higher epoch: true
}
