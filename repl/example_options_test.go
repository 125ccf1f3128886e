package repl_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/repl"
)

// A master that gives its followers ten megabytes a second, two at a time; and a replica that
// gives up what it has for whatever the master has.
func ExampleCopying() {
	net, top, below := repl.NewMemory(), newLedger(nil), newLedger(nil)
	top.put("key", "theirs")
	below.put("key", "mine")
	master := masterAt(net, "paris", top, &repl.Options{Copying: repl.Copying{MaxSyncs: 2, SyncRate: 10 << 20}})
	defer master.Close()
	replica := replicaAt(net, "", "paris", below, &repl.Options{Copying: repl.Copying{AllowForeign: true}})
	defer replica.Close()
	fmt.Println(below.state()["key"])
	// Output: theirs
}

// An upstream that takes connections and says nothing is given up, and tried again.
func ExampleLiveness() {
	net := repl.NewMemory()
	mute, err := net.Listen("mute")
	if err != nil {
		panic(err)
	}
	defer mute.Close()
	ended := make(chan error, 1)
	replica, err := repl.NewReplica(newLedger(nil), "mute", &repl.Options{
		Transport: net,
		Liveness:  repl.Liveness{HandshakeTimeout: 10 * time.Millisecond},
		Events: repl.Events{Disconnected: func(_ repl.Peer, err error) {
			select {
			case ended <- err:
			default:
			}
		}},
	})
	if err != nil {
		panic(err)
	}
	defer replica.Close()
	go replica.Run(context.Background())
	fmt.Println(errors.Is(<-ended, repl.ErrTimeout))
	// Output: true
}

// What a replica that has not reached its master yet answers.
func ExampleStale() {
	for _, whenDown := range []repl.Stale{repl.ServeStale, repl.RefuseStale} {
		store := kv.New(nil)
		replica, err := repl.NewReplica(store, "10.0.0.1:7000", &repl.Options{
			Reading: repl.Reading{WhenDown: whenDown},
		})
		if err != nil {
			panic(err)
		}
		_, err = store.Get("key")
		fmt.Printf("%s: %v\n", whenDown, err)
		replica.Close()
		store.Close()
	}
	// Output:
	// serve: kv: key not found
	// refuse: kv: STALE: data may be older than allowed
}
