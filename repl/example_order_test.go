package repl_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/emberkv/ember/repl"
)

// An operator has the master hand over to one of its followers, and loses no write.
func ExampleOrder() {
	net, ctx := repl.NewMemory(), context.Background()
	a, b := overseen(net)
	defer a.Close()
	defer b.Close()
	control := oversee(net, "a", "operator")
	defer control.Close()

	order := &repl.Order{Kind: repl.OrderHandover, To: b.ID(), Timeout: time.Minute}
	fmt.Println(control.Order(ctx, order), a.Role(), b.Role())
	err := control.Order(ctx, order) // it is a replica now
	fmt.Println(errors.Is(err, repl.ErrRoleChanged))
	err = control.Order(ctx, &repl.Order{Kind: repl.OrderFollow, Addr: "b"}) // this is not sent
	fmt.Println(err)
	// Output:
	// <nil> replica master
	// true
	// repl: invalid option: Epoch is 0, want that in which the order is given
}

// A node that is not Supervised reports how it is, and does nothing that it is told.
func ExampleOrderKind() {
	net, ctx := repl.NewMemory(), context.Background()
	master := masterAt(net, "a", newLedger(nil), nil)
	defer master.Close()
	control := oversee(net, "a", "operator")
	defer control.Close()

	for _, kind := range []repl.OrderKind{repl.OrderPromote, repl.OrderFollow, repl.OrderHandover} {
		err := control.Order(ctx, &repl.Order{Kind: kind, Epoch: 7, Addr: "b", To: repl.NewNodeID()})
		fmt.Printf("%s: %v\n", kind, err)
	}
	// Output:
	// promote: repl: refused by a (a): node takes no orders
	// follow: repl: refused by a (a): node takes no orders
	// handover: repl: refused by a (a): node takes no orders
}

// A master that may have been replaced while it was down waits for the word of its sentinels; or,
// if those are gone for good, for that of its operator.
func ExampleSupervision() {
	store := newLedger(nil)
	_, err := repl.NewMaster(store, &repl.Options{Supervision: repl.Supervision{Fenced: true}})
	fmt.Println(err)

	master, err := repl.NewMaster(store, &repl.Options{Supervision: repl.Supervision{Supervised: true, Fenced: true}})
	if err != nil {
		panic(err)
	}
	defer master.Close()
	_, err = store.put("key", "value")
	fmt.Println(errors.Is(err, repl.ErrNoLease))
	master.Node().Disarm()
	_, err = store.put("key", "value")
	fmt.Println(err)
	// Output:
	// repl: invalid option: Fenced is true, want false without Supervised
	// true
	// <nil>
}

// Status says who watches a node, and whether they let it write.
func ExampleSupervisionStatus() {
	net := repl.NewMemory()
	a, b := overseen(net)
	defer a.Close()
	defer b.Close()
	control := oversee(net, "a", "sentinel-1")
	defer control.Close()
	reportOf(control, nil)

	s := a.Status().Supervision
	fmt.Println("takes orders:", s.Supervised, "writes by a lease alone:", s.Lease.Armed)
	for _, asker := range s.Askers {
		fmt.Println("watched by", asker.Name)
	}
	// Output:
	// takes orders: true writes by a lease alone: false
	// watched by sentinel-1
}

// A write that is refused for want of a lease has changed nothing. The error says how many
// sentinels have granted it.
func ExampleLeaseError() {
	net, store := repl.NewMemory(), newLedger(nil)
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
	control := oversee(net, "a", "sentinel-1")
	defer control.Close()
	grant := &repl.Grant{Stamp: reportOf(control, nil).Stamp, Lease: time.Hour, Need: 2}
	reportOf(control, &repl.Poll{Grant: grant})

	_, err = store.put("key", "value")
	var lease *repl.LeaseError
	if errors.As(err, &lease) {
		fmt.Println("too few:", lease.Granted < lease.Need, "ran out:", lease.RunOut, "entries:", len(store.state()))
	}
	fmt.Println(err)
	// Output:
	// too few: true ran out: false entries: 0
	// repl: NOLEASE: the sentinels have not granted the right to write: granted by 1 of the 2 sentinels that it takes
}
