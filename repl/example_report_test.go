package repl_test

import (
	"context"
	"fmt"
	"time"

	"github.com/emberkv/ember/repl"
)

// overseen makes a master "a", with an entry, and a replica "b" that has it. Both take orders.
func overseen(net *repl.Memory) (a, b *repl.Node) {
	opts := func(name string) *repl.Options {
		return &repl.Options{Name: name, Announce: name, Transport: net, Supervision: repl.Supervision{Supervised: true}}
	}
	ctx, top := context.Background(), newLedger(nil)
	top.put("key", "value")
	master, err := repl.NewMaster(top, opts("a"))
	if err != nil {
		panic(err)
	}
	replica, err := repl.NewReplica(newLedger(nil), "a", opts("b"))
	if err != nil {
		panic(err)
	}
	for _, node := range []*repl.Node{master.Node(), replica.Node()} {
		ln, err := net.Listen(node.Name())
		if err != nil {
			panic(err)
		}
		go node.Serve(ln)
		go node.Run(ctx)
	}
	if err := replica.WaitSynced(ctx); err != nil {
		panic(err)
	}
	if _, err := master.Wait(ctx, top.Log().Position(), 1); err != nil {
		panic(err)
	}
	return master.Node(), replica.Node()
}

// oversee opens a control link to a node.
func oversee(net *repl.Memory, addr, name string) *repl.Control {
	control, err := repl.DialControl(context.Background(), addr, &repl.ControlOptions{Name: name, Announce: name, Transport: net})
	if err != nil {
		panic(err)
	}
	return control
}

// reportOf returns what a node answers to a poll.
func reportOf(control *repl.Control, poll *repl.Poll) *repl.Report {
	report, err := control.Poll(context.Background(), poll)
	if err != nil {
		panic(err)
	}
	return report
}

// Whoever looks for the next master asks all nodes where they stand.
func ExampleReport() {
	net := repl.NewMemory()
	a, b := overseen(net)
	defer a.Close()
	defer b.Close()
	for _, addr := range []string{"a", "b"} {
		control := oversee(net, addr, "operator")
		defer control.Close()
		r, err := control.Poll(context.Background(), nil)
		if err != nil {
			panic(err)
		}
		fmt.Printf("%s: %s, has the group's data: %t, up to %d in epoch %d\n", r.Name, r.Role, r.Ready, r.Position.Offset, r.Lineage.Epoch.Counter)
	}
	// Output:
	// a: master, has the group's data: true, up to 11 in epoch 1
	// b: replica, has the group's data: true, up to 11 in epoch 1
}

// A poll may answer the report before it, by a grant: so a master writes on as long as somebody
// asks it.
func ExamplePoll() {
	net, ctx := repl.NewMemory(), context.Background()
	a, b := overseen(net)
	defer a.Close()
	defer b.Close()
	control := oversee(net, "a", "sentinel")
	defer control.Close()

	poll := new(repl.Poll) // it only asks, as nil does
	for range 3 {
		report, err := control.Poll(ctx, poll)
		if err != nil {
			panic(err)
		}
		fmt.Println("holds the lease:", report.Lease.Remaining > 0)
		poll = &repl.Poll{Grant: &repl.Grant{Stamp: report.Stamp, Lease: time.Hour, Need: 1}}
	}
	_, err := control.Poll(ctx, &repl.Poll{Notice: make([]byte, 2000)})
	fmt.Println(err)
	// Output:
	// holds the lease: false
	// holds the lease: true
	// holds the lease: true
	// repl: invalid option: len(Notice) is 2000, want at most 1024
}

// Those who ask the same node find each other by what they post there.
func ExampleNotice() {
	net := repl.NewMemory()
	a, b := overseen(net)
	defer a.Close()
	defer b.Close()
	one, two := oversee(net, "a", "one"), oversee(net, "a", "two")
	defer one.Close()
	defer two.Close()

	reportOf(one, &repl.Poll{Notice: []byte("I vote for b")})
	for _, notice := range reportOf(two, &repl.Poll{Notice: []byte("and I for a")}).Notices {
		fmt.Printf("%s at %s\n", notice.Body, notice.Addr)
	}
	for _, notice := range reportOf(one, nil).Notices { // its own is not among them
		fmt.Printf("%s at %s\n", notice.Body, notice.Addr)
	}
	// Output:
	// I vote for b at one
	// and I for a at two
}

// A replica says how long it has been without its upstream, or that it never had it.
func ExampleUpstreamReport() {
	net, ctx := repl.NewMemory(), context.Background()
	a, b := overseen(net)
	defer a.Close()
	defer b.Close()
	late, err := repl.NewReplica(newLedger(nil), "b", &repl.Options{Name: "late", Transport: net})
	if err != nil {
		panic(err)
	}
	defer late.Close()
	ln, err := net.Listen("late")
	if err != nil {
		panic(err)
	}
	go late.Serve(ln)
	control := oversee(net, "late", "operator")
	defer control.Close()

	up := reportOf(control, nil).Upstream
	fmt.Println("follows", up.Addr, up.State, up.Down == -1)
	go late.Run(ctx)
	if err := late.WaitSynced(ctx); err != nil {
		panic(err)
	}
	up = reportOf(control, nil).Upstream
	fmt.Println("follows", up.Addr, up.State, up.Down, up.ID == b.ID())
	// Output:
	// follows b down true
	// follows b streaming 0s true
}

// One node is enough to find those that follow it.
func ExampleFollowerReport() {
	net := repl.NewMemory()
	a, b := overseen(net)
	defer a.Close()
	defer b.Close()
	control := oversee(net, "a", "operator")
	defer control.Close()
	report := reportOf(control, nil)
	for _, f := range report.Followers {
		fmt.Printf("%s at %s, streams: %t, behind by %d bytes\n", f.Name, f.Addr, f.Online, report.Position.Offset-f.Applied)
	}
	// Output: b at b, streams: true, behind by 0 bytes
}

// A lease is held while enough sentinels grant it. The first one that is held arms it: without one
// the node takes no writes from then on.
func ExampleLeaseReport() {
	net := repl.NewMemory()
	a, b := overseen(net)
	defer a.Close()
	defer b.Close()
	for _, name := range []string{"one", "two"} {
		control := oversee(net, "a", name)
		defer control.Close()
		stamp := reportOf(control, nil).Stamp
		l := reportOf(control, &repl.Poll{Grant: &repl.Grant{Stamp: stamp, Lease: time.Hour, Need: 2}}).Lease
		fmt.Printf("%d of %d, held: %t, armed: %t\n", l.Granted, l.Need, l.Remaining > 0, l.Armed)
	}
	// Output:
	// 1 of 2, held: false, armed: false
	// 2 of 2, held: true, armed: true
}
