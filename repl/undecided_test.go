package repl_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/repl"
	"github.com/emberkv/ember/repl/repltest"
)

// TestWaitBeforeItIsDecided: a replica is started as a master, and told to follow again, as sentinels do
// it. What the real master has written meanwhile is waited for all the time, and comes; what is beyond
// where histories have parted for good is lost, as soon as that is known.
func TestWaitBeforeItIsDecided(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repltest.NewNetwork(1)
		a := newStation(t, net, "a", "", repl.Reading{})
		dir, host := t.TempDir(), net.Host("b")
		opts := func() *repl.Options {
			return seeded(t, &repl.Options{ID: repl.NodeID{0xb}, Name: "b", Transport: host, Supervision: repl.Supervision{Supervised: true, Fenced: true}})
		}
		open := func() *kv.Store {
			s, err := kv.Open(dir, nil)
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		wait := func(s *kv.Store, pos backlog.Position) error {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			return s.Wait(ctx, pos)
		}
		s := open()
		r, err := repl.NewReplica(s, "a", opts())
		if err != nil {
			t.Fatal(err)
		}
		go r.Run(context.Background())
		set := func(value string) backlog.Position {
			t.Helper()
			if err := a.Set("k", []byte(value)); err != nil {
				t.Fatal(err)
			}
			return a.Position()
		}
		if err := wait(s, set("1")); err != nil {
			t.Fatal(err)
		}
		r.Close()
		s.Close()

		at := set("2")
		s = open()
		defer s.Close()
		m, err := repl.NewMaster(s, opts())
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		serve(t, m.Node(), host, "b")
		go m.Node().Run(context.Background())
		done := make(chan error, 1)
		go func() { done <- wait(s, at) }()
		time.Sleep(time.Second)
		net.Link("a", "b").Refuse()
		if r, err = m.Demote("a"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if len(done) > 0 {
			t.Fatalf("before it has heard of the master: %v", <-done)
		}
		net.HealAll()
		if err := <-done; err != nil {
			t.Errorf("what the master had written meanwhile: %v", err)
		}

		// Cut off, a writes what nobody else has, and b is promoted.
		net.Link("a", "b").Refuse()
		net.Link("a", "b").Cut()
		lost := set("3")
		if m, err = r.Promote(t.Context()); err != nil {
			t.Fatal(err)
		}
		m.Node().Disarm()
		if err := wait(s, lost); !errors.Is(err, kv.ErrLost) {
			t.Errorf("of a promoted node: %v, want ErrLost", err)
		}
		net.HealAll()
		if _, err := a.node.Follow("b"); err != nil {
			t.Fatal(err)
		}
		if err := wait(a.Store, s.Position()); err != nil {
			t.Fatal(err)
		}
		if err := wait(a.Store, lost); !errors.Is(err, kv.ErrLost) {
			t.Errorf("of who had it: %v, want ErrLost", err)
		}
	})
}

// TestWaitEndsWithTheDecision: the node that was started as a master gets its lease. Nothing else happens, but
// whoever waits for what it has left behind hears of it.
func TestWaitEndsWithTheDecision(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repl.NewMemory()
		a, b := kv.New(nil), kv.New(nil)
		defer a.Close()
		defer b.Close()
		up := masterAt(net, "a", a, nil)
		defer up.Close()
		r, err := repl.NewReplica(b, "a", seeded(t, &repl.Options{Transport: net}))
		if err != nil {
			t.Fatal(err)
		}
		go r.Run(context.Background())
		if err := r.WaitSynced(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.Close()
		if err := a.Set("k", nil); err != nil {
			t.Fatal(err)
		}
		m, err := repl.NewMaster(b, seeded(t, &repl.Options{Transport: net, Supervision: repl.Supervision{Supervised: true, Fenced: true}}))
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		serve(t, m.Node(), net, "b")
		done := make(chan error, 1)
		go func() { done <- b.Wait(t.Context(), a.Position()) }()
		time.Sleep(10 * time.Second)
		if len(done) > 0 {
			t.Fatalf("before it is decided: %v", <-done)
		}
		renew(t, control(t, net, "b", 1), time.Hour, 1)
		time.Sleep(2 * time.Second)
		if len(done) == 0 {
			t.Fatal("it still waits")
		}
		if err := <-done; !errors.Is(err, kv.ErrLost) {
			t.Errorf("%v, want ErrLost", err)
		}
	})
}
