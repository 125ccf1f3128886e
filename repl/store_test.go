package repl_test

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/repl"
	"github.com/emberkv/ember/repl/repltest"
)

// Replicate a store within one process: set on one node, get on another.
func Example_store() {
	network := repl.NewMemory() // or repl.TCP, between machines
	ctx := context.Background()

	here := kv.New(nil)
	defer here.Close()
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

	there := kv.New(nil)
	defer there.Close()
	replica, err := repl.NewReplica(there, "master", &repl.Options{Transport: network})
	if err != nil {
		panic(err)
	}
	defer replica.Close()
	go replica.Run(ctx)

	here.Set("greeting", []byte("hello"))
	if err := there.Wait(ctx, here.Position()); err != nil { // read your write
		panic(err)
	}
	value, err := there.Get("greeting")
	fmt.Printf("%s %v\n", value, err)
	fmt.Println(there.Set("greeting", []byte("mine")))
	// Output:
	// hello <nil>
	// repl: READONLY: writes go to the master; this node follows master
}

// serveStore makes a store the master at addr of net.
func serveStore(t *testing.T, net *repl.Memory, s *kv.Store, addr string) *repl.Master {
	t.Helper()
	m, err := repl.NewMaster(s, seeded(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen(addr)
	if err != nil {
		t.Fatal(err)
	}
	go m.Serve(ln)
	t.Cleanup(func() { m.Close() })
	return m
}

// followStore makes a store a replica of upstream and waits until it is level.
func followStore(t *testing.T, net *repl.Memory, s *kv.Store, upstream string) *repl.Replica {
	t.Helper()
	r, err := repl.NewReplica(s, upstream, seeded(t, &repl.Options{Transport: net}))
	if err != nil {
		t.Fatal(err)
	}
	go r.Run(context.Background())
	t.Cleanup(func() { r.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := r.WaitSynced(ctx); err != nil {
		t.Fatal(err)
	}
	return r
}

func newStores(t *testing.T, n int) []*kv.Store {
	stores := make([]*kv.Store, n)
	for i := range stores {
		stores[i] = kv.New(nil)
		t.Cleanup(func() { stores[i].Close() })
	}
	return stores
}

// A replica's store that is made a master by hand must not write on in a history
// in which the old master may write, too.
func TestMasterOnFollowersStoreForks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, s := repl.NewMemory(), newStores(t, 3)
		old := serveStore(t, net, s[0], "a")
		s[0].Set("base", []byte("1"))
		left := followStore(t, net, s[1], "a")
		level := followStore(t, net, s[2], "a")
		s[0].Wait(t.Context(), s[0].Position())
		if _, err := old.Wait(t.Context(), s[0].Position(), 2); err != nil {
			t.Fatal(err)
		}
		left.Close()
		level.Close()
		s[0].Set("k", []byte("old")) // seen by nobody
		old.Close()

		serveStore(t, net, s[1], "b")
		s[1].Set("k", []byte("new"))
		if s[0].Position().History == s[1].Position().History {
			t.Fatal("two writers in one history")
		}
		if up := followStore(t, net, s[2], "b").Status().Upstream; up.Partials != 1 || up.Fulls != 0 {
			t.Errorf("the other replica came with %d partial and %d full syncs", up.Partials, up.Fulls)
		}
		if up := followStore(t, net, s[0], "b").Status().Upstream; up.Fulls != 0 || up.LastPartial.RepairedKeys != 1 {
			t.Errorf("the old master, which has more, came with %d full syncs, %+v", up.Fulls, up.LastPartial)
		}
		for i, store := range s {
			if v, err := store.Get("k"); string(v) != "new" {
				t.Errorf("node %d: %q, %v", i, v, err)
			}
		}
	})
}

// Deadlines pass at the same moment on every node, whatever the wall clocks say:
// the clock that travels is the store's.
func TestDeadlinesPassTogether(t *testing.T) {
	for _, skew := range []time.Duration{-time.Hour, time.Hour} {
		t.Run(skew.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				net, s := repl.NewMemory(), newStores(t, 3)
				s[0].SetFollower(true) // it has followed a writer with another clock
				s[0].SetClock(time.Now().Add(skew).UnixMilli())
				serveStore(t, net, s[0], "a")
				s[0].Set("session", []byte("x"), kv.TTL(10*time.Minute))
				r := followStore(t, net, s[1], "a")
				ln, err := net.Listen("b")
				if err != nil {
					t.Fatal(err)
				}
				go r.Serve(ln)
				followStore(t, net, s[2], "b")
				for _, at := range []time.Duration{time.Minute, 8*time.Minute + 58*time.Second, 2 * time.Second} {
					time.Sleep(at)
					want := s[0].Len()
					for i, store := range s {
						if got := store.Len(); got != want {
							t.Errorf("after %v node %d counts %d keys, the writer %d", at, i, got, want)
						}
					}
				}
				if n := s[0].Len(); n != 0 {
					t.Errorf("%d keys after their deadline", n)
				}
			})
		})
	}
}

// A replica that may drop its data first is empty during the copy and full after.
func TestDropFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, s := repl.NewMemory(), newStores(t, 2)
		serveStore(t, net, s[0], "a")
		big := bytes.Repeat([]byte("x"), 1<<20)
		for i := range 8 {
			s[0].Set(fmt.Sprint("new", i), big)
		}
		s[1].Set("old", []byte("1"))
		before := -1
		r, err := repl.NewReplica(s[1], "a", seeded(t, &repl.Options{
			Transport: net,
			Copying:   repl.Copying{DropFirst: true, AllowForeign: true},
			Events:    repl.Events{FullSync: func(repl.FullSync) { before = s[1].Len() }},
		}))
		if err != nil {
			t.Fatal(err)
		}
		go r.Run(context.Background())
		defer r.Close()
		if err := r.WaitSynced(t.Context()); err != nil {
			t.Fatal(err)
		}
		if before != 0 || s[1].Len() != 8 {
			t.Errorf("%d keys when the copy began and %d after, want 0 and 8", before, s[1].Len())
		}
	})
}

// TestStoreServesUntilTheSwap: a store that takes a full copy over a slow link answers
// with what it had, to the last moment, and from then on with what it has been sent.
func TestStoreServesUntilTheSwap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := repltest.New(t, repltest.Topology[*kv.Store]{
			Seats:   repltest.Star("a", "b"),
			Machine: func(string) *kv.Store { return kv.New(&kv.Options{LogBytes: 4 << 10}) },
		}, 1)
		a, b := g.Member("a"), g.Member("b")
		write := func(value byte) {
			for i := range 100 {
				if err := a.Machine().Set(fmt.Sprint("k", i), bytes.Repeat([]byte{value}, 200)); err != nil {
					t.Fatal(err)
				}
			}
		}
		write('1')
		g.WaitEqual()
		b.Kill()
		write('2')
		g.Network.Link("a", "b").SetBandwidth(5000)
		b.Restart("a")
		seen := make(map[byte]int)
		for value := byte('1'); value == '1' || b.Node().Status().Upstream.State != repl.LinkStreaming; {
			value = 0
			for i := range 100 {
				v, err := b.Machine().Get(fmt.Sprint("k", i))
				if err != nil || value != 0 && v[0] != value {
					t.Fatalf("key %d of 100 is %.1q, %v; the one before %q", i, v, err, value)
				}
				value = v[0]
			}
			seen[value]++
			time.Sleep(10 * time.Millisecond)
		}
		if seen['1'] < 100 || seen['2'] == 0 {
			t.Errorf("seen the old values %d times, the new ones %d times", seen['1'], seen['2'])
		}
	})
}
