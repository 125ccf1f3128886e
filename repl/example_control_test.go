package repl_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/emberkv/ember/repl"
)

// Somebody who is no node of the group looks at one, and tells another to take over.
func ExampleDialControl() {
	net, ctx := repl.NewMemory(), context.Background()
	opts := func(name string) *repl.Options {
		return &repl.Options{Name: name, Transport: net, Supervision: repl.Supervision{Supervised: true}}
	}
	master, err := repl.NewMaster(newLedger(nil), opts("a"))
	if err != nil {
		panic(err)
	}
	defer master.Close()
	replica, err := repl.NewReplica(newLedger(nil), "a", opts("b"))
	if err != nil {
		panic(err)
	}
	defer replica.Close()
	for name, node := range map[string]*repl.Node{"a": master.Node(), "b": replica.Node()} {
		ln, err := net.Listen(name)
		if err != nil {
			panic(err)
		}
		go node.Serve(ln)
		go node.Run(ctx)
	}
	if err := replica.WaitSynced(ctx); err != nil {
		panic(err)
	}

	control, err := repl.DialControl(ctx, "b", &repl.ControlOptions{Name: "operator", Transport: net})
	if err != nil {
		panic(err)
	}
	defer control.Close()
	show := func() uint64 {
		report, err := control.Poll(ctx, nil)
		if err != nil {
			panic(err)
		}
		fmt.Printf("%s is a %s, of epoch %d\n", report.Name, report.Role, report.Heard.Counter)
		return report.Heard.Counter
	}
	heard := show()
	if err := control.Order(ctx, &repl.Order{Kind: repl.OrderPromote, Epoch: heard + 1}); err != nil {
		panic(err)
	}
	show()
	err = control.Order(ctx, &repl.Order{Kind: repl.OrderFollow, Addr: "a", Epoch: heard})
	fmt.Println(errors.Is(err, repl.ErrLowerEpoch))
	// Output:
	// b is a replica, of epoch 1
	// b is a master, of epoch 2
	// true
}

// A supervised master that was once granted a lease writes only while that lasts. The sentinels of
// package repl/sentinel do the granting.
func ExampleGrant() {
	net, ctx, store := repl.NewMemory(), context.Background(), newLedger(nil)
	master, err := repl.NewMaster(store, &repl.Options{Supervision: repl.Supervision{Supervised: true, Fenced: true}})
	if err != nil {
		panic(err)
	}
	defer master.Close()
	ln, err := net.Listen("a")
	if err != nil {
		panic(err)
	}
	go master.Serve(ln)
	_, err = store.put("key", "value")
	fmt.Println(err)

	control, err := repl.DialControl(ctx, "a", &repl.ControlOptions{Transport: net})
	if err != nil {
		panic(err)
	}
	defer control.Close()
	report, err := control.Poll(ctx, nil)
	if err != nil {
		panic(err)
	}
	grant := &repl.Grant{Stamp: report.Stamp, Lease: time.Minute, Need: 1}
	if report, err = control.Poll(ctx, &repl.Poll{Grant: grant}); err != nil {
		panic(err)
	}
	_, err = store.put("key", "value")
	fmt.Println(report.Lease.Granted, "of", report.Lease.Need, err)
	// Output:
	// repl: NOLEASE: the sentinels have not granted the right to write: none has said anything yet
	// 1 of 1 <nil>
}

// Two programs that are no nodes ask each other, over the same kind of link.
func ExampleControlServer() {
	net, ctx := repl.NewMemory(), context.Background()
	server, err := repl.NewControlServer(&repl.ControlOptions{Name: "oracle"},
		func(ctx context.Context, from repl.Peer, body []byte) ([]byte, error) {
			if string(body) != "who is the master?" {
				return nil, errors.New("ask me another")
			}
			return fmt.Appendf(nil, "paris, dear %s", from.Name), nil
		})
	if err != nil {
		panic(err)
	}
	defer server.Close()
	ln, err := net.Listen("oracle")
	if err != nil {
		panic(err)
	}
	go server.Serve(ln)

	control, err := repl.DialControl(ctx, "oracle", &repl.ControlOptions{Name: "client", Transport: net})
	if err != nil {
		panic(err)
	}
	defer control.Close()
	answer, err := control.Call(ctx, []byte("who is the master?"))
	fmt.Printf("%s: %s, %v\n", control.Peer().Name, answer, err)
	_, err = control.Call(ctx, []byte("what is the time?"))
	fmt.Println(errors.Is(err, repl.ErrFailed), err)
	// Output:
	// oracle: paris, dear client, <nil>
	// true repl: refused by oracle (oracle): peer could not do it, in its words: ask me another
}

// A link tells when it is worth asking again, and when there is nobody to ask any more.
func ExampleControl() {
	net, ctx := repl.NewMemory(), context.Background()
	a, b := overseen(net)
	defer a.Close()
	defer b.Close()
	control, err := repl.DialControl(ctx, "b", &repl.ControlOptions{Name: "operator", Transport: net})
	if err != nil {
		panic(err)
	}
	defer control.Close()
	show := func() {
		report, err := control.Poll(ctx, nil)
		if err != nil {
			panic(err)
		}
		fmt.Println(control.Peer().Name, "is a", report.Role)
	}
	show()
	if replica, err := b.Replica(); err != nil {
		panic(err)
	} else if _, err := replica.Promote(ctx); err != nil {
		panic(err)
	}
	<-control.News()
	show()
	b.Close()
	<-control.Done()
	var link *repl.LinkError
	fmt.Println(errors.As(control.Err(), &link))
	// Output:
	// b is a replica
	// b is a master
	// true
}

// Whoever wants to ask the nodes of a group says which, and proves to know its secret.
func ExampleControlOptions() {
	net, ctx := repl.NewMemory(), context.Background()
	guarded := repl.Security{Secrets: []repl.Secret{repl.NewSecret()}}
	master := masterAt(net, "a", newLedger(nil), &repl.Options{Group: "orders", Security: guarded})
	defer master.Close()

	opts := repl.ControlOptions{Name: "operator", Group: "orders", Transport: net, Security: guarded}
	control, err := repl.DialControl(ctx, "a", &opts)
	if err != nil {
		panic(err)
	}
	defer control.Close()
	fmt.Println("speaks to", control.Peer().Name)

	opts.Group = "invoices"
	_, err = repl.DialControl(ctx, "a", &opts)
	fmt.Println(errors.Is(err, repl.ErrGroup))
	// Output:
	// speaks to a
	// true
}

// A handler may take its time. Its context ends when the one who has called is gone.
func ExampleCallHandler() {
	net, calls, ends := repl.NewMemory(), make(chan string), make(chan error)
	var handle repl.CallHandler = func(ctx context.Context, from repl.Peer, body []byte) ([]byte, error) {
		calls <- fmt.Sprintf("%s asks: %s", from.Name, body)
		<-ctx.Done()
		ends <- ctx.Err()
		return nil, ctx.Err()
	}
	server, err := repl.NewControlServer(nil, handle)
	if err != nil {
		panic(err)
	}
	defer server.Close()
	ln, err := net.Listen("oracle")
	if err != nil {
		panic(err)
	}
	go server.Serve(ln)

	control := oversee(net, "oracle", "client")
	answered := make(chan error, 1)
	go func() {
		_, err := control.Call(context.Background(), []byte("who will be the master?"))
		answered <- err
	}()
	fmt.Println(<-calls)
	control.Close()
	fmt.Println(errors.Is(<-answered, repl.ErrClosed))
	fmt.Println(<-ends)
	// Output:
	// client asks: who will be the master?
	// true
	// context canceled
}
