package repl_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/repl"
	"github.com/emberkv/ember/repl/repltest"
)

// minReplicas returns options for a master that needs n replicas within lag.
func minReplicas(n int, lag time.Duration) *repl.Options {
	return &repl.Options{Safety: repl.Safety{MinReplicas: n, MaxLag: lag}}
}

// unguarded returns a ledger with some entries, which no gate has kept out.
func unguarded(t testing.TB) *ledger {
	l := newLedger(nil)
	fill(t, l, "k", 20)
	return l
}

// TestMinReplicasCounts those that follow the master itself, each once, and no others.
func TestMinReplicasCounts(t *testing.T) {
	for min := 1; min <= 3; min++ {
		for attached := range 4 {
			synctest.Test(t, func(t *testing.T) {
				net, a := repl.NewMemory(), unguarded(t)
				end := a.Log().End()
				m := master(t, a, net, "a", minReplicas(min, 0))
				if _, err := a.put("early", "v"); !errors.Is(err, repl.ErrNotEnoughReplicas) {
					t.Errorf("before anybody has come: %v", err)
				}
				var rs []*repl.Replica
				for range attached {
					rs = append(rs, replica(t, newLedger(nil), net, "a", nil))
				}
				if attached > 0 {
					serve(t, rs[0], net, "below")
					for range 3 {
						replica(t, newLedger(nil), net, "below", nil)
					}
				}
				synced(t, m, a, rs...)
				time.Sleep(2 * time.Second)
				_, err := a.put("key", "v")
				if open := attached >= min; open != (err == nil) || !open && !errors.Is(err, repl.ErrNotEnoughReplicas) {
					t.Errorf("%d replicas, %d wanted: %v", attached, min, err)
				}
				if err != nil && (a.Log().End() != end || len(a.state()) != 20) {
					t.Error("a write that was refused has changed something")
				}
				s := m.Status()
				if s.MinReplicas != min || s.NearReplicas != attached || s.MaxLag != repl.DefaultMaxLag {
					t.Errorf("status: %d near, %d wanted within %v", s.NearReplicas, s.MinReplicas, s.MaxLag)
				}
				if want := fmt.Sprintf("min_slaves_good_slaves:%d\r\n", attached); !strings.Contains(s.Info(), want) {
					t.Errorf("no %q in %s", want, s.Info())
				}
			})
		}
	}
}

// TestFrozenReplicas: their links stand, and nothing comes. Writes are let in up to MaxLag
// after the moment that the last answer was about, refused from then on, and let in
// again once the replicas are back.
func TestFrozenReplicas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const lag = 2 * time.Second
		net := repltest.NewNetwork(1)
		net.SetDelay(5*time.Millisecond, 0)
		a := unguarded(t)
		o := minReplicas(2, lag)
		o.Timeout = time.Minute
		m := master(t, a, net.Host("a"), "a", o)
		var rs []*repl.Replica
		for i := range 3 {
			rs = append(rs, replica(t, newLedger(nil), net.Host(fmt.Sprint("r", i)), "a", &repl.Options{Liveness: o.Liveness}))
		}
		synced(t, m, a, rs...)
		try := func() error { _, err := a.put("k", "v"); return err }
		freeze := func(hosts ...string) {
			for _, h := range hosts {
				net.Host(h).Stall()
			}
		}
		time.Sleep(repl.DefaultHeartbeat)
		freeze("r0")
		time.Sleep(10 * lag)
		if err := try(); err != nil {
			t.Errorf("with one of three frozen: %v", err)
		}
		freeze("r1")
		at := time.Now()
		for try() == nil {
			time.Sleep(time.Millisecond)
		}
		if took := time.Since(at); took > lag || took < lag-repl.DefaultHeartbeat-20*time.Millisecond {
			t.Errorf("writes were let in for %v, want at most %v and not a heartbeat less", took, lag)
		}
		if s := m.Status(); s.NearReplicas != 1 || len(s.Followers) != 3 {
			t.Errorf("%d of %d are near, want 1 of 3", s.NearReplicas, len(s.Followers))
		}
		time.Sleep(5 * time.Second)
		if err := try(); !errors.Is(err, repl.ErrNotEnoughReplicas) {
			t.Errorf("later: %v", err)
		}
		// What the frozen ones have said before reaches the master now, and is old.
		net.Host("r1").Resume()
		at = time.Now()
		for try() != nil {
			time.Sleep(time.Millisecond)
		}
		if took := time.Since(at); took > repl.DefaultHeartbeat+20*time.Millisecond {
			t.Errorf("writes were let in again after %v", took)
		}
	})
}

// TestGateOneWay: data reach the replica and its acks do not come back.
func TestGateOneWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const lag = 2 * time.Second
		net := repltest.NewNetwork(1)
		net.SetDelay(time.Millisecond, 0)
		a, b := unguarded(t), newLedger(nil)
		m := master(t, a, net.Host("a"), "a", minReplicas(1, lag))
		r := replica(t, b, net.Host("b"), "a", nil)
		synced(t, m, a, r)
		time.Sleep(1500 * time.Millisecond)
		if _, err := a.put("k", "before"); err != nil {
			t.Fatal(err)
		}
		net.Link("b", "a").OneWay().Blackhole()
		time.Sleep(lag)
		if _, err := a.put("k", "during"); !errors.Is(err, repl.ErrNotEnoughReplicas) {
			t.Errorf("%v after %v without acks", err, lag)
		}
		net.HealAll()
		eventually(t, func() bool { _, err := a.put("k", "after"); return err == nil }, func() string { return "closed still" })
		synced(t, m, a, r)
		same(t, a, b)
	})
}

// TestLossIsBounded: whatever the links do, at each write that is let in MinReplicas
// replicas have applied all that had been written MaxLag before. One that answers every
// heartbeat, and is far behind with the log, does not count.
func TestLossIsBounded(t *testing.T) {
	for seed := range uint64(4) {
		synctest.Test(t, func(t *testing.T) {
			const lag = 3 * time.Second
			net := repltest.NewNetwork(seed)
			net.SetDelay(5*time.Millisecond, 20*time.Millisecond)
			a := unguarded(t)
			m := master(t, a, net.Host("a"), "a", minReplicas(2, lag))
			var ls []*ledger
			var rs []*repl.Replica
			for i := range 3 {
				ls = append(ls, newLedger(nil))
				host := net.Host(fmt.Sprint("r", i))
				net.Link("a", host.Name()).SetWindow(16 << 10)
				rs = append(rs, replica(t, ls[i], host, "a", nil))
			}
			synced(t, m, a, rs...)
			time.Sleep(time.Second)
			type mark struct {
				at  time.Time
				end int64
			}
			var marks []mark // of what was let in, those within lag
			var floor int64  // what was let in before lag
			accepted, refused := 0, 0
			value := strings.Repeat("x", 1000)
			for step := range 4000 {
				switch {
				case step%1000 == 100: // slower than the writer: behind, and alive
					net.Link("a", "r0").SetBandwidth(20_000)
					net.Link("a", "r1").SetBandwidth(20_000)
				case step%1000 == 600:
					net.Link("a", "r1").SetBandwidth(0)
					net.Link("a", "r2").Stall()
				case step%1000 == 800:
					net.HealAll()
					net.All().SetBandwidth(0)
				}
				time.Sleep(10 * time.Millisecond)
				end, err := a.put(fmt.Sprint("k", step%50), value)
				if err != nil {
					refused++
					continue
				}
				accepted++
				for len(marks) > 0 && time.Since(marks[0].at) > lag {
					floor, marks = marks[0].end, marks[1:]
				}
				marks = append(marks, mark{time.Now(), end})
				have := 0
				for _, l := range ls {
					if l.Log().End() >= floor {
						have++
					}
				}
				if have < 2 {
					t.Fatalf("seed %d, step %d: let in while %d replicas have what was written %v ago", seed, step, have, lag)
				}
			}
			if accepted < 500 || refused < 100 {
				t.Errorf("seed %d: %d writes were let in and %d refused: nothing was tried", seed, accepted, refused)
			}
		})
	}
}

// TestMinReplicasAndRoles: a replica is not asked for replicas of its own; once promoted
// it is, and those that follow it already count at once.
func TestMinReplicasAndRoles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repltest.NewNetwork(1)
		net.SetDelay(time.Millisecond, 0)
		need := func(o *repl.Options) { o.MinReplicas = 1 }
		a := newMember(t, net.Host("a"), "a", "")
		b := newMember(t, net.Host("b"), "b", "a", need)
		c := newMember(t, net.Host("c"), "c", "b", need)
		fill(t, a.ledger, "k", 10)
		level(t, a, b, c)
		time.Sleep(2 * time.Second)
		if _, err := b.put("k", "v"); !errors.Is(err, repl.ErrReadOnly) {
			t.Errorf("a write on a replica: %v", err)
		}
		b.promote(t)
		if _, err := b.put("k", "v"); err != nil {
			t.Errorf("a write on the new master, which has a replica: %v", err)
		}
		c.promote(t)
		if _, err := c.put("k", "v"); !errors.Is(err, repl.ErrNotEnoughReplicas) {
			t.Errorf("a write on a master without replicas: %v", err)
		}
	})
}

// TestMasterAgainWithoutReplicas: a master's machine that was closed to writes for want of
// replicas has not followed, and keeps its history when it is made a master anew.
func TestMasterAgainWithoutReplicas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, a := repl.NewMemory(), unguarded(t)
		before := a.Log().Position()
		master(t, a, net, "a", minReplicas(1, 0)).Close()
		master(t, a, net, "b", minReplicas(1, 0))
		if after := a.Log().Position(); after != before {
			t.Errorf("at %s, was at %s", after, before)
		}
	})
}

// TestReplicaThatLoads does not count before it streams, whatever it acks.
func TestReplicaThatLoads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, a := repl.NewMemory(), unguarded(t)
		slowly(a, 100*time.Millisecond)
		m := master(t, a, net, "a", minReplicas(1, 0))
		r := replica(t, newLedger(&backlog.Options{}), net, "a", nil)
		time.Sleep(500 * time.Millisecond)
		if s := m.Status().Followers; len(s) != 1 || s[0].State != repl.FollowerCopying || s[0].Near {
			t.Fatalf("%+v", s)
		}
		if _, err := a.put("k", "v"); !errors.Is(err, repl.ErrNotEnoughReplicas) {
			t.Errorf("with a replica that loads: %v", err)
		}
		synced(t, m, a, r)
		time.Sleep(2 * time.Second)
		if _, err := a.put("k", "v"); err != nil {
			t.Errorf("when it is there: %v", err)
		}
	})
}
