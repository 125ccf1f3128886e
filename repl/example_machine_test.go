package repl_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/rdb"
	"github.com/emberkv/ember/repl"
)

// An observed is a store that tells how its state comes to it.
type observed struct {
	*kv.Store
	told chan string
}

func (o observed) Load(h rdb.Header) (rdb.Loader, error) {
	o.told <- "a copy, built beside what there is"
	return o.Store.Load(h)
}

func (o observed) Apply(at backlog.Position, records []byte) error {
	err := o.Store.Apply(at, records)
	o.told <- fmt.Sprint("records, which follow on that: ", err)
	return err
}

// A *kv.Store is a machine, and so is what a program puts around one.
func ExampleMachine_around() {
	net, store := repl.NewMemory(), kv.New(nil)
	defer store.Close()
	master := masterAt(net, "top", store, nil)
	defer master.Close()

	machine := observed{kv.New(nil), make(chan string, 10)}
	defer machine.Close()
	replica, err := repl.NewReplica(machine, "top", &repl.Options{Transport: net})
	if err != nil {
		panic(err)
	}
	defer replica.Close()
	go replica.Run(context.Background())
	if err := replica.WaitSynced(context.Background()); err != nil {
		panic(err)
	}
	fmt.Println(<-machine.told)
	if err := store.Set("key", []byte("value")); err != nil {
		panic(err)
	}
	fmt.Println(<-machine.told)
	// Output:
	// a copy, built beside what there is
	// records, which follow on that: <nil>
}

// A clocked machine goes by the clock of the node that writes, while it follows one.
type clocked struct {
	repl.Machine
	follows atomic.Bool
	now     atomic.Int64 // Unix milliseconds
	heard   chan int64   // capacity 1
}

func newClocked(now int64) *clocked {
	c := &clocked{Machine: newLedger(nil), heard: make(chan int64, 1)}
	c.now.Store(now)
	return c
}

func (c *clocked) SetFollower(following bool) { c.follows.Store(following) }

func (c *clocked) SetClock(unixMilli int64) {
	c.now.Store(unixMilli)
	select {
	case c.heard <- unixMilli:
	default:
	}
}

func (c *clocked) Clock() int64 { return c.now.Load() }

// A machine whose entries end at some time must not end them on a replica before the master does.
func ExampleClocked() {
	net, top, below := repl.NewMemory(), newClocked(2_000), newClocked(9_999) // which is fast
	master := masterAt(net, "top", top, nil)
	defer master.Close()

	replica, err := repl.NewReplica(below, "top", &repl.Options{Transport: net})
	if err != nil {
		panic(err)
	}
	defer replica.Close()
	go replica.Run(context.Background())
	fmt.Println("follows:", below.follows.Load(), "and is told that it is", <-below.heard)

	if err := replica.WaitSynced(context.Background()); err != nil {
		panic(err)
	}
	if _, err := replica.Promote(context.Background()); err != nil {
		panic(err)
	}
	fmt.Println("follows:", below.follows.Load(), "and goes on from", below.Clock()/1000*1000)
	// Output:
	// follows: true and is told that it is 2000
	// follows: false and goes on from 2000
}

// A counted ledger says how many entries it holds.
type counted struct {
	repl.Machine
	ledger *ledger
}

func (c counted) Len() int { return len(c.ledger.state()) }

// A machine that was used, and is empty again, loses nothing to a master that it does not know.
// Only one that is Counted can say so.
func ExampleCounted() {
	net, top, used := repl.NewMemory(), newLedger(nil), newLedger(nil)
	top.put("key", "value")
	master := masterAt(net, "top", top, nil)
	defer master.Close()

	used.put("old", "value")
	delete(used.entries, "old")
	for _, machine := range []repl.Machine{struct{ repl.Machine }{used}, counted{used, used}} {
		ended := make(chan error, 100)
		replica, err := repl.NewReplica(machine, "top", &repl.Options{Transport: net, Events: repl.Events{
			Disconnected: func(_ repl.Peer, err error) { ended <- err },
			CaughtUp:     func(repl.CaughtUp) { ended <- nil },
		}})
		if err != nil {
			panic(err)
		}
		go replica.Run(context.Background())
		err = <-ended
		replica.Close()
		fmt.Println("refused:", errors.Is(err, repl.ErrForeign), "entries:", used.state())
	}
	// Output:
	// refused: true entries: map[]
	// refused: false entries: map[key:value]
}
