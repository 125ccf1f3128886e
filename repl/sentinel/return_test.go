package sentinel_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/repl"
	"github.com/emberkv/ember/repl/repltest"
	"github.com/emberkv/ember/repl/sentinel"
)

// A sentinel that is started again with its store is the one that it was, and knows everybody
// from before, whom it was not told of.
func TestSentinelRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, repltest.Star("a", "b", "c"), 3, sentinel.Options{})
		w.settle()
		s := w.guards[0]
		id, master := s.ID(), s.Master()
		s.Close()
		w.opts.Monitor = []string{"nowhere"}
		w.start(s)
		if s.ID() != id || s.Master() != master {
			t.Errorf("started as %s with %v, was %s with %v", s.ID(), s.Master(), id, master)
		}
		w.settle()
	})
}

// A sentinel that is started again without its store, at the address that it had, takes the
// place of the one that was there: their number does not grow.
func TestSentinelReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, repltest.Star("a", "b", "c"), 3, sentinel.Options{DownAfter: 8 * time.Second})
		w.settle()
		s := w.guards[0]
		s.Close()
		s.store = new(sentinel.MemoryStore)
		w.start(s)
		w.settle()
		time.Sleep(2 * time.Minute) // until the boards have forgotten the old one
		w.settle()
		for _, other := range w.guards[1:] {
			if n := len(other.seen(sentinel.EventSentinelInvalidAddr)); n != 1 {
				t.Errorf("%s has replaced %d sentinels, want 1\n%s", other.name, n, w)
			}
		}
	})
}

// When all nodes and all sentinels are started again at once, after failovers, the sentinels
// know who was the master, and it is the master again, whoever else says so too.
func TestEverythingRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, repltest.Star("a", "b", "c"), 3, sentinel.Options{})
		w.settle()
		w.Member("a").Kill()
		w.wait("a new writer", 3*time.Second, func() bool { return w.writer() != nil })
		next := w.writer().Name()
		w.agree(next, time.Second)
		w.Member("a").Restart("")
		w.agree(next, 10*time.Second)
		if err := w.Member(next).Machine().Set("key", []byte("value")); err != nil {
			t.Fatal(err)
		}
		w.WaitEqual()
		for _, s := range w.guards {
			s.Close()
		}
		for _, m := range w.Members() {
			m.Kill()
		}
		// As they were set up at first: a as the master, the others to follow it.
		w.fenced = true
		w.Member("a").Restart("")
		w.Member("b").Restart("a")
		w.Member("c").Restart("a")
		for _, s := range w.guards {
			w.start(s)
			if got := s.Master().Addr; got != next {
				t.Errorf("%s remembers %q as the master, want %q", s.name, got, next)
			}
		}
		// The one that was the master is a replica now; so there is none, until one is promoted.
		w.wait("a master", 10*time.Second, func() bool {
			m := w.writer()
			return m != nil && w.guards[0].Master().Addr == m.Name()
		})
		w.agree(w.guards[0].Master().Addr, 10*time.Second)
		w.WaitEqual()
		for _, m := range w.Members() {
			if v, err := m.Machine().Get("key"); err != nil || string(v) != "value" {
				t.Errorf("%s has %q, %v\n%s", m.Name(), v, err, w)
			}
		}
	})
}

// newTownFailedOver returns a town of three whose first master, a, is dead, and the master since, which has
// written a key.
func newTownFailedOver(t *testing.T) (w *town, master *repltest.Member[*kv.Store]) {
	t.Helper()
	w = newTown(t, repltest.Star("a", "b", "c"), 3, sentinel.Options{})
	w.settle()
	w.Member("a").Kill()
	w.wait("a new writer", 3*time.Second, func() bool { return w.writer() != nil })
	master = w.writer()
	w.agree(master.Name(), time.Second)
	if err := master.Machine().Set("key", []byte("value")); err != nil {
		t.Fatal(err)
	}
	w.WaitEqual()
	return w, master
}

// TestStartedAsSetUp: a has failed over to another, and then both are started again, each as it was at
// first: a as the master, the other to follow it. Whoever comes first, nobody gives up what was
// acknowledged since: a, which lacks it, has been leased nothing.
func TestStartedAsSetUp(t *testing.T) {
	for _, masterFirst := range []bool{true, false} {
		for _, pause := range []time.Duration{0, time.Millisecond, 30 * time.Millisecond, 300 * time.Millisecond} {
			synctest.Test(t, func(t *testing.T) {
				w, next := newTownFailedOver(t)
				next.Kill()
				w.fenced = true
				start := []func(){func() { w.Member("a").Restart("") }, func() { next.Restart("a") }}
				if !masterFirst {
					slices.Reverse(start)
				}
				start[0]()
				time.Sleep(pause)
				start[1]()
				for range 100 {
					time.Sleep(100 * time.Millisecond)
					for _, m := range w.Members() {
						if _, err := m.Machine().Get("key"); err != nil && m.Name() != "a" {
							t.Fatalf("master first %t, %v: %s has lost what was acknowledged: %v\n%s", masterFirst, pause, m.Name(), err, w)
						}
					}
				}
				w.agree(w.guards[0].Master().Addr, 10*time.Second)
				w.WaitEqual()
				if v, err := w.Member("a").Machine().Get("key"); err != nil || string(v) != "value" {
					t.Errorf("a has %q, %v\n%s", v, err, w)
				}
			})
		}
	}
}

// TestReplicaComesBackToTheMaster: one that is started again as it was set up follows a node that is a replica
// by now. It is told to follow the master, as before: with fewer direct replicas than MinReplicas nobody
// could write any more. But a chain that somebody makes is his.
func TestReplicaComesBackToTheMaster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, repltest.Star("a", "b", "c"), 3, sentinel.Options{})
		w.settle()
		w.Member("a").Kill()
		w.wait("a new writer", 3*time.Second, func() bool { return w.writer() != nil })
		next := w.writer()
		w.fenced = true
		w.Member("a").Restart("")
		w.agree(next.Name(), 10*time.Second)
		other := w.Member("b")
		if other == next {
			other = w.Member("c")
		}
		upstream := func() string { return other.Node().Status().Upstream.Peer.Name }
		other.Kill()
		time.Sleep(100 * time.Millisecond)
		other.Restart("a")
		w.wait("it follows the master", 5*time.Second, func() bool { return upstream() == next.Name() })
		time.Sleep(10 * time.Second)
		if upstream() != next.Name() {
			t.Errorf("it follows %s\n%s", upstream(), w)
		}
		other.Follow("a")
		time.Sleep(time.Minute)
		if upstream() != "a" {
			t.Errorf("its operator's chain was undone: it follows %s\n%s", upstream(), w)
		}
		w.WaitEqual()
	})
}

// TestFarMasterRestarts: the sentinels compare it with the replicas, which answer several times while its own
// answers are under way. It gets its lease, or another takes its place, as one that is farther than half of its
// lease cannot hold that.
func TestFarMasterRestarts(t *testing.T) {
	for rtt := 100 * time.Millisecond; rtt <= 600*time.Millisecond; rtt += 20 * time.Millisecond {
		synctest.Test(t, func(t *testing.T) {
			w := newTown(t, repltest.Star("a", "b", "c"), 3, sentinel.Options{})
			w.fenced = true
			w.settle()
			w.Network.Between([]string{"a"}, []string{"s1", "s2", "s3"}).SetDelay(rtt/2, 0)
			time.Sleep(10 * time.Second)
			m := w.Member("a")
			m.Kill()
			m.Restart("")
			w.wait(fmt.Sprint("a writer, ", rtt, " away"), 5*time.Second, func() bool { return w.writer() != nil })
		})
	}
}

// TestStrayForAMoment: a replica is started as a master by mistake, stopped, and started as what it is. It has
// begun an epoch above the master's, and written nothing: that costs the master nothing, whether or
// not anybody watches.
func TestStrayForAMoment(t *testing.T) {
	for _, guards := range []int{3, 0} {
		synctest.Test(t, func(t *testing.T) {
			w := newTown(t, repltest.Star("a", "b", "c"), guards, sentinel.Options{})
			time.Sleep(5 * time.Second)
			w.fenced = guards > 0
			w.Member("b").Kill()
			w.Member("b").Restart("")
			time.Sleep(100 * time.Millisecond)
			w.Member("b").Kill()
			w.Member("b").Restart("a")
			for range 3000 {
				time.Sleep(10 * time.Millisecond)
				if m := w.writer(); m == nil || m.Name() != "a" {
					t.Fatalf("with %d sentinels: a does not write\n%s", guards, w)
				}
			}
			w.WaitEqual()
		})
	}
}

// TestReplicaGoesRound: one that cannot reach the master follows another replica, as its operator wants it. It is
// sent to the master once by each sentinel, and not again and again.
func TestReplicaGoesRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, repltest.Star("a", "b", "c"), 3, sentinel.Options{})
		w.settle()
		w.Network.Link("a", "b").Refuse()
		w.Network.Link("a", "b").Cut()
		time.Sleep(5 * time.Second)
		b := w.Member("b")
		b.Kill()
		time.Sleep(100 * time.Millisecond)
		b.Restart("c")
		time.Sleep(15 * time.Second)
		b.Follow("c")
		for range 60 {
			time.Sleep(time.Second)
			if up := b.Node().Status().Upstream; up.Addr != "c" || up.State != repl.LinkStreaming {
				t.Fatalf("b follows %s, %v\n%s", up.Addr, up.State, w)
			}
		}
	})
}

// TestReplicaMissesTheSwitch: it is stopped while another master takes over, and the old one lives on as a replica
// of that, from which it goes on. It is told to follow the master, as the others were.
func TestReplicaMissesTheSwitch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, repltest.Star("a", "b", "c"), 3, sentinel.Options{})
		w.settle()
		w.Network.Around("c").Blackhole()
		time.Sleep(2 * time.Second)
		w.Member("b").Promote()
		w.wait("b is the master", 5*time.Second, func() bool { return w.guards[0].Master().Addr == "b" })
		w.wait("a follows it", 5*time.Second, func() bool {
			up := w.Member("a").Node().Status().Upstream
			return up != nil && up.State == repl.LinkStreaming
		})
		w.Network.HealAll()
		upstream := func() string { return w.Member("c").Node().Status().Upstream.Peer.Name }
		w.wait("c follows b itself", 10*time.Second, func() bool { return upstream() == "b" })
		time.Sleep(10 * time.Second)
		if upstream() != "b" {
			t.Errorf("c follows %s\n%s", upstream(), w)
		}
	})
}

// TestSentinelsOfAGroupAsSetUp: sentinels that know nothing find a group that was started as it was set up, after
// a failover: the first master is fenced by the others, which have more and follow it, and follows nobody.
func TestSentinelsOfAGroupAsSetUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := newTownFailedOver(t)
		for _, s := range w.guards {
			s.Close()
			s.store = new(sentinel.MemoryStore)
		}
		w.Member("b").Kill()
		w.Member("c").Kill()
		w.fenced = true
		w.Member("a").Restart("")
		w.Member("b").Restart("a")
		w.Member("c").Restart("a")
		time.Sleep(time.Second)
		w.opts.Monitor = []string{"a", "b", "c"}
		for _, s := range w.guards {
			w.start(s)
		}
		w.wait("a master", 30*time.Second, func() bool { return w.writer() != nil })
		w.agree(w.writer().Name(), 20*time.Second)
		w.WaitEqual()
		for _, m := range w.Members() {
			if v, err := m.Machine().Get("key"); err != nil || string(v) != "value" {
				t.Errorf("%s has %q, %v\n%s", m.Name(), v, err, w)
			}
		}
	})
}

// TestMasterComesBackOlder: a backup of the master's folder is put in its place, sooner than it could be
// missed. A replica goes on, with all that was acknowledged since.
func TestMasterComesBackOlder(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		name         string
		guards       bool          // are started again, too
		replicas     time.Duration // when those are started again, after the master; 0 if they go on
		rtt, varying time.Duration // between the master and the sentinels
	}{
		{"it alone", false, 0, 0, 0},
		{"with the sentinels", true, 0, 0, 0},
		{"everything at once", true, ms, 0, 0},
		{"the replicas later", false, 400 * ms, 0, 0},
		{"far", false, 0, 170 * ms, 0},
		{"farther", false, 0, 250 * ms, 0},
		{"now here, now there", false, 0, 100 * ms, 240 * ms},
		{"now here, now farther", false, 0, 140 * ms, 240 * ms},
	} {
		synctest.Test(t, func(t *testing.T) {
			folder, backup := t.TempDir(), filepath.Join(t.TempDir(), "backup")
			w := newTownOf(t, repltest.Star("a", "b", "c"), 3, sentinel.Options{}, func(name string) *kv.Store {
				if name != "a" {
					return kv.New(nil)
				}
				s, err := kv.Open(folder, &kv.Options{Durability: kv.Durability{Fsync: kv.FsyncAlways}})
				if err != nil {
					t.Fatal(err)
				}
				return s
			})
			w.fenced = true // from the next start on
			w.settle()
			a := w.Member("a")
			set := func(key string) {
				t.Helper()
				w.wait("a writes", 5*time.Second, func() bool { return w.writer() == a })
				if err := a.Machine().Set(key, []byte("value")); err != nil {
					t.Fatal(err)
				}
				w.WaitEqual()
			}
			set("early")
			a.Kill()
			a.Machine().Close()
			if err := os.CopyFS(backup, os.DirFS(folder)); err != nil {
				t.Fatal(err)
			}
			a.Replace("")
			w.agree("a", 20*time.Second)
			set("late")
			w.Network.Between([]string{"a"}, []string{"s1", "s2", "s3"}).SetDelay(c.rtt/2, c.varying/2)
			time.Sleep(2 * time.Second)
			a.Kill()
			folder = backup
			if c.replicas > 0 {
				w.Member("b").Kill()
				w.Member("c").Kill()
			}
			if c.guards {
				for _, s := range w.guards {
					s.Close()
				}
			}
			a.Replace("")
			if c.guards {
				for _, s := range w.guards {
					w.start(s)
				}
			}
			if c.replicas > 0 {
				time.Sleep(c.replicas)
				w.Member("b").Restart("a")
				w.Member("c").Restart("a")
			}
			w.wait("another master: "+c.name, 10*time.Second, func() bool { return w.guards[0].Master().Addr != "a" })
			next := w.guards[0].Master().Addr
			w.agree(next, 20*time.Second)
			w.WaitEqual()
			for _, m := range w.Members() {
				for _, key := range []string{"early", "late"} {
					if v, err := m.Machine().Get(key); err != nil || string(v) != "value" {
						t.Errorf("%s: %s has %s: %q, %v\n%s", c.name, m.Name(), key, v, err, w)
					}
				}
			}
		})
	}
}

// A node that has another address now is found there: it is who it was.
func TestNodeMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, repltest.Star("a", "b", "c"), 3, sentinel.Options{})
		w.settle()
		b := w.Member("b")
		id := b.Node().ID()
		b.Kill()
		r, err := repl.NewReplica(b.Machine(), "a", &repl.Options{
			ID: id, Name: "b", Transport: w.Network.Host("b2"), Supervision: repl.Supervision{Supervised: true},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Close() })
		ln, err := w.Network.Host("b2").Listen("b2")
		if err != nil {
			t.Fatal(err)
		}
		go r.Serve(ln)
		go r.Node().Run(context.Background())
		w.wait("b is found at b2", 5*time.Second, func() bool {
			for _, s := range w.guards {
				n, ok := nodeOf(s, id)
				if !ok || n.Addr != "b2" || !n.Linked || n.SDown || len(s.Status().Nodes) != 3 {
					return false
				}
			}
			return true
		})
	})
}

func nodeOf(s *guard, id repl.NodeID) (sentinel.NodeStatus, bool) {
	for _, n := range s.Status().Nodes {
		if n.ID == id {
			return n, true
		}
	}
	return sentinel.NodeStatus{}, false
}

// A node with another id, at the address of one that is gone, takes only its address.
func TestNodeReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, repltest.Star("a", "b", "c"), 3, sentinel.Options{DownAfter: 8 * time.Second, ForgetAfter: 30 * time.Second})
		w.settle()
		b := w.Member("b")
		id := b.Node().ID()
		b.Kill()
		machine := kv.New(nil)
		defer machine.Close()
		r, err := repl.NewReplica(machine, "a", &repl.Options{
			ID: w.newID("new"), Name: "new", Transport: w.Network.Host("b"), Supervision: repl.Supervision{Supervised: true},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		ln, err := w.Network.Host("b").Listen("b")
		if err != nil {
			t.Fatal(err)
		}
		go r.Serve(ln)
		go r.Node().Run(context.Background())
		w.wait("the new one is found", 20*time.Second, func() bool {
			n, ok := nodeOf(w.guards[0], r.Node().ID())
			old, there := nodeOf(w.guards[0], id)
			return ok && n.Addr == "b" && n.Linked && there && old.Addr == "" && old.SDown
		})
		w.wait("the old one is forgotten", time.Minute, func() bool {
			for _, s := range w.guards {
				if _, there := nodeOf(s, id); there {
					return false
				}
			}
			return true
		})
		time.Sleep(time.Minute)
		if _, there := nodeOf(w.guards[0], id); there {
			t.Errorf("the old one is back\n%s", w)
		}
		for _, s := range w.guards {
			s.Close()
		}
	})
}

// Reset forgets all but the master, who are found again if they are there.
func TestReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, repltest.Star("a", "b", "c"), 3, sentinel.Options{DownAfter: 8 * time.Second})
		w.settle()
		w.guards[2].Close()
		w.Member("c").Kill()
		time.Sleep(90 * time.Second) // until the boards have forgotten the sentinel
		for _, s := range w.guards[:2] {
			if st := s.Status(); len(st.Sentinels) != 2 || len(st.Nodes) != 3 {
				t.Fatalf("%s has forgotten somebody by itself\n%s", s.name, w)
			}
			if err := s.Reset(); err != nil {
				t.Fatal(err)
			}
			if got := s.Master().Addr; got != "a" {
				t.Errorf("after Reset %s takes %q for the master", s.name, got)
			}
			time.Sleep(20 * time.Second)
		}
		for _, s := range w.guards[:2] {
			if st := s.Status(); len(st.Sentinels) != 1 || len(st.Nodes) != 2 {
				t.Errorf("%s knows %d nodes and %d sentinels, want 2 and 1\n%s", s.name, len(st.Nodes), len(st.Sentinels), w)
			}
			if len(s.seen(sentinel.EventResetMaster)) != 1 {
				t.Errorf("%s has not told of its reset", s.name)
			}
			if usable, err := s.CheckQuorum(); usable != 2 || err != nil {
				t.Errorf("%s: CheckQuorum says %d, %v", s.name, usable, err)
			}
		}
	})
}

// On demand another is made the master at once, though the present one is well; and by a
// handover, without that anything is lost.
func TestOnDemand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, repltest.Star("a", "b", "c"), 3, sentinel.Options{})
		w.settle()
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := w.guards[0].Failover(ctx); err != nil {
			t.Fatalf("failover: %v\n%s", err, w)
		}
		next := w.guards[0].Master().Addr
		if next == "a" {
			t.Fatalf("a is still the master\n%s", w)
		}
		w.agree(next, 5*time.Second)
		w.wait("it writes", 2*time.Second, func() bool { m := w.writer(); return m != nil && m.Name() == next })
		if err := w.guards[1].Handover(ctx, w.Member("a").Node().ID()); err != nil {
			t.Fatalf("handover: %v\n%s", err, w)
		}
		w.agree("a", 5*time.Second)
		w.wait("a writes", 2*time.Second, func() bool { m := w.writer(); return m != nil && m.Name() == "a" })
		w.WaitEqual()
	})
}

// A group that keeps nothing on disk begins again after all of it was started anew, empty,
// whether its nodes have kept their ids or not.
func TestNothingIsLeft(t *testing.T) {
	for _, nameless := range []bool{false, true} {
		t.Run(fmt.Sprintf("nameless %v", nameless), func(t *testing.T) { testNothingIsLeft(t, nameless) })
	}
}

func testNothingIsLeft(t *testing.T, nameless bool) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, repltest.Star("a", "b", "c"), 3, sentinel.Options{})
		w.nameless = nameless
		w.settle()
		w.Member("a").Kill()
		w.wait("a new writer", 3*time.Second, func() bool { return w.writer() != nil })
		next := w.writer().Name()
		w.agree(next, time.Second)
		w.Member("b").Kill()
		w.Member("c").Kill()
		w.Member("a").Replace("")
		w.Member("b").Replace("a")
		w.Member("c").Replace("a")
		w.wait("a master that has a lease", 20*time.Second, func() bool {
			for _, s := range w.guards {
				m := s.Master()
				if n, ok := nodeOf(s, m.ID); !ok || m.Epoch.Counter < 3 || n.Role != repl.RoleMaster || n.Lease.Granted < 2 {
					return false
				}
			}
			return true
		})
		w.agree(w.guards[0].Master().Addr, 10*time.Second)
		if w.writer() == nil {
			t.Errorf("nobody writes\n%s", w)
		}
		w.WaitEqual()
	})
}

// A node that was a replica, and is started as a master, as it was set up at first, does not become
// the master by that: what it has may be old. It is told to follow.
func TestStartedAsMaster(t *testing.T) {
	for _, c := range []struct {
		name   string
		fenced bool
	}{{"fenced", true}, {"not fenced", false}} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newTown(t, repltest.Star("a", "b", "c"), 3, sentinel.Options{})
				w.settle()
				w.Member("c").Kill()
				if err := w.Member("a").Machine().Set("key", []byte("value")); err != nil {
					t.Fatal(err)
				}
				w.fenced = c.fenced
				w.Member("c").Restart("")
				for range 3 {
					if c.fenced { // otherwise it writes, too, until it is told
						if m := w.writer(); m == nil || m.Name() != "a" {
							t.Fatalf("a does not write\n%s", w)
						}
					}
					time.Sleep(time.Second)
				}
				w.agree("a", 20*time.Second)
				w.WaitEqual()
				for _, m := range w.Members() {
					if v, err := m.Machine().Get("key"); err != nil || string(v) != "value" {
						t.Errorf("%s has %q, %v\n%s", m.Name(), v, err, w)
					}
				}
				for _, s := range w.guards {
					if n := len(s.seen(sentinel.EventSwitchMaster)); n > 0 {
						t.Errorf("%s has told of %d switches\n%s", s.name, n, w)
					}
				}
			})
		})
	}
}

// It is better than nothing: when nobody else is left, it becomes the master by agreement.
func TestLastOneIsStray(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, repltest.Star("a", "b"), 3, sentinel.Options{})
		w.settle()
		w.Member("b").Kill()
		w.Member("a").Kill()
		w.Member("b").Restart("")
		w.agree("b", 10*time.Second)
		w.wait("b writes", 2*time.Second, func() bool { m := w.writer(); return m != nil && m.Name() == "b" })
	})
}

// After everything was started again as a master, each with its data, as by a tool that knows no
// better, the one is the master that was it before, and nobody else has written.
func TestAllStartAsMasters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, repltest.Star("a", "b", "c"), 3, sentinel.Options{})
		w.settle()
		w.Member("a").Kill()
		w.wait("a new writer", 3*time.Second, func() bool { return w.writer() != nil })
		next := w.writer().Name()
		w.Member("a").Restart("")
		w.agree(next, 10*time.Second)
		for _, s := range w.guards {
			s.Close()
		}
		if err := w.Member(next).Machine().Set("key", []byte("value")); err != nil {
			t.Fatal(err)
		}
		for _, m := range w.Members() {
			m.Kill()
		}
		w.fenced = true
		for _, m := range w.Members() {
			m.Restart("")
		}
		for _, s := range w.guards {
			w.start(s)
		}
		w.wait(next+" writes", 5*time.Second, func() bool {
			m := w.writer()
			if m != nil && m.Name() != next {
				t.Fatalf("%s writes, want %s\n%s", m.Name(), next, w)
			}
			return m != nil
		})
		w.agree(next, 15*time.Second)
		w.WaitEqual()
		if v, err := w.Member("a").Machine().Get("key"); err != nil || string(v) != "value" {
			t.Errorf("a has %q, %v\n%s", v, err, w)
		}
	})
}

// Secrets are changed while all goes on: first everybody takes both, then only the new one.
func TestSecretsChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		older, newer := repl.NewSecret(), repl.NewSecret()
		w := newTown(t, repltest.Star("a", "b", "c"), 3, sentinel.Options{Security: repl.Security{Secrets: []repl.Secret{older}}})
		w.settle()
		for _, secrets := range [][]repl.Secret{{older, newer}, {newer, older}, {newer}} {
			for _, m := range w.Members() {
				if err := m.Node().SetSecrets(secrets); err != nil {
					t.Fatal(err)
				}
			}
			for _, s := range w.guards {
				if err := s.SetSecrets(secrets); err != nil {
					t.Fatal(err)
				}
			}
		}
		w.Network.All().Cut()
		w.settle()
		if err := w.guards[0].SetSecrets([]repl.Secret{"short"}); err == nil {
			t.Error("a secret of 5 bytes was taken")
		}
	})
}

// A sentinel that is started again with a shorter DownAfter is bound by what it has promised with the longer one:
// the master may hold a lease of those that were granted before.
func TestSentinelRestartsWithLessPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, repltest.Star("a", "b", "c"), 3, sentinel.Options{DownAfter: 10 * time.Second})
		w.settle()
		w.opts.DownAfter = time.Second
		for _, s := range w.guards[:2] {
			s.Close()
			w.start(s)
			time.Sleep(1500 * time.Millisecond)
		}
		w.Network.Between([]string{"a", "s3"}, []string{"b", "c", "s1", "s2"}).Blackhole()
		next := ""
		for range 1200 {
			time.Sleep(10 * time.Millisecond)
			if m := w.writer(); m != nil {
				next = m.Name()
			}
		}
		if next == "a" || next == "" {
			t.Errorf("the writer is %q in the end\n%s", next, w)
		}
	})
}
