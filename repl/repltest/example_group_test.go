package repltest_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/repl"
	"github.com/emberkv/ember/repl/repltest"
)

// Sessions is a service: it writes on the master and reads from a replica.
type Sessions struct{ write, read *kv.Store }

// Login returns when the session can be read, or ctx ends.
func (s Sessions) Login(ctx context.Context, user, token string) error {
	if err := s.write.Set(user, []byte(token)); err != nil {
		return err
	}
	return s.read.Wait(ctx, s.write.Position())
}

// The test of a service: a login while the link to the replica is dead takes until that
// has been noticed, and no longer. It takes seconds of virtual time, and some
// milliseconds of ours.
func ExampleNew() {
	_ = testLoginDuringAnOutage // go test runs it as TestLoginDuringAnOutage
	// Output:
}

func testLoginDuringAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := repltest.New(t, repltest.Topology[*kv.Store]{
			Seats:   repltest.Star("master", "replica"),
			Machine: func(string) *kv.Store { return kv.New(nil) },
		}, 1)
		g.WaitEqual()
		service := Sessions{g.Member("master").Machine(), g.Member("replica").Machine()}

		g.Network.Link("master", "replica").HalfOpen() // nobody is told
		begun := time.Now()
		if err := service.Login(t.Context(), "ada", "t0ken"); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took > 3*repl.DefaultHeartbeat+time.Second {
			t.Errorf("the login took %v", took)
		}
		g.WaitEqual()
	})
}

func TestLoginDuringAnOutage(t *testing.T) { testLoginDuringAnOutage(t) }

func ExampleStar() {
	fmt.Println(repltest.Star("a", "b", "c"))
	// Output: [{a } {b a} {c a}]
}

func ExampleChain() {
	fmt.Println(repltest.Chain("a", "b", "c"))
	// Output: [{a } {b a} {c b}]
}

func ExampleTree() {
	fmt.Println(repltest.Tree(2, "a", "b", "c", "d", "e", "f"))
	// Output: [{a } {b a} {c a} {d b} {e b} {f c}]
}

// shown is what an example has handed to inBubble last.
var shown func(*testing.T)

// inBubble takes what an example shows of a test, which go test runs as the example's own:
// an example has no testing.T.
func inBubble(f func(*testing.T)) { shown = f }

// asTest is inBubble for a test that has tests of its own, which a bubble has not.
func asTest(f func(*testing.T)) { shown = f }

// TestExamples runs what the examples show.
func TestExamples(t *testing.T) {
	for name, example := range map[string]func(){
		"Group": ExampleGroup, "Seat": ExampleSeat, "Member": ExampleMember, "Topology": ExampleTopology,
	} {
		t.Run(name, func(t *testing.T) {
			example()
			synctest.Test(t, shown)
		})
	}
	t.Run("CheckTransport", func(t *testing.T) {
		ExampleCheckTransport()
		shown(t)
	})
}

// A partition: nobody hears the master any more, and a replica takes its place. What the old
// one has written meanwhile is gone when it comes back.
func ExampleGroup() {
	inBubble(func(t *testing.T) {
		g := repltest.New(t, repltest.Topology[*kv.Store]{
			Seats:   repltest.Star("a", "b", "c"),
			Machine: func(string) *kv.Store { return kv.New(nil) },
		}, 1)
		g.Master().Machine().Set("stock", []byte("three apples"))
		g.WaitEqual()
		g.Network.Around("a").Blackhole()
		g.Member("b").Promote()
		g.Member("c").Follow("b")
		g.Member("a").Machine().Set("order", []byte("an apple"))
		if n := len(g.Masters()); n != 2 {
			t.Errorf("%d masters\n%s", n, g) // how each member stands
		}
		g.Network.HealAll()
		g.Member("a").Follow("b")
		g.WaitEqual()
		if n := g.Member("a").Machine().Len(); n != 1 || g.Master().Name() != "b" {
			t.Errorf("%d keys\n%s", n, g)
		}
	})
	// Output:
}

// Two sites: a star, and behind one of its replicas another site, which is copied to once.
func ExampleSeat() {
	seats := append(repltest.Star("paris", "lyon", "nice"),
		repltest.Seat{Name: "oslo", Upstream: "lyon"},
		repltest.Seat{Name: "bergen", Upstream: "oslo"},
	)
	inBubble(func(t *testing.T) {
		g := repltest.New(t, repltest.Topology[*kv.Store]{
			Seats:   seats,
			Machine: func(string) *kv.Store { return kv.New(nil) },
		}, 1)
		g.WaitEqual()
		g.Network.Link("lyon", "oslo").Cut()
		g.Master().Machine().Set("price", []byte("3"))
		g.WaitEqual()
		if up := g.Member("bergen").Upstream(); up != "oslo" {
			t.Errorf("bergen follows %s", up)
		}
	})
	// Output:
}

// A failover: the master dies, a replica takes its place, and the old one comes back
// under it with what it had.
func ExampleMember() {
	inBubble(func(t *testing.T) {
		g := repltest.New(t, repltest.Topology[*kv.Store]{
			Seats:   repltest.Star("a", "b", "c"),
			Machine: func(string) *kv.Store { return kv.New(nil) },
		}, 1)
		g.Master().Machine().Set("stock", []byte("three apples"))
		g.WaitEqual()
		g.Member("a").Kill()
		g.Member("b").Promote()
		g.Member("c").Follow("b")
		g.Member("a").Restart("b")
		g.WaitEqual()
		if n := g.Member("a").Machine().Len(); n != 1 || g.Master().Name() != "b" {
			t.Errorf("%d keys\n%s", n, g)
		}
	})
	// Output:
}

// What two stores at one position must have in common is their digest.
func ExampleTopology() {
	inBubble(func(t *testing.T) {
		g := repltest.New(t, repltest.Topology[*kv.Store]{
			Seats:   repltest.Chain("a", "b", "c"),
			Machine: func(string) *kv.Store { return kv.New(&kv.Options{LogBytes: 64 << 10}) },
			Options: func(name string) *repl.Options { return &repl.Options{Group: "shop"} },
			State: func(s *kv.Store) any {
				d, err := s.Digest()
				return fmt.Sprint(d, err)
			},
		}, 1)
		g.Master().Machine().Set("stock", []byte("three apples"))
		g.WaitEqual()
		if group := g.Member("c").Node().Status().Group; group != "shop" {
			t.Errorf("c is of group %q", group)
		}
	})
	// Output:
}
