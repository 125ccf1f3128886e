package repl_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/repl"
)

// The machines of these examples are ledgers, of some 200 lines in
// machine_test.go; a program brings a *kv.Store.

func Example() {
	net := repl.NewMemory()
	top, below := newLedger(nil), newLedger(nil)

	master, err := repl.NewMaster(top, nil)
	if err != nil {
		panic(err)
	}
	defer master.Close()
	ln, err := net.Listen("top")
	if err != nil {
		panic(err)
	}
	go master.Serve(ln)

	replica, err := repl.NewReplica(below, "top", &repl.Options{Transport: net})
	if err != nil {
		panic(err)
	}
	defer replica.Close()
	ctx := context.Background()
	go replica.Run(ctx)
	if err := replica.WaitSynced(ctx); err != nil {
		panic(err)
	}

	top.put("greeting", "hello")
	master.Wait(ctx, top.Log().Position(), 1)
	fmt.Println(below.state()["greeting"])
	// Output: hello
}

// A write is on n replicas when Wait says so.
func ExampleMaster_Wait() {
	net := repl.NewMemory()
	machine := newLedger(nil)
	master, err := repl.NewMaster(machine, nil)
	if err != nil {
		panic(err)
	}
	defer master.Close()
	ln, err := net.Listen("top")
	if err != nil {
		panic(err)
	}
	go master.Serve(ln)
	replica, err := repl.NewReplica(newLedger(nil), "top", &repl.Options{Transport: net})
	if err != nil {
		panic(err)
	}
	defer replica.Close()
	go replica.Run(context.Background())

	machine.put("paid", "yes")
	n, err := master.Wait(context.Background(), machine.Log().Position(), 1)
	fmt.Println(n, err)

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	n, err = master.Wait(ctx, machine.Log().Position(), 2) // there is only one
	fmt.Println(n, err)
	// Output:
	// 1 <nil>
	// 1 context deadline exceeded
}

// A replica takes no writes. The error says who does.
func ExampleReplica() {
	machine := newLedger(nil)
	replica, err := repl.NewReplica(machine, "10.0.0.1:7000", nil)
	if err != nil {
		panic(err)
	}
	defer replica.Close()

	_, err = machine.put("key", "value")
	var readOnly *repl.ReadOnlyError
	if errors.As(err, &readOnly) {
		fmt.Println("write to", readOnly.Master)
	}
	// Output: write to 10.0.0.1:7000
}

// A node is the seat behind a handle, whatever its role.
func ExampleNode() {
	master, err := repl.NewMaster(newLedger(nil), &repl.Options{Name: "paris-1"})
	if err != nil {
		panic(err)
	}
	defer master.Close()
	node := master.Node()
	fmt.Println(node.Name(), node.Role())
	// Output: paris-1 master
}

func ExampleNodeID() {
	id := repl.NodeID{0xca, 0xfe}
	fmt.Println(id)
	read, err := repl.ParseNodeID(id.String()) // kept beside the store, it stays that of the node
	fmt.Println(read == id, err)
	// Output:
	// cafe0000000000000000000000000000
	// true <nil>
}

// Options are checked when the node is made.
func ExampleOptions() {
	opts := &repl.Options{
		Name:     "paris-1",
		Group:    "orders",
		Liveness: repl.Liveness{Heartbeat: time.Second, Timeout: 2 * time.Second},
		Safety:   repl.Safety{Ack: 2, MaxUnacked: 64 << 10},
	}
	_, err := repl.NewMaster(newLedger(nil), opts)
	fmt.Println(err)
	// Output: repl: invalid option: Timeout is 2s, want at least three times Heartbeat
}

// Events tell a program what happens to its links, and why.
func ExampleEvents() {
	net := repl.NewMemory()
	top := newLedger(nil)
	top.put("key", "value")
	master, err := repl.NewMaster(top, &repl.Options{Name: "top"})
	if err != nil {
		panic(err)
	}
	defer master.Close()
	ln, err := net.Listen("top")
	if err != nil {
		panic(err)
	}
	go master.Serve(ln)

	done := make(chan struct{})
	replica, err := repl.NewReplica(newLedger(nil), "top", &repl.Options{Transport: net, Events: repl.Events{
		Connected: func(p repl.Peer) { fmt.Println("connected to", p.Name) },
		FullSync:  func(s repl.FullSync) { fmt.Println("full sync because:", s.Reason) },
		Synced:    func(s repl.Synced) { fmt.Println("keys:", s.Keys); close(done) },
	}})
	if err != nil {
		panic(err)
	}
	defer replica.Close()
	go replica.Run(context.Background())
	<-done
	// Output:
	// connected to top
	// full sync because: empty
	// keys: 1
}

// Status is for dashboards: it has words for states, and marshals to JSON.
func ExampleStatus() {
	master, err := repl.NewMaster(newLedger(nil), &repl.Options{Name: "paris-1", Group: "orders"})
	if err != nil {
		panic(err)
	}
	defer master.Close()
	s := master.Status()
	fmt.Println(s.Name, s.Group, s.Role, s.Position.Offset, len(s.Followers))
	// Output: paris-1 orders master 0 0
}

// What ended a link says where, with whom, and why; the reason can be told apart.
func ExampleLinkError() {
	net := repl.NewMemory()
	full, empty := newLedger(nil), newLedger(nil)
	full.put("precious", "data")
	master, err := repl.NewMaster(empty, nil) // somebody has started it anew
	if err != nil {
		panic(err)
	}
	defer master.Close()
	ln, err := net.Listen("top")
	if err != nil {
		panic(err)
	}
	go master.Serve(ln)

	ended := make(chan error, 1)
	replica, err := repl.NewReplica(full, "top", &repl.Options{Transport: net, Events: repl.Events{
		Disconnected: func(_ repl.Peer, err error) {
			select {
			case ended <- err:
			default:
			}
		},
	}})
	if err != nil {
		panic(err)
	}
	defer replica.Close()
	go replica.Run(context.Background())

	err = <-ended
	var link *repl.LinkError
	fmt.Println(errors.As(err, &link), errors.Is(err, repl.ErrEmptyMaster))
	fmt.Println(full.state()["precious"])
	// Output:
	// true true
	// data
}

func ExampleVersionError() {
	err := error(&repl.LinkError{Op: "handshake", Peer: "10.0.0.1:7000", Err: &repl.VersionError{
		What: "protocol", Theirs: 2, TheirsMax: 3, Ours: 1, OursMax: 1,
	}})
	fmt.Println(err)
	fmt.Println(errors.Is(err, repl.ErrVersion))
	// Output:
	// repl: handshake 10.0.0.1:7000: no version in common: protocol 2 to 3 there, 1 to 1 here
	// true
}

// A write that too few replicas have in time stands all the same.
func ExampleNotAckedError() {
	machine := newLedger(nil)
	master, err := repl.NewMaster(machine, &repl.Options{Safety: repl.Safety{Ack: 1, AckTimeout: time.Millisecond}})
	if err != nil {
		panic(err)
	}
	defer master.Close()

	_, err = machine.put("key", "value")
	var late *repl.NotAckedError
	fmt.Println(errors.As(err, &late), late.Position == machine.Log().Position())
	fmt.Println(late.Acked, "of", late.Need)
	fmt.Println(machine.state()["key"])
	// Output:
	// true true
	// 0 of 1
	// value
}

func ExampleOptionError() {
	_, err := repl.NewReplica(newLedger(nil), "top", &repl.Options{Copying: repl.Copying{MaxSyncs: -1}})
	var wrong *repl.OptionError
	fmt.Println(errors.As(err, &wrong), wrong.Field, wrong.Value)
	// Output: true MaxSyncs -1
}

func ExampleRefusedError() {
	err := &repl.RefusedError{Err: backlog.ErrTrimmed, Text: "too slow"}
	fmt.Println(errors.Is(err, backlog.ErrTrimmed))
	fmt.Println(err)
	// Output:
	// true
	// repl: refused by the peer: backlog: offset is no longer held, in its words: too slow
}
