package sentinel_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/repl"
	"github.com/emberkv/ember/repl/repltest"
	"github.com/emberkv/ember/repl/sentinel"
)

// The names of most tests here are those of Redis Sentinel's suite whose rows they stand for.

// fill writes keys to the member that takes writes, and returns them.
func (w *town) fill(prefix string, n int) (keys []string) {
	w.t.Helper()
	m := w.writer()
	if m == nil {
		w.t.Fatalf("nobody takes writes\n%s", w)
	}
	for i := range n {
		key := fmt.Sprintf("%s%d", prefix, i)
		if err := m.Machine().Set(key, []byte(key)); err != nil {
			w.t.Fatalf("%s: %v\n%s", m.Name(), err, w)
		}
		keys = append(keys, key)
	}
	return keys
}

// has checks that a member has all the keys.
func (w *town) has(m *repltest.Member[*kv.Store], keys ...[]string) {
	w.t.Helper()
	for _, some := range keys {
		for _, key := range some {
			if v, err := m.Machine().Get(key); err != nil || string(v) != key {
				w.t.Fatalf("%s has %q for %q, %v\n%s", m.Name(), v, key, err, w)
			}
		}
	}
}

// newMaster waits until somebody but old takes writes, and all that run follow it, and returns it.
func (w *town) newMaster(old string, bound time.Duration) *repltest.Member[*kv.Store] {
	w.t.Helper()
	var next *repltest.Member[*kv.Store]
	w.wait("a new writer", bound, func() bool {
		next = w.writer()
		return next != nil && next.Name() != old
	})
	w.agree(next.Name(), bound)
	if role := next.Node().Role(); role != repl.RoleMaster {
		w.t.Fatalf("%s is a %v\n%s", next.Name(), role, w)
	}
	return next
}

// happens waits until a sentinel has told of an event of that kind, and returns both. It looks
// more often than anything travels.
func (w *town) happens(k sentinel.EventKind, bound time.Duration) (*guard, sentinel.Event) {
	w.t.Helper()
	for begun := time.Now(); time.Since(begun) < bound; time.Sleep(50*time.Microsecond + 3) {
		for _, s := range w.guards {
			if events := s.seen(k); len(events) > 0 {
				return s, events[len(events)-1]
			}
		}
	}
	w.t.Fatalf("no %v within %v\n%s", k, bound, w)
	return nil, sentinel.Event{}
}

func (w *town) forget() {
	for _, s := range w.guards {
		s.mu.Lock()
		s.events = nil
		s.mu.Unlock()
	}
}

func inTown(t *testing.T, seats []repltest.Seat, n int, o sentinel.Options, f func(t *testing.T, w *town)) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, seats, n, o)
		w.settle()
		f(t, w)
	})
}

// 01: the others suffice, and the one that was down learns of it.
func TestFailoverWithASentinelDown(t *testing.T) {
	inTown(t, repltest.Star("a", "b", "c"), 3, sentinel.Options{}, func(t *testing.T, w *town) {
		down := w.guards[0]
		down.Close()
		w.Network.Around(down.name).Cut()
		w.guards = w.guards[1:]
		keys := w.fill("k", 10)
		w.WaitEqual()
		w.Member("a").Kill()
		next := w.newMaster("a", 5*time.Second)
		w.has(next, keys)
		w.guards = append(w.guards, down)
		w.start(down)
		if got := down.Master().Addr; got != "a" {
			t.Errorf("it begins with %q", got)
		}
		w.agree(next.Name(), 3*time.Second)
	})
}

// 00: without a majority there is no failover, however small the quorum; with it there is.
func TestFailoverNeedsAMajority(t *testing.T) {
	inTown(t, repltest.Star("a", "b", "c"), 5, sentinel.Options{Quorum: 2}, func(t *testing.T, w *town) {
		w.WaitEqual()
		for _, s := range w.guards[2:] {
			s.Close()
			w.Network.Around(s.name).Cut()
		}
		all := w.guards
		w.guards = all[:2]
		w.Member("a").Kill()
		time.Sleep(20 * time.Second)
		for _, s := range w.guards {
			if len(s.seen(sentinel.EventODown)) == 0 {
				t.Errorf("%s does not find it down\n%s", s.name, w)
			}
			if len(s.seen(sentinel.EventElectedLeader)) > 0 || s.Master().Addr != "a" {
				t.Errorf("%s was elected by a minority\n%s", s.name, w)
			}
		}
		if len(w.guards[0].seen(sentinel.EventAbortNotElected))+len(w.guards[1].seen(sentinel.EventAbortNotElected)) == 0 {
			t.Errorf("nobody has tried\n%s", w)
		}
		w.guards = all[:3]
		w.start(all[2])
		w.newMaster("a", 30*time.Second)
	})
}

// 00: "absolute agreement".
func TestFailoverByAll(t *testing.T) {
	inTown(t, repltest.Star("a", "b", "c"), 3, sentinel.Options{Quorum: 3}, func(t *testing.T, w *town) {
		w.Member("a").Kill()
		w.newMaster("a", 5*time.Second)
	})
}

// 02: again and again, with a replica that dies as well; those who were dead find their way back.
func TestFailoversInARow(t *testing.T) {
	inTown(t, repltest.Star("a", "b", "c", "d"), 3, sentinel.Options{ParallelSyncs: 1}, func(t *testing.T, w *town) {
		var keys []string
		master := w.Member("a")
		for round := range 4 {
			keys = append(keys, w.fill(fmt.Sprint("r", round, "-"), 10)...)
			w.WaitEqual()
			w.forget()
			master.Kill()
			dead := w.Member("d")
			if dead == master {
				dead = w.Member("c")
			}
			dead.Kill()
			next := w.newMaster(master.Name(), 10*time.Second)
			w.happens(sentinel.EventFailoverEnd, 10*time.Second)
			w.has(next, keys)
			master.Restart("")
			dead.Restart(master.Name()) // which is no master any more
			w.agree(next.Name(), 20*time.Second)
			w.WaitEqual()
			master = next
		}
		for _, m := range w.Members() {
			if n := m.Node().Status().Counters.FullSyncs; n > 3 {
				t.Errorf("%s has given %d full copies", m.Name(), n)
			}
		}
	})
}

// 05 SIMULATE-FAILURE: the leader dies at each step; another finishes what it has begun, or begins again.
func TestLeaderDies(t *testing.T) {
	for _, at := range []sentinel.EventKind{
		sentinel.EventElectedLeader, sentinel.EventSelectedSlave, sentinel.EventStateWaitPromotion, sentinel.EventPromotedSlave,
	} {
		t.Run(at.String(), func(t *testing.T) {
			inTown(t, repltest.Star("a", "b", "c", "d"), 3, sentinel.Options{ParallelSyncs: 1}, func(t *testing.T, w *town) {
				keys := w.fill("k", 10)
				w.WaitEqual()
				w.Member("a").Kill()
				time.Sleep(900 * time.Millisecond) // before that nothing does
				leader, _ := w.happens(at, 5*time.Second)
				w.Network.Around(leader.name).Blackhole()
				var rest []*guard
				for _, s := range w.guards {
					if s != leader {
						rest = append(rest, s)
					}
				}
				all := w.guards
				w.guards = rest
				next := w.newMaster("a", 20*time.Second)
				w.has(next, keys)
				w.Member("a").Restart("")
				w.agree(next.Name(), 20*time.Second)
				w.Network.HealAll()
				w.guards = all
				w.agree(next.Name(), 20*time.Second)
				w.WaitEqual()
			})
		})
	}
}

// The chosen node dies before it was told, or has just become the master, or just after.
func TestCandidateDies(t *testing.T) {
	for _, at := range []sentinel.EventKind{
		sentinel.EventElectedLeader, sentinel.EventSelectedSlave, sentinel.EventPromotedSlave,
	} {
		t.Run(at.String(), func(t *testing.T) {
			inTown(t, repltest.Star("a", "b", "c", "d"), 3, sentinel.Options{}, func(t *testing.T, w *town) {
				keys := w.fill("k", 10)
				w.WaitEqual()
				w.Member("a").Kill()
				time.Sleep(900 * time.Millisecond) // before that nothing does
				leader, _ := w.happens(at, 5*time.Second)
				first := "b"
				if chosen := leader.seen(sentinel.EventSelectedSlave); len(chosen) > 0 {
					first = chosen[0].About.Addr
				}
				w.Member(first).Kill()
				next := w.newMaster(first, 20*time.Second)
				w.has(next, keys)
				w.Member(first).Restart("")
				w.Member("a").Restart("")
				w.agree(next.Name(), 20*time.Second)
				w.WaitEqual()
			})
		})
	}
}

// 05: a failover on demand, of which there is one at a time. All that was written before is there.
func TestDemandedFailover(t *testing.T) {
	inTown(t, repltest.Star("a", "b", "c"), 3, sentinel.Options{}, func(t *testing.T, w *town) {
		var keys []string
		stopped := make(chan error)
		go func() { // somebody writes until he is refused, and waits for nobody
			for i := 0; ; i++ {
				key := fmt.Sprint("k", i)
				if err := w.Member("a").Machine().Set(key, []byte(key)); err != nil {
					stopped <- err
					return
				}
				keys = append(keys, key)
				time.Sleep(50 * time.Microsecond)
			}
		}()
		time.Sleep(20 * time.Millisecond)
		results := make(chan error, 2)
		begun := time.Now()
		for range 2 {
			go func() { results <- w.guards[0].Failover(context.Background()) }()
		}
		first, second := <-results, <-results
		if !errors.Is(first, sentinel.ErrInProgress) || second != nil {
			t.Fatalf("%v, %v, want one in progress\n%s", first, second, w)
		}
		t.Log("promoted after", time.Since(begun))
		if r := w.guards[0].Master(); r.Addr == "a" {
			t.Errorf("it has ended, and the master is still %+v", r)
		}
		if err := <-stopped; !errors.Is(err, repl.ErrReadOnly) {
			t.Errorf("the writer was told %v", err)
		}
		next := w.newMaster("a", 3*time.Second)
		t.Logf("all is as before after %v; %d keys", time.Since(begun), len(keys))
		w.has(next, keys)
		w.WaitEqual()
		for _, m := range w.Members() {
			if n := m.Node().Status().Counters.LostTails; n > 0 {
				t.Errorf("%s has lost a tail", m.Name())
			}
			if up := m.Upstream(); m != next && up != next.Name() {
				t.Errorf("%s follows %s", m.Name(), up)
			}
		}
	})
}

// It needs votes, but not that anybody finds the master down, and does not need that; but the new one writes no sooner than the
// old one may no more.
func TestDemandedFailoverWithoutTheMaster(t *testing.T) {
	inTown(t, repltest.Star("a", "b", "c"), 3, sentinel.Options{}, func(t *testing.T, w *town) {
		w.WaitEqual()
		w.Network.Between([]string{"a"}, []string{"b", "c", "s1"}).Blackhole() // s2 and s3 still lease it
		if err := w.guards[0].Failover(context.Background()); err != nil {
			t.Fatalf("%v\n%s", err, w)
		}
		w.otherWriter("a", 5*time.Second)
		w.Network.HealAll()
		w.agree(w.guards[0].Master().Addr, 20*time.Second)
		w.WaitEqual()
	})
}

// otherWriter waits until somebody but old takes writes; two would fail the test.
func (w *town) otherWriter(old string, bound time.Duration) {
	w.t.Helper()
	w.wait("a new writer", bound, func() bool { m := w.writer(); return m != nil && m.Name() != old })
}

func TestDemandedFailoverFindsNobody(t *testing.T) {
	inTown(t, repltest.Star("a"), 3, sentinel.Options{}, func(t *testing.T, w *town) {
		keys := w.fill("k", 1)
		if err := w.guards[0].Failover(context.Background()); !errors.Is(err, sentinel.ErrNoGoodSlave) {
			t.Errorf("%v", err)
		}
		w.wait("a writes again", 3*time.Second, func() bool { return w.writer() != nil })
		w.has(w.Member("a"), keys)
	})
}

// A handover loses nothing and needs no election; nobody finds anybody down.
func TestHandover(t *testing.T) {
	inTown(t, repltest.Star("a", "b", "c"), 3, sentinel.Options{}, func(t *testing.T, w *town) {
		b := w.Member("b")
		if err := w.guards[0].Handover(context.Background(), b.Node().ID()); !errors.Is(err, repl.ErrNoDeadline) {
			t.Errorf("without a deadline: %v", err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := w.guards[0].Handover(ctx, repl.NodeID{1}); !errors.Is(err, repl.ErrNoFollower) {
			t.Errorf("to nobody: %v", err)
		}
		keys := w.fill("k", 100)
		if err := w.guards[0].Handover(ctx, b.Node().ID()); err != nil {
			t.Fatalf("%v\n%s", err, w)
		}
		took := w.wait("b writes", 3*time.Second, func() bool { m := w.writer(); return m == b })
		t.Log("writes again after", took)
		w.has(b, keys)
		w.agree("b", 3*time.Second)
		time.Sleep(5 * time.Second)
		for _, s := range w.guards {
			for _, k := range []sentinel.EventKind{sentinel.EventSDown, sentinel.EventTryFailover, sentinel.EventConvertToSlave, sentinel.EventFixSlaveConfig} {
				if n := len(s.seen(k)); n > 0 {
					t.Errorf("%s: %d times %v\n%s", s.name, n, k, w)
				}
			}
		}
		w.WaitEqual()
	})
}

// While the master hands over nobody is promoted beside it. When that fails all is as before.
func TestHandoverIsNotDisturbed(t *testing.T) {
	inTown(t, repltest.Star("a", "b", "c"), 3, sentinel.Options{}, func(t *testing.T, w *town) {
		w.Network.Link("a", "b").Stall()
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		result := make(chan error)
		go func() { result <- w.guards[0].Handover(ctx, w.Member("b").Node().ID()) }()
		time.Sleep(500 * time.Millisecond)
		for _, s := range w.guards[:2] { // who has told it, and who hears of it
			if err := s.Failover(context.Background()); !errors.Is(err, sentinel.ErrInProgress) {
				t.Errorf("%s: %v", s.name, err)
			}
			if err := s.Handover(ctx, w.Member("c").Node().ID()); !errors.Is(err, sentinel.ErrInProgress) {
				t.Errorf("%s: %v", s.name, err)
			}
		}
		if err := <-result; err == nil {
			t.Errorf("it was carried out\n%s", w)
		}
		w.Network.HealAll()
		w.wait("a writes", 3*time.Second, func() bool { m := w.writer(); return m != nil && m.Name() == "a" })
		w.wait("it is over", 15*time.Second, func() bool { return w.guards[1].Failover(context.Background()) == nil })
		w.newMaster("a", 5*time.Second)
	})
}

// 06: whether a failover would be possible.
func TestCheckQuorum(t *testing.T) {
	inTown(t, repltest.Star("a", "b"), 5, sentinel.Options{Quorum: 2}, func(t *testing.T, w *town) {
		for i, want := range []struct {
			usable int
			ok     bool
		}{{5, true}, {4, true}, {3, true}, {2, false}, {1, false}} {
			w.wait(fmt.Sprint(want), 5*time.Second, func() bool {
				n, err := w.guards[0].CheckQuorum()
				return n == want.usable && (err == nil) == want.ok && (err == nil || errors.Is(err, sentinel.ErrNoQuorum))
			})
			if last := w.guards[4-i]; i < 4 {
				last.Close()
				w.Network.Around(last.name).Cut()
			}
		}
	})
}

// 07: a master that hangs, and one that says that it is none.
func TestMasterHangs(t *testing.T) {
	inTown(t, repltest.Star("a", "b", "c"), 3, sentinel.Options{}, func(t *testing.T, w *town) {
		w.WaitEqual()
		w.Network.Host("a").Stall()
		w.otherWriter("a", 5*time.Second)
		w.Network.Host("a").Resume()
		w.agree(w.guards[0].Master().Addr, 20*time.Second)
		w.WaitEqual()
	})
}

func TestMasterIsASlave(t *testing.T) {
	inTown(t, repltest.Star("a", "b", "c"), 3, sentinel.Options{}, func(t *testing.T, w *town) {
		keys := w.fill("k", 10)
		w.WaitEqual()
		w.Member("a").Follow("nowhere")
		next := w.newMaster("", 10*time.Second)
		w.has(next, keys)
		w.WaitEqual()
	})
}

// T3: both sides of a split write, one after the other. The tail of the minority's is lost, and
// reported; all come together.
func TestSplitBrain(t *testing.T) {
	inTown(t, repltest.Star("a", "b", "c"), 3, sentinel.Options{}, func(t *testing.T, w *town) {
		keys := w.fill("k", 10)
		w.WaitEqual()
		w.Network.Between([]string{"a", "s1"}, []string{"b", "c", "s2", "s3"}).Blackhole()
		lost := w.fill("lost", 5) // its lease is not over yet
		w.otherWriter("a", 5*time.Second)
		if w.guards[0].Master().Addr != "a" {
			t.Errorf("s1 knows better than it can\n%s", w)
		}
		kept := w.fill("kept", 20)
		w.Network.HealAll()
		next := w.newMaster("a", 20*time.Second)
		w.WaitEqual()
		for _, m := range w.Members() {
			w.has(m, keys, kept)
			for _, key := range lost {
				if has, err := m.Machine().Has(key); has || err != nil {
					t.Errorf("%s has %q of a history that is over, %v", m.Name(), key, err)
				}
			}
		}
		st := w.Member("a").Node().Status().Counters
		if st.LostTails != 1 || st.LostBytes == 0 || next.Node().Status().Counters.FullSyncs > 0 {
			t.Errorf("a reports %d lost tails of %d bytes\n%s", st.LostTails, st.LostBytes, w)
		}
	})
}

// T4: the old master comes back at the same offset, with other bytes there.
func TestSameOffsetOtherBytes(t *testing.T) {
	inTown(t, repltest.Star("a", "b", "c"), 3, sentinel.Options{}, func(t *testing.T, w *town) {
		w.WaitEqual()
		a := w.Member("a").Machine()
		w.Network.Around("a").Blackhole()
		if err := a.Set("k", []byte("mine")); err != nil {
			t.Fatal(err)
		}
		var next *kv.Store
		w.wait("a new master", 5*time.Second, func() bool {
			for _, m := range w.Members()[1:] {
				if m.Machine().Set("k", []byte("ours")) == nil {
					next = m.Machine()
				}
			}
			return next != nil
		})
		if was, is := a.Position(), next.Position(); was.Offset != is.Offset || was.History == is.History {
			t.Fatalf("%v there, %v here: the test tests nothing", was, is)
		}
		w.Network.HealAll()
		w.agree(w.guards[1].Master().Addr, 20*time.Second)
		w.WaitEqual()
		if v, err := a.Get("k"); err != nil || string(v) != "ours" {
			t.Errorf("a has %q, %v", v, err)
		}
	})
}

// T8: one that is behind is not promoted while one that is not can be heard; but when that one
// dies right then.
func TestLaggingReplica(t *testing.T) {
	for _, lags := range []string{"b", "c"} {
		for _, dies := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, other dies %v", lags, dies), func(t *testing.T) {
				inTown(t, repltest.Star("a", "b", "c"), 3, sentinel.Options{}, func(t *testing.T, w *town) {
					first := w.fill("first", 10)
					w.WaitEqual()
					other := map[string]string{"b": "c", "c": "b"}[lags]
					w.Network.Link("a", lags).Stall()
					second := w.fill("second", 10)
					w.wait("one has it", time.Second, func() bool {
						return w.Member(other).Machine().Position() == w.Member("a").Machine().Position()
					})
					w.Member("a").Kill()
					if !dies {
						next := w.newMaster("a", 10*time.Second)
						if w.has(next, first, second); next.Name() != other {
							t.Errorf("%s was promoted", next.Name())
						}
						return
					}
					w.happens(sentinel.EventElectedLeader, 5*time.Second)
					w.Member(other).Kill()
					next := w.newMaster("a", 20*time.Second)
					if w.has(next, first); next.Name() != lags {
						t.Errorf("%s was promoted", next.Name())
					}
				})
			})
		}
	}
}

// T9: the head of a chain dies, and one in its middle: no full copies.
func TestChainFailover(t *testing.T) {
	for _, dies := range []string{"a", "b"} {
		t.Run(dies, func(t *testing.T) {
			inTown(t, repltest.Chain("a", "b", "c", "d"), 3, sentinel.Options{}, func(t *testing.T, w *town) {
				keys := w.fill("k", 10)
				w.WaitEqual()
				copies := func() (n int64) {
					for _, m := range w.Members() {
						n += m.Node().Status().Counters.FullSyncs
					}
					return n
				}
				before := copies()
				w.Member(dies).Kill()
				if dies == "a" {
					w.newMaster("a", 5*time.Second)
				}
				w.wait("all follow", 10*time.Second, func() bool {
					for _, m := range w.Members() {
						if st := m.Node().Status(); m.Running() && st.Upstream != nil && st.Upstream.State != repl.LinkStreaming {
							return false
						}
					}
					return true
				})
				more := w.fill("m", 10)
				w.WaitEqual()
				if dies == "b" {
					w.Member("b").Restart("a")
				} else {
					w.Member("a").Restart("")
				}
				w.agree(w.guards[0].Master().Addr, 20*time.Second)
				w.WaitEqual()
				for _, m := range w.Members() {
					w.has(m, keys, more)
				}
				if n := copies() - before; n > 0 {
					t.Errorf("%d full copies\n%s", n, w)
				}
			})
		})
	}
}

// With MinHeard, P4: what Wait has promised holds, whoever is dead.
func TestMinHeard(t *testing.T) {
	inTown(t, repltest.Star("a", "b", "c"), 3, sentinel.Options{MinHeard: 2}, func(t *testing.T, w *town) {
		w.WaitEqual()
		w.Network.Link("a", "b").Stall()
		kept := w.fill("k", 10)
		m, err := w.Member("a").Node().Master()
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if n, err := m.Wait(ctx, w.Member("a").Machine().Position(), 1); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		w.Member("c").Kill() // the only one that has it
		w.Member("a").Kill()
		time.Sleep(20 * time.Second)
		if m := w.writer(); m != nil {
			t.Errorf("%s writes, without what was promised\n%s", m.Name(), w)
		}
		w.Member("c").Restart("a")
		next := w.newMaster("a", 30*time.Second)
		w.has(next, kept)
	})
}

// ParallelSyncs bounds how many change over at a time, whatever the sentinels think that do not lead.
func TestOneReplicaAtATime(t *testing.T) {
	seats := repltest.Star("a", "b", "c", "d", "e", "f")
	inTown(t, seats, 3, sentinel.Options{ParallelSyncs: 1}, func(t *testing.T, w *town) {
		keys := w.fill("k", 10)
		w.WaitEqual()
		for i, one := range seats {
			for _, other := range seats[:i] { // a change takes longer than wrong roles are left alone
				w.Network.Link(one.Name, other.Name).SetDelay(300*time.Millisecond, 0)
			}
		}
		w.Member("a").Kill()
		leader, _ := w.happens(sentinel.EventFailoverEnd, time.Minute)
		if n := len(leader.seen(sentinel.EventSlaveReconfDone)); n != 4 {
			t.Errorf("%d have changed over\n%s", n, w)
		}
		for _, s := range w.guards {
			if n := len(s.seen(sentinel.EventFixSlaveConfig)); n > 0 {
				t.Errorf("%s has told %d out of turn\n%s", s.name, n, w)
			}
		}
		w.has(w.newMaster("a", time.Second), keys)
	})
}

// 10: the lowest priority, and 0, which is given as a negative one, never.
func TestPriorities(t *testing.T) {
	inTown(t, repltest.Star("a", "b", "c", "d"), 3, sentinel.Options{}, func(t *testing.T, w *town) {
		w.priority = map[string]int{"b": -1, "c": 10, "d": 20}
		for _, m := range w.Members()[1:] {
			m.Kill()
			m.Restart("a")
		}
		w.agree("a", 5*time.Second)
		w.settle()
		for _, want := range []string{"c", "d"} {
			keys := w.fill(want, 10)
			w.WaitEqual()
			w.writer().Kill()
			next := w.newMaster("", 10*time.Second)
			if w.has(next, keys); next.Name() != want {
				t.Errorf("%s was promoted, want %s\n%s", next.Name(), want, w)
			}
		}
		w.writer().Kill()
		time.Sleep(20 * time.Second)
		if m := w.writer(); m != nil {
			t.Errorf("%s writes, which never should\n%s", m.Name(), w)
		}
		if len(w.guards[0].seen(sentinel.EventAbortNoGoodSlave))+len(w.guards[1].seen(sentinel.EventAbortNoGoodSlave))+len(w.guards[2].seen(sentinel.EventAbortNoGoodSlave)) == 0 {
			t.Errorf("nobody has said why\n%s", w)
		}
	})
}

// T13: a node counts once for a Wait, however often it comes back while that lasts.
func TestWaitCountsNodes(t *testing.T) {
	inTown(t, repltest.Star("a", "b", "c"), 3, sentinel.Options{}, func(t *testing.T, w *town) {
		w.WaitEqual()
		w.Member("a").Kill()
		next := w.newMaster("a", 5*time.Second)
		m, err := next.Node().Master()
		if err != nil {
			t.Fatal(err)
		}
		other := w.Member("b")
		if next == other {
			other = w.Member("c")
		}
		w.fill("k", 10)
		pos := next.Machine().Position()
		counted := make(chan int)
		go func() {
			n, _ := m.Wait(t.Context(), pos, 2)
			counted <- n
		}()
		for range 3 {
			other.Kill()
			other.Restart(next.Name())
			time.Sleep(5 * time.Second)
			select {
			case n := <-counted:
				t.Fatalf("%d have it, where there is one\n%s", n, w)
			default:
			}
		}
		w.Member("a").Restart("")
		if n := <-counted; n != 2 {
			t.Errorf("%d have it, want 2\n%s", n, w)
		}
	})
}
