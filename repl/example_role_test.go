package repl_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/repl"
)

// Two nodes change places. A third follows the one that becomes the master: it is not
// told, keeps its link and needs no copy.
func ExampleReplica_Promote() {
	net := repl.NewMemory()
	ctx := context.Background()
	a, b, c := newLedger(nil), newLedger(nil), newLedger(nil)
	start := func(l *ledger, name, upstream string) *repl.Node {
		opts := &repl.Options{Name: name, Transport: net}
		opts.Events.Role = func(r repl.RoleChange) { fmt.Printf("%s is a %s of %q\n", name, r.Role, r.Upstream) }
		var node *repl.Node
		if upstream == "" {
			master, err := repl.NewMaster(l, opts)
			if err != nil {
				panic(err)
			}
			node = master.Node()
		} else {
			replica, err := repl.NewReplica(l, upstream, opts)
			if err != nil {
				panic(err)
			}
			node = replica.Node()
		}
		ln, err := net.Listen(name)
		if err != nil {
			panic(err)
		}
		go node.Serve(ln)
		go node.Run(ctx) // follows whenever the node is a replica
		return node
	}
	nodeA, nodeB, nodeC := start(a, "a", ""), start(b, "b", "a"), start(c, "c", "b")
	defer nodeA.Close()
	defer nodeB.Close()
	defer nodeC.Close()
	synced := func(n *repl.Node) {
		if r, err := n.Replica(); err != nil {
			panic(err)
		} else if err := r.WaitSynced(ctx); err != nil {
			panic(err)
		}
	}
	synced(nodeB)
	synced(nodeC)

	replica, _ := nodeB.Replica()
	master, err := replica.Promote(ctx)
	if err != nil {
		panic(err)
	}
	old, _ := nodeA.Master()
	if _, err := old.Demote("b"); err != nil {
		panic(err)
	}
	synced(nodeA)
	b.put("written on", "b")
	master.Wait(ctx, b.Log().Position(), 2)
	fmt.Println(a.state()["written on"], c.state()["written on"])
	fmt.Println("full copies for c:", nodeC.Status().Upstream.Fulls)

	fmt.Println(errors.Is(replica.Follow("c"), repl.ErrRoleChanged))
	// Output:
	// b is a master of ""
	// a is a replica of "b"
	// b b
	// full copies for c: 1
	// true
}

// A planned switch: writers wait while it is under way, and nothing is lost.
func ExampleMaster_Handover() {
	net := repl.NewMemory()
	a, b := newLedger(nil), newLedger(nil)
	master, err := repl.NewMaster(a, &repl.Options{Name: "a", Transport: net})
	if err != nil {
		panic(err)
	}
	defer master.Close()
	ln, _ := net.Listen("a")
	go master.Serve(ln)
	replica, err := repl.NewReplica(b, "a", &repl.Options{Name: "b", Announce: "b", Transport: net})
	if err != nil {
		panic(err)
	}
	defer replica.Close()
	ln, _ = net.Listen("b")
	go replica.Serve(ln)
	go replica.Run(context.Background())
	replica.WaitSynced(context.Background())
	a.put("k", "v")

	_, err = master.Handover(context.Background(), "b")
	fmt.Println(err)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, err = master.Handover(ctx, "nobody")
	fmt.Println(errors.Is(err, repl.ErrNoFollower))
	old, err := master.Handover(ctx, "b")
	fmt.Println(err, old.Node().Role(), replica.Node().Role(), b.state()["k"])
	_, err = a.put("k", "w")
	fmt.Println(err)
	// Output:
	// repl: handover needs a deadline
	// true
	// <nil> replica master v
	// repl: READONLY: writes go to the master; this node follows b
}

// What a handover returns when the replica does not come near in time: the old master
// goes on.
func ExampleHandoverError() {
	err := error(&repl.HandoverError{To: "b", Step: repl.StepNear, Err: context.DeadlineExceeded})
	fmt.Println(err)
	fmt.Println(errors.Is(err, repl.ErrInDoubt))
	// Output:
	// repl: handover to b, step near: context deadline exceeded
	// false
}

// What a write gets on a master that has heard of another.
func ExampleFencedError() {
	err := error(&repl.FencedError{Epoch: backlog.Epoch{Counter: 5, Node: [16]byte{1}}, By: "berlin"})
	fmt.Println(err)
	fmt.Println(errors.Is(err, repl.ErrFenced), errors.Is(err, repl.ErrReadOnly))
	// Output:
	// repl: READONLY: there is a master of a higher epoch: 5-01000000000000000000000000000000, told by berlin; this node follows nobody
	// true true
}

// Another master's data take the place of a replica's own only when that is said.
func ExampleAllow() {
	net := repl.NewMemory()
	one, other, mine := newLedger(nil), newLedger(nil), newLedger(nil)
	one.put("k", "one")
	other.put("k", "other")
	for name, l := range map[string]*ledger{"one": one, "other": other} {
		master, err := repl.NewMaster(l, nil)
		if err != nil {
			panic(err)
		}
		defer master.Close()
		ln, err := net.Listen(name)
		if err != nil {
			panic(err)
		}
		go master.Serve(ln)
	}
	refused := make(chan error, 1)
	opts := &repl.Options{Transport: net}
	opts.Events.Disconnected = func(_ repl.Peer, err error) {
		if errors.Is(err, repl.ErrForeign) {
			select {
			case refused <- err:
			default:
			}
		}
	}
	replica, err := repl.NewReplica(mine, "one", opts)
	if err != nil {
		panic(err)
	}
	defer replica.Close()
	ctx := context.Background()
	go replica.Run(ctx)
	replica.WaitSynced(ctx)

	replica.Follow("other")
	<-refused
	fmt.Println("refused, and has", mine.state()["k"])
	replica.Follow("other", repl.AllowForeign)
	replica.WaitSynced(ctx)
	fmt.Println("allowed, and has", mine.state()["k"])
	// Output:
	// refused, and has one
	// allowed, and has other
}

// What a node is now, whatever was done to it since the program has looked last.
func ExampleRole() {
	replica, err := repl.NewReplica(newLedger(nil), "10.0.0.1:7000", nil)
	if err != nil {
		panic(err)
	}
	defer replica.Close()
	node := replica.Node()
	fmt.Println(node.Role())
	if _, err := replica.Promote(context.Background()); err != nil {
		panic(err)
	}
	fmt.Println(node.Role(), node.Role() == repl.RoleMaster)
	// Output:
	// replica
	// master true
}

// A program learns from its writes where to send them.
func ExampleReadOnlyError() {
	machine := newLedger(nil)
	master, err := repl.NewMaster(machine, nil)
	if err != nil {
		panic(err)
	}
	defer master.Close()
	write := func() {
		_, err := machine.put("key", "value")
		var readOnly *repl.ReadOnlyError
		if errors.As(err, &readOnly) {
			fmt.Println("write to", readOnly.Master)
		}
	}
	replica, err := master.Demote("10.0.0.2:7000")
	if err != nil {
		panic(err)
	}
	write()
	if err := replica.Follow("10.0.0.3:7000"); err != nil {
		panic(err)
	}
	write()
	// Output:
	// write to 10.0.0.2:7000
	// write to 10.0.0.3:7000
}
