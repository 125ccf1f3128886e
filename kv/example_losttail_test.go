package kv_test

import (
	"context"
	"fmt"
	"time"

	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/repl"
)

// A master is cut off and goes on taking writes, while its replica is promoted. When it
// comes back as a replica itself, what only it had is handed to the program.
func ExampleLostTail() {
	network := repl.NewMemory()
	a := kv.New(&kv.Options{OnLostTail: func(t kv.LostTail) {
		for e := range t.Events {
			fmt.Println("lost:", e.Kind, e.Key, string(e.Value))
		}
	}})
	b := kv.New(nil)
	defer a.Close()
	defer b.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	old, _ := repl.NewMaster(a, &repl.Options{Transport: network})
	defer old.Close()
	la, _ := network.Listen("a")
	go old.Serve(la)
	r, _ := repl.NewReplica(b, "a", &repl.Options{Transport: network})
	defer r.Close()
	lb, _ := network.Listen("b")
	go r.Serve(lb)
	go r.Run(ctx)
	r.WaitSynced(ctx)

	r.Promote(ctx) // somebody has found a to be gone, which it is not
	a.Set("order:1", []byte("three apples"))
	b.Set("order:2", []byte("a pear"))

	now, _ := old.Demote("b")
	go now.Run(ctx)
	now.WaitSynced(ctx)
	order, _ := a.Get("order:2")
	fmt.Println("found:", string(order))
	// Output:
	// lost: put order:1 three apples
	// found: a pear
}
