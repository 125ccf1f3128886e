package repl_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/repl"
)

// Wait until a write is on the disk of this node, and of one other.
func ExampleMaster_WaitDurable() {
	ctx := context.Background()
	network := repl.NewMemory()
	dir, err := os.MkdirTemp("", "ember")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	open := func(name string) *kv.Store {
		s, err := kv.Open(filepath.Join(dir, name), &kv.Options{Durability: kv.Durability{Fsync: kv.FsyncAlways}})
		if err != nil {
			panic(err)
		}
		return s
	}
	here, there := open("here"), open("there")
	defer here.Close()
	defer there.Close()
	master, err := repl.NewMaster(here, nil)
	if err != nil {
		panic(err)
	}
	defer master.Close()
	listener, err := network.Listen("master")
	if err != nil {
		panic(err)
	}
	go master.Serve(listener)
	replica, err := repl.NewReplica(there, "master", &repl.Options{Transport: network})
	if err != nil {
		panic(err)
	}
	defer replica.Close()
	go replica.Run(ctx)

	err = here.Set("order:1", []byte("paid")) // FsyncAlways: it is on this disk
	n, waitErr := master.WaitDurable(ctx, here.Position(), 1)
	fmt.Println(err, n, waitErr)
	// Output:
	// <nil> 1 <nil>
}

// openStore opens a store in a folder of its own.
func openStore(t *testing.T, dir string, opts *kv.Options) *kv.Store {
	t.Helper()
	s, err := kv.Open(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func onDisk(policy kv.Fsync) *kv.Options {
	return &kv.Options{Durability: kv.Durability{Fsync: policy, SavePoints: []kv.SavePoint{}}}
}

// TestWaitDurable: replicas count that have a position on disk, as soon as they have; those in
// memory never do.
func TestWaitDurable(t *testing.T) {
	net, s := repl.NewMemory(), newStores(t, 2)
	m := serveStore(t, net, s[0], "a")
	followStore(t, net, s[1], "a")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for i := range 20 {
		s[0].Set("k", []byte{byte(i)})
	}
	pos := s[0].Position()
	if _, err := m.Wait(ctx, pos, 1); err != nil {
		t.Fatal(err)
	}
	brief, end := context.WithTimeout(ctx, 20*time.Millisecond)
	defer end()
	if n, err := m.WaitDurable(brief, pos, 1); n != 0 || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("of a replica in memory: %d, %v", n, err)
	}
	kept := openStore(t, t.TempDir(), onDisk(kv.FsyncEverySecond))
	followStore(t, net, kept, "a")
	s[0].Set("k", []byte("v"))
	pos = s[0].Position()
	go kept.Durable(ctx, pos) // does not wait for the second
	if n, err := m.WaitDurable(ctx, pos, 1); n != 1 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	if got := kept.Synced(); got.Offset < pos.Offset {
		t.Errorf("synced up to %s, %s was said to be", got, pos)
	}
	if n, err := m.Wait(ctx, pos, 2); err != nil { // the one in memory may be later
		t.Fatalf("%d, %v", n, err)
	}
	for _, f := range m.Status().Followers {
		if f.Applied != pos.Offset || f.Durable != 0 && f.Durable != pos.Offset {
			t.Errorf("follower %+v", f)
		}
	}
}

// TestAckDurable: a write returns when a replica has it on disk.
func TestAckDurable(t *testing.T) {
	net := repl.NewMemory()
	store := newStores(t, 1)[0]
	m, err := repl.NewMaster(store, seeded(t, &repl.Options{
		Liveness: repl.Liveness{Heartbeat: time.Hour}, // which would bring the news, too
		Safety:   repl.Safety{Ack: 1, AckDurable: true, AckTimeout: time.Minute},
	}))
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("a")
	if err != nil {
		t.Fatal(err)
	}
	go m.Serve(ln)
	t.Cleanup(func() { m.Close() })
	kept := openStore(t, t.TempDir(), onDisk(kv.FsyncAlways))
	followStore(t, net, kept, "a")
	for range 50 {
		if err := store.Set("k", make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
		if synced, at := kept.Synced(), store.Position(); synced != at {
			t.Fatalf("a write at %s returned, and %s is on disk", at, synced)
		}
	}
	if s := m.Status(); !s.AckDurable || s.Followers[0].Durable != store.Position().Offset {
		t.Errorf("status %+v", s.Followers[0])
	}
	if _, err := repl.NewMaster(kept, &repl.Options{Safety: repl.Safety{AckDurable: true}}); err == nil {
		t.Error("AckDurable without Ack")
	}
}

// TestAckDurableEverySecond: by the defaults, writes wait for a replica that syncs once a second,
// and are not given up right before.
func TestAckDurableEverySecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repl.NewMemory()
		store := newStores(t, 1)[0]
		m, err := repl.NewMaster(store, seeded(t, &repl.Options{Safety: repl.Safety{Ack: 1, AckDurable: true}}))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { m.Close() })
		ln, err := net.Listen("a")
		if err != nil {
			t.Fatal(err)
		}
		go m.Serve(ln)
		followStore(t, net, openStore(t, t.TempDir(), onDisk(kv.FsyncEverySecond)), "a")
		for range 3 {
			began := time.Now()
			if err := store.Set("k", []byte("v")); err != nil {
				t.Errorf("a write: %v after %v", err, time.Since(began))
			}
			time.Sleep(700 * time.Millisecond)
		}
	})
}

// TestReplicaFromTheJournal: one that was away for many windows resyncs partially, from its
// upstream's files.
func TestReplicaFromTheJournal(t *testing.T) {
	net := repl.NewMemory()
	opts := onDisk(kv.FsyncEverySecond)
	opts.LogBytes, opts.SegmentBytes = 64<<10, 64<<10
	store, copied := openStore(t, t.TempDir(), opts), newStores(t, 1)[0]
	m := serveStore(t, net, store, "a")
	store.Set("k", []byte("v"))
	followStore(t, net, copied, "a").Close()
	value := make([]byte, 1000)
	for i := range 2000 { // thirty windows
		store.Set(fmt.Sprint("key", i%100), value)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := store.Durable(ctx, store.Position()); err != nil {
		t.Fatal(err)
	}
	store.Set("k", []byte("w"))
	if w := m.Status().Window; w.First <= copied.Position().Offset || w.Archived > copied.Position().Offset {
		t.Fatalf("window %+v, the replica is at %s", w, copied.Position())
	}
	r := followStore(t, net, copied, "a")
	if up := r.Status().Upstream; up.Partials != 1 || up.Fulls != 0 {
		t.Errorf("%d partial and %d full resyncs", up.Partials, up.Fulls)
	}
	if err := copied.Wait(ctx, store.Position()); err != nil {
		t.Fatal(err)
	}
	mine, err := store.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if theirs, err := copied.Digest(); err != nil || theirs != mine {
		t.Errorf("digests %+v and %+v, %v", mine, theirs, err)
	}
	if c := m.Status().Counters; c.Unconfirmed != 0 {
		t.Errorf("%d went on by their lineage alone", c.Unconfirmed)
	}
}
