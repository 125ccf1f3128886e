package repltest_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/repl"
	"github.com/emberkv/ember/repl/repltest"
)

// stores is a topology of stores that are compared by their digests.
func stores(seats []repltest.Seat) repltest.Topology[*kv.Store] {
	return repltest.Topology[*kv.Store]{
		Seats:   seats,
		Machine: func(string) *kv.Store { return kv.New(&kv.Options{LogBytes: 16 << 10}) },
		State: func(s *kv.Store) any {
			d, err := s.Digest()
			return fmt.Sprint(d.Sum, err)
		},
	}
}

func set(t testing.TB, s *kv.Store, n int, value string) {
	t.Helper()
	for i := range n {
		if err := s.Set(fmt.Sprint("k", i), []byte(value)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestGroupsConverge: groups of each shape, whose members are killed, lose their power,
// come back with and without what they had, and change their roles.
func TestGroupsConverge(t *testing.T) {
	names := []string{"a", "b", "c", "d", "e"}
	for shape, seats := range map[string][]repltest.Seat{
		"star": repltest.Star(names...), "chain": repltest.Chain(names...), "tree": repltest.Tree(2, names...),
	} {
		t.Run(shape, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := repltest.New(t, stores(seats), 1)
				set(t, g.Master().Machine(), 50, "first")
				g.WaitEqual()
				g.Member("e").Kill()
				set(t, g.Master().Machine(), 50, "second")
				g.Member("e").Restart("a")
				g.WaitEqual()
				if s := g.Member("e").Node().Status().Upstream; s.Fulls != 0 || s.Partials != 1 {
					t.Errorf("restarted with its store: %d full copies, %d partial", s.Fulls, s.Partials)
				}
				g.Member("d").PowerOff()
				g.Member("d").Replace("e")
				set(t, g.Master().Machine(), 50, "third")
				g.WaitEqual()
				if s := g.Member("d").Node().Status().Upstream; s.Fulls == 0 {
					t.Error("restarted without its store, and no full copy")
				}
				g.Member("a").Kill()
				g.Member("b").Promote()
				for _, name := range []string{"c", "e"} {
					g.Member(name).Follow("b")
				}
				g.Member("a").Restart("b")
				g.WaitEqual()
				if m := g.Master().Name(); m != "b" {
					t.Errorf("the master is %s", m)
				}
				if n := g.Member("d").Machine().Len(); n != 50 {
					t.Errorf("%d keys at the end of the chain", n)
				}
			})
		})
	}
}

// A loud test notes how it fails.
type loud struct {
	testing.TB
	said string
}

type failed struct{}

func (l *loud) Helper() {}
func (l *loud) Fatal(args ...any) {
	l.said += fmt.Sprintln(args...)
	panic(failed{})
}
func (l *loud) Fatalf(format string, args ...any) { l.Fatal(fmt.Sprintf(format, args...)) }
func (l *loud) Failed() bool                      { return l.said != "" }
func (l *loud) Logf(format string, args ...any)   { l.said += fmt.Sprintf(format, args...) + "\n" }

// failure returns what f says when it fails.
func failure(t *testing.T, f func(testing.TB)) string {
	l := &loud{TB: t}
	func() {
		defer func() {
			if r := recover(); r != nil && r != any(failed{}) {
				panic(r)
			}
		}()
		f(l)
	}()
	return l.said
}

// TestGroupSaysWhatFails: who is not where, and, at the end, the seed.
func TestGroupSaysWhatFails(t *testing.T) {
	var l *loud
	t.Run("group", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l = &loud{TB: t}
			said := failure(t, func(tb testing.TB) {
				g := repltest.New(testing.TB(l), stores(repltest.Star("a", "b")), 42)
				set(t, g.Master().Machine(), 50, "first")
				g.WaitEqual()
				begun, bound := time.Now(), g.HealBound()
				if want := 9*time.Second + repltest.DefaultTransfer; bound != want {
					t.Errorf("a star heals in %v, want %v", bound, want)
				}
				g.Network.All().Blackhole()
				set(t, g.Master().Machine(), 50, "second")
				defer func() {
					if took := time.Since(begun); took < bound || took > bound+time.Second {
						t.Errorf("gave up after %v, want %v", took, bound)
					}
				}()
				g.WaitEqual()
			})
			if said != "" { // l heard it
				t.Errorf("%s", said)
			}
			for _, want := range []string{"not equal within 14s", "a: master at ", "b: replica of a, "} {
				if !strings.Contains(l.said, want) {
					t.Errorf("it says %q, and nothing of %q", l.said, want)
				}
			}
		})
	})
	if !strings.HasSuffix(l.said, "the seed was 42\n") {
		t.Errorf("in the end it says %q", l.said)
	}
}

func TestGroupRefuses(t *testing.T) {
	for want, seats := range map[string][]repltest.Seat{
		"Seats is empty":        nil,
		`the name "a" twice`:    {{Name: "a"}, {Name: "a"}},
		`no "b" before "a"`:     {{Name: "a", Upstream: "b"}, {Name: "b"}},
		`the name "" twice, or`: {{}},
	} {
		said := failure(t, func(tb testing.TB) { repltest.New(tb, stores(seats), 1) })
		if !strings.Contains(said, want) {
			t.Errorf("%v: %q, want %q", seats, said, want)
		}
	}
	said := failure(t, func(tb testing.TB) { repltest.New(tb, repltest.Topology[*kv.Store]{Seats: repltest.Star("a")}, 1) })
	if !strings.Contains(said, "Machine is nil") {
		t.Error(said)
	}
}

// TestMisuseOfAGroup fails the test, in words.
func TestMisuseOfAGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := repltest.New(t, stores(repltest.Star("a", "b")), 1)
		l := &loud{TB: t}
		other := repltest.New(testing.TB(l), stores(repltest.Star("c", "d")), 2)
		defer other.Close()
		for want, f := range map[string]func(){
			"no member is called": func() { other.Member("nobody") },
			"c is running":        func() { other.Member("c").Restart("") },
			"c: promote":          func() { other.Member("c").Promote() },
			"2 masters":           func() { other.Member("d").Promote(); other.Master() },
			"d: follow ":          func() { other.Member("d").Follow("") },
		} {
			l.said = ""
			failure(t, func(testing.TB) { f() })
			if !strings.Contains(l.said, want) {
				t.Errorf("%q, want %q", l.said, want)
			}
		}
		l.said = ""
		g.WaitEqual()
	})
}

// upheaval lets much happen to a group, and returns the trace of its network.
func upheaval(t *testing.T, seed uint64) (trace uint64) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		names := []string{"a", "b", "c", "d"}
		g := repltest.New(t, stores(repltest.Tree(2, names...)), seed)
		rng := rand.New(rand.NewPCG(seed, 5))
		for i := range 200 {
			time.Sleep(time.Duration(1+rng.IntN(100))*time.Millisecond + 4321*time.Nanosecond)
			if len(g.Masters()) == 0 { // the last one has heard of another, and stepped down
				g.Members()[0].Promote()
			}
			masters := g.Masters()
			m := masters[rng.IntN(len(masters))]
			if err := m.Machine().Set(fmt.Sprint(rng.IntN(60)), make([]byte, rng.IntN(300))); err != nil {
				t.Fatal(err)
			}
			if i%10 != 9 {
				continue
			}
			some, other := g.Members()[rng.IntN(4)], names[rng.IntN(4)]
			switch link := g.Network.Link(some.Name(), other); rng.IntN(6) {
			case 0:
				link.Cut()
			case 1:
				link.Stall()
			case 2:
				some.Kill()
				up := some.Upstream()
				time.Sleep(time.Second)
				some.Restart(up)
			case 3:
				g.Network.HealAll()
			case 4:
				if some.Upstream() != "" {
					some.Promote()
				}
			case 5:
				link.HalfOpen()
			}
		}
		g.Network.HealAll()
		last := g.Members()[0]
		for _, m := range g.Members() {
			if m != last {
				m.Follow(last.Name(), repl.AllowForeign)
			}
		}
		time.Sleep(time.Second)
		if last.Node().Role() == repl.RoleReplica { // since ever, or it has stepped down
			last.Promote()
		}
		g.WaitEqual()
		trace = g.Network.Trace()
	})
	return trace
}
