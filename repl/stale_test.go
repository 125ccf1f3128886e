package repl_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/repl"
	"github.com/emberkv/ember/repl/repltest"
)

// A station is a store with its node, at an address of the same name.
type station struct {
	*kv.Store
	node *repl.Node
}

// newStation makes a store the follower of upstream, or a master without one.
func newStation(t *testing.T, net *repltest.Network, name, upstream string, reading repl.Reading) *station {
	t.Helper()
	host := net.Host(name)
	o := &repl.Options{Name: name, Transport: host, Reading: reading}
	s := &station{Store: kv.New(nil)}
	t.Cleanup(func() { s.Close() })
	if upstream == "" {
		m, err := repl.NewMaster(s, seeded(t, o))
		if err != nil {
			t.Fatal(err)
		}
		s.node = m.Node()
	} else {
		r, err := repl.NewReplica(s, upstream, seeded(t, o))
		if err != nil {
			t.Fatal(err)
		}
		s.node = r.Node()
	}
	t.Cleanup(func() { s.node.Close() })
	serve(t, s.node, host, name)
	go s.node.Run(context.Background())
	return s
}

// reads returns what a Get of a key that is there says.
func (s *station) reads() error {
	_, err := s.Get("k")
	return err
}

// stateOf says what a station thinks of its data.
func (s *station) stateOf() string {
	return fmt.Sprintf("%v; %+v", s.reads(), s.node.Status().Upstream)
}

func (s *station) becomes(t *testing.T, want error) {
	t.Helper()
	eventually(t, func() bool { return errors.Is(s.reads(), want) }, s.stateOf)
}

// chainOf returns a master a, b that follows it, and c that follows b, level and with one
// key.
func chainOf(t *testing.T, net *repltest.Network, reading repl.Reading) (a, b, c *station) {
	t.Helper()
	a = newStation(t, net, "a", "", reading)
	b = newStation(t, net, "b", "a", reading)
	c = newStation(t, net, "c", "b", reading)
	if err := a.Set("k", []byte("v")); err != nil {
		t.Fatal(err)
	}
	for _, s := range []*station{b, c} {
		s.becomes(t, nil)
	}
	return a, b, c
}

// TestStaleIsServed: by default a replica that is cut off serves what it has, however old.
func TestStaleIsServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repltest.NewNetwork(1)
		_, b, c := chainOf(t, net, repl.Reading{})
		net.Link("a", "b").Cut()
		net.Link("a", "b").Refuse()
		time.Sleep(time.Hour)
		for _, s := range []*station{b, c} {
			if err := s.reads(); err != nil {
				t.Error(s.stateOf())
			}
		}
		if u := c.node.Status().Upstream; u.State != repl.LinkStreaming || u.Linked || u.Age < 59*time.Minute || u.Stale {
			t.Errorf("%+v", u)
		}
	})
}

// TestStaleIsRefused: with RefuseStale a replica refuses reads before it has synced, while
// its link is down, and when that of a node above it is; and nothing else.
func TestStaleIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repltest.NewNetwork(2)
		reading := repl.Reading{WhenDown: repl.RefuseStale}
		early := newStation(t, net, "early", "nobody", reading)
		if err := early.reads(); !errors.Is(err, kv.ErrStale) {
			t.Errorf("before the first sync: %v", err)
		}
		a, b, c := chainOf(t, net, reading)
		if err := a.reads(); err != nil {
			t.Errorf("the master: %v", err)
		}
		for round := range 3 {
			net.Link("a", "b").Cut()
			net.Link("a", "b").Refuse()
			b.becomes(t, kv.ErrStale)
			c.becomes(t, kv.ErrStale)
			if u := c.node.Status().Upstream; u.State != repl.LinkStreaming || u.Linked || !u.Stale {
				t.Errorf("round %d: the last one streams from one that is cut off: %+v", round, u)
			}
			if err := a.reads(); err != nil {
				t.Errorf("the master: %v", err)
			}
			net.HealAll()
			b.becomes(t, nil)
			c.becomes(t, nil)
		}
		// Promoted it is a master, whose data are what there is; those below it follow one.
		net.Link("a", "b").Cut()
		net.Link("a", "b").Refuse()
		b.becomes(t, kv.ErrStale)
		r, err := b.node.Replica()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Promote(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := b.reads(); err != nil {
			t.Errorf("promoted: %v", err)
		}
		c.becomes(t, nil)
		// After Close nobody says how old the data are.
		c.node.Close()
		if err := c.reads(); !errors.Is(err, kv.ErrStale) {
			t.Errorf("after Close: %v", err)
		}
	})
}

// TestMaxStaleness: a replica refuses reads when its data are older than that, whatever
// cuts it off: a dead link, a silent one, a slow one, or one of those above it.
func TestMaxStaleness(t *testing.T) {
	const bound = 5 * time.Second
	for name, cut := range map[string]func(*repltest.Network){
		"link down":   func(n *repltest.Network) { n.Link("a", "b").Cut(); n.Link("a", "b").Refuse() },
		"silent link": func(n *repltest.Network) { n.Link("a", "b").Stall() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				net := repltest.NewNetwork(3)
				a, b, c := chainOf(t, net, repl.Reading{MaxStaleness: bound})
				for range 60 { // an idle master's data do not grow old
					time.Sleep(time.Second)
					for _, s := range []*station{a, b, c} {
						if err := s.reads(); err != nil {
							t.Fatal(s.stateOf())
						}
					}
				}
				cut(net)
				began := time.Now()
				for _, s := range []*station{b, c} {
					s.becomes(t, kv.ErrStale)
				}
				// Each link adds up to one heartbeat to the age.
				if took := time.Since(began); took < bound-3*time.Second || took > bound+time.Second {
					t.Errorf("reads are refused after %v", took)
				}
				if c.node.Status().Upstream.State != repl.LinkStreaming {
					t.Errorf("the last link is %v", c.node.Status().Upstream.State)
				}
				net.HealAll()
				b.becomes(t, nil)
				c.becomes(t, nil)
				if err := a.reads(); err != nil {
					t.Errorf("the master: %v", err)
				}
			})
		})
	}
}

// TestStaleToTheMoment: data that are too old are not read, not even by who comes first at that
// moment: a process that was stopped reads before its timers have rung.
func TestStaleToTheMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const bound = 5 * time.Second
		net := repltest.NewNetwork(3)
		_, b, _ := chainOf(t, net, repl.Reading{MaxStaleness: bound})
		net.Link("a", "b").Stall()
		time.Sleep(time.Second)
		time.Sleep(bound - b.node.Status().Upstream.Age)
		if err := b.reads(); err != nil {
			t.Fatal(b.stateOf())
		}
		if b.node.Status().Upstream.Stale {
			t.Error("at the bound the status says stale")
		}
		time.Sleep(time.Nanosecond)
		if err := b.reads(); err != kv.ErrStale {
			t.Errorf("a nanosecond later: %s", b.stateOf())
		}
		if !b.node.Status().Upstream.Stale {
			t.Error("then the status does not say so")
		}
	})
}

// TestAgeOfALink: a link over which everything takes ten seconds more than at first looks
// alive, but what comes by it is old.
func TestAgeOfALink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repltest.NewNetwork(4)
		reading := repl.Reading{MaxStaleness: 5 * time.Second}
		a := newStation(t, net, "a", "", reading)
		b := newStation(t, net, "b", "a", reading)
		a.Set("k", []byte("v"))
		b.becomes(t, nil)
		for d := time.Duration(0); d <= 10*time.Second; d += 500 * time.Millisecond {
			net.SetDelay(d, 0)
			time.Sleep(time.Second)
		}
		if u := b.node.Status().Upstream; !errors.Is(b.reads(), kv.ErrStale) || u.State != repl.LinkStreaming || u.LastIO > 3*time.Second {
			t.Error(b.stateOf())
		}
		net.SetDelay(0, 0)
		b.becomes(t, nil)
	})
}

// TestReadYourWritesThroughAPromotion: a position that a write or a read has returned lets
// another node read it, before and after a promotion; one that was lost is an error.
func TestReadYourWritesThroughAPromotion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repltest.NewNetwork(5)
		net.SetDelay(50*time.Millisecond, 0)
		a := newStation(t, net, "a", "", repl.Reading{})
		b := newStation(t, net, "b", "a", repl.Reading{})
		c := newStation(t, net, "c", "b", repl.Reading{})
		see := func(from, on *station, value string) {
			t.Helper()
			pos := from.Position()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if err := on.Wait(ctx, pos); err != nil {
				t.Fatalf("%s: %v", pos, err)
			}
			if v, err := on.Get("k"); err != nil || string(v) != value {
				t.Fatalf("%q, %v; want %q", v, err, value)
			}
		}
		for i := range 20 {
			value := fmt.Sprint(i)
			if err := a.Set("k", []byte(value)); err != nil {
				t.Fatal(err)
			}
			see(a, c, value) // written there, read here
			see(c, b, value) // and what was read here, there
		}
		net.Link("a", "b").Cut()
		net.Link("a", "b").Refuse()
		kept := a.Position()
		if err := a.Set("k", []byte("lost")); err != nil {
			t.Fatal(err)
		}
		lost := a.Position()
		r, err := b.node.Replica()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Promote(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := b.Set("k", []byte("new")); err != nil {
			t.Fatal(err)
		}
		see(b, c, "new")
		for _, s := range []*station{b, c} {
			if err := s.Wait(t.Context(), kept); err != nil {
				t.Errorf("a position before the fork: %v", err)
			}
			if err := s.Wait(t.Context(), lost); !errors.Is(err, kv.ErrLost) {
				t.Errorf("a position beyond it: %v, want ErrLost", err)
			}
		}
	})
}

// TestReadingOptions: what makes no sense is refused, and so is a machine that cannot refuse.
func TestReadingOptions(t *testing.T) {
	s := kv.New(nil)
	defer s.Close()
	for want, o := range map[string]*repl.Options{
		"WhenDown":     {Reading: repl.Reading{WhenDown: 7}},
		"MaxStaleness": {Reading: repl.Reading{MaxStaleness: time.Second}},
	} {
		var e *repl.OptionError
		if _, err := repl.NewReplica(s, "x", o); !errors.As(err, &e) || e.Field != want {
			t.Errorf("%v, want one about %s", err, want)
		}
	}
	var e *repl.OptionError
	if _, err := repl.NewReplica(newLedger(nil), "x", &repl.Options{Reading: repl.Reading{WhenDown: repl.RefuseStale}}); !errors.As(err, &e) || e.Field != "machine" {
		t.Errorf("%v, want one about the machine", err)
	}
}

// A replica that may not serve old data refuses to be read until it has found its master.
func ExampleReading() {
	store := kv.New(nil)
	defer store.Close()
	replica, err := repl.NewReplica(store, "10.0.0.1:7000", &repl.Options{
		Reading: repl.Reading{WhenDown: repl.RefuseStale, MaxStaleness: 5 * time.Second},
	})
	if err != nil {
		panic(err)
	}
	defer replica.Close()
	_, err = store.Get("k")
	fmt.Println(err, errors.Is(err, kv.ErrStale))
	// Output: kv: STALE: data may be older than allowed true
}

// TestDemotedMasterKnowsNoBetter: the data of who was a master are as old as the time when it last was one by
// right: of an hour ago if its lease ended then, and of no known age if it was only started as a master.
func TestDemotedMasterKnowsNoBetter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const bound, lease = 3 * time.Second, time.Second
		for _, c := range []struct {
			name   string
			fenced bool
			leased bool
			idle   time.Duration // before it is demoted
			fresh  bool
		}{
			{"unsupervised in effect: it writes", false, false, time.Hour, true},
			{"never leased", true, false, 0, false},
			{"with a lease", true, true, 0, true},
			{"without it for a second", true, true, lease + time.Second, true},
			{"without it for an hour", true, true, time.Hour, false},
			{"without it for a second, and granted by too few", true, true, lease + time.Second + time.Nanosecond, true},
		} {
			net := repltest.NewNetwork(1)
			host, s := net.Host("b"), kv.New(nil)
			m, err := repl.NewMaster(s, seeded(t, &repl.Options{
				Name: "b", Transport: host, Reading: repl.Reading{MaxStaleness: bound},
				Supervision: repl.Supervision{Supervised: true, Fenced: c.fenced},
			}))
			if err != nil {
				t.Fatal(err)
			}
			serve(t, m.Node(), host, "b")
			go m.Node().Run(context.Background())
			var guard *repl.Control
			if c.leased {
				guard = control(t, host, "b", 1)
				renew(t, guard, lease, 1)
			}
			if c.fenced == c.leased {
				if err := s.Set("k", []byte("v")); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(c.idle)
			if strings.HasSuffix(c.name, "too few") {
				renew(t, guard, lease, 2)
			}
			if _, err := m.Demote("nobody"); err != nil {
				t.Fatal(err)
			}
			up := m.Node().Status().Upstream
			if _, err := s.Has("k"); errors.Is(err, kv.ErrStale) == c.fresh || up.Stale == c.fresh {
				t.Errorf("%s: %v, said to be %v old, stale %t", c.name, err, up.Age, up.Stale)
			}
			time.Sleep(bound + time.Millisecond)
			if _, err := s.Has("k"); !errors.Is(err, kv.ErrStale) {
				t.Errorf("%s, after %v: %v", c.name, bound, err)
			}
			m.Close()
			s.Close()
		}
	})
}
