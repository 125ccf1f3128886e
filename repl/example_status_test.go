package repl_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/repl"
)

// attach makes a master, and a replica that follows it over a network of their own
// and has caught up.
func attach(opts repl.Options) (master *repl.Master, replica *repl.Replica) {
	net := repl.NewMemory()
	top := newLedger(nil)
	top.put("key", "value")
	master, err := repl.NewMaster(top, &repl.Options{Name: "paris"})
	if err != nil {
		panic(err)
	}
	ln, err := net.Listen("10.0.0.1:7000")
	if err != nil {
		panic(err)
	}
	go master.Serve(ln)
	opts.Transport = net
	replica, err = repl.NewReplica(newLedger(nil), "10.0.0.1:7000", &opts)
	if err != nil {
		panic(err)
	}
	go replica.Run(context.Background())
	if err := replica.WaitSynced(context.Background()); err != nil {
		panic(err)
	}
	return master, replica
}

// What a script for Redis looks for is there under its name.
func ExampleStatus_Info() {
	master, replica := attach(repl.Options{Name: "berlin", Announce: "10.0.0.2:7000"})
	defer master.Close()
	defer replica.Close()
	for line := range strings.Lines(replica.Status().Info()) {
		if strings.HasPrefix(line, "master_") && !strings.HasPrefix(line, "master_replid") {
			fmt.Println(strings.TrimSpace(line))
		}
	}
	// Output:
	// master_host:10.0.0.1
	// master_port:7000
	// master_link_status:up
	// master_last_io_seconds_ago:0
	// master_sync_in_progress:0
	// master_failover_state:no-failover
	// master_repl_offset:11
}

// What a full copy was for and what it has cost is known as long as the node
// lives.
func ExampleSyncStatus() {
	master, replica := attach(repl.Options{})
	defer master.Close()
	defer replica.Close()
	s := replica.Status().Upstream.LastFull
	fmt.Printf("%s, because the replica was %s: %d keys in %d bytes\n", s.State, s.Reason, s.Keys, s.Bytes)
	// Output: complete, because the replica was empty: 1 keys in 11 bytes
}

// Why a link was lost is still there when later tries fail for another reason, and for how
// long when it is up again.
func ExampleOutage() {
	down := make(chan error, 1)
	master, replica := attach(repl.Options{Events: repl.Events{
		Disconnected: func(_ repl.Peer, err error) {
			select {
			case down <- err:
			default: // a later one
			}
		},
	}})
	defer replica.Close()
	master.Close()
	why := <-down
	up := replica.Status().Upstream
	fmt.Printf("%d so far; over: %t; why is kept: %t\n", up.Outages, up.LastOutage.Over, up.LastOutage.Why == why.Error())
	// Output: 1 so far; over: false; why is kept: true
}

// States are words, for people and in JSON.
func ExampleSyncState() {
	text, err := json.Marshal([]repl.SyncState{repl.SyncRunning, repl.SyncBroken})
	fmt.Printf("%s %v %s\n", text, err, repl.SyncComplete)
	// Output: ["running","broken"] <nil> complete
}

func ExampleCaughtUp() {
	caughtUp := make(chan repl.CaughtUp, 1)
	master, replica := attach(repl.Options{Events: repl.Events{
		CaughtUp: func(c repl.CaughtUp) { caughtUp <- c },
	}})
	defer master.Close()
	defer replica.Close()
	c := <-caughtUp
	fmt.Println("has what", c.Peer.Name, "had, up to", c.Position.Offset)
	// Output: has what paris had, up to 11
}

// An upstream that is not there is tried again and again.
func ExampleRetry() {
	retries := make(chan repl.Retry)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	replica, err := repl.NewReplica(newLedger(nil), "nobody", &repl.Options{
		Transport: repl.NewMemory(),
		Events: repl.Events{Retry: func(r repl.Retry) {
			select {
			case retries <- r:
			case <-ctx.Done():
			}
		}},
	})
	if err != nil {
		panic(err)
	}
	defer replica.Close()
	go replica.Run(ctx)
	for range 2 {
		r := <-retries
		fmt.Printf("attempt %d: %v; again soon: %v\n", r.Attempts, r.Err, r.Pause < time.Second)
	}
	cancel()
	// Output:
	// attempt 1: repl: dial nobody: connection refused; again soon: true
	// attempt 2: repl: dial nobody: connection refused; again soon: true
}

// A follower that is gone is not among the followers any more, and is not forgotten.
func ExampleLostFollower() {
	net, gone := repl.NewMemory(), make(chan struct{})
	master, err := repl.NewMaster(newLedger(nil), &repl.Options{Events: repl.Events{
		Disconnected: func(repl.Peer, error) { close(gone) },
	}})
	if err != nil {
		panic(err)
	}
	defer master.Close()
	ln, err := net.Listen("paris")
	if err != nil {
		panic(err)
	}
	go master.Serve(ln)
	replica, err := repl.NewReplica(newLedger(nil), "paris", &repl.Options{Name: "berlin", Transport: net})
	if err != nil {
		panic(err)
	}
	go replica.Run(context.Background())
	if err := replica.WaitSynced(context.Background()); err != nil {
		panic(err)
	}
	replica.Close()
	<-gone
	s := master.Status()
	fmt.Printf("%d followers; %s has left, %d bytes behind\n", len(s.Followers), s.LastLost.Peer.Name, s.LastLost.Behind)
	// Output: 0 followers; berlin has left, 0 bytes behind
}

// A master that cannot reach enough replicas takes no writes.
func ExampleSafety() {
	net, top := repl.NewMemory(), newLedger(nil)
	opts := &repl.Options{Safety: repl.Safety{
		Ack:         1,               // each write waits until a replica has it,
		AckTimeout:  time.Minute,     // for so long,
		MinReplicas: 1,               // and is let in only while one is near:
		MaxLag:      5 * time.Second, // has what there was five seconds ago
	}}
	changes := make(chan repl.GateChange, 10)
	opts.Events.Gate = func(c repl.GateChange) { changes <- c }
	master, err := repl.NewMaster(top, opts)
	if err != nil {
		panic(err)
	}
	defer master.Close()
	ln, err := net.Listen("top")
	if err != nil {
		panic(err)
	}
	go master.Serve(ln)

	_, err = top.put("key", "value")
	fmt.Println(errors.Is(err, repl.ErrNotEnoughReplicas), len(top.state()))

	replica, err := repl.NewReplica(newLedger(nil), "top", &repl.Options{Transport: net})
	if err != nil {
		panic(err)
	}
	defer replica.Close()
	go replica.Run(context.Background())
	for c := range changes {
		if c.Err == nil {
			break
		}
	}
	_, err = top.put("key", "value")
	fmt.Println(err, len(top.state()))
	// Output:
	// true 0
	// <nil> 1
}

// A program that wants to know when its master stops taking writes, and why.
func ExampleGateChange() {
	changes := make(chan repl.GateChange, 10)
	opts := &repl.Options{Safety: repl.Safety{MinReplicas: 1}}
	opts.Events.Gate = func(c repl.GateChange) { changes <- c }
	network, store := repl.NewMemory(), kv.New(nil)
	defer store.Close()
	master, err := repl.NewMaster(store, opts)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer master.Close()
	ln, err := network.Listen("master")
	if err != nil {
		fmt.Println(err)
		return
	}
	go master.Serve(ln)
	fmt.Println((<-changes).Err)
	fmt.Println(master.Status().Refusing)

	copied := kv.New(nil)
	defer copied.Close()
	replica, err := repl.NewReplica(copied, "master", &repl.Options{Transport: network})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer replica.Close()
	go replica.Run(context.Background())
	c := <-changes
	fmt.Println(c.Err, c.Near, store.Set("key", []byte("value")))
	// Output:
	// repl: NOREPLICAS: not enough replicas are near: want 1 within 10s
	// repl: NOREPLICAS: not enough replicas are near: want 1 within 10s
	// <nil> 1 <nil>
}

// How far a handover is, as Status.Handover says it.
func ExampleHandoverStatus() {
	h := repl.HandoverStatus{To: "paris", Step: repl.StepPrepare, Took: 2 * time.Millisecond}
	fmt.Printf("to %s, at step %s for %v\n", h.To, h.Step, h.Took)
	text, err := json.Marshal(h)
	fmt.Println(string(text), err)
	// Output:
	// to paris, at step prepare for 2ms
	// {"to":"paris","step":"prepare","took_ns":2000000} <nil>
}

// The step at which a handover has failed says whether writers were held up. The old master
// goes on.
func ExampleHandoverStep() {
	master, replica := attach(repl.Options{Name: "berlin"})
	defer master.Close()
	defer replica.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, err := master.Handover(ctx, "berlin") // which has no listener
	var failed *repl.HandoverError
	if errors.As(err, &failed) {
		fmt.Printf("at step %s; writers were held up: %v\n", failed.Step, failed.Step != repl.StepNear)
	}
	fmt.Println(master.Node().Role())
	// Output:
	// at step prepare; writers were held up: true
	// master
}
