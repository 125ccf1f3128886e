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

// Whatever is done on the smaller side of a partition ends no reign on the other, where writes are
// acknowledged: there is no epoch that a minority begins above that of the others.
func TestMinorityEndsNoReign(t *testing.T) {
	for name, c := range map[string]struct {
		minority, rest []string
		what           func(t *testing.T, w *town)
	}{
		"on demand": {[]string{"b", "s1"}, []string{"a", "c", "d", "s2", "s3"}, func(t *testing.T, w *town) {
			if err := w.guards[0].Failover(context.Background()); !errors.Is(err, sentinel.ErrNotElected) {
				t.Errorf("by one of three: %v\n%s", err, w)
			}
		}},
		"above a master that is started": {[]string{"a", "b", "s1"}, []string{"c", "d", "s2", "s3"}, func(t *testing.T, w *town) {
			for range 3 {
				w.Member("b").Kill()
				w.Network.Between([]string{"b"}, []string{"c", "d", "s2", "s3"}).Blackhole()
				w.Member("b").Restart("")
				time.Sleep(5 * time.Second)
			}
		}},
		"by handing over": {[]string{"a", "b", "s1"}, []string{"c", "d", "s2", "s3"}, func(t *testing.T, w *town) {
			for i := range 4 {
				from, to := w.Member([]string{"a", "b"}[i%2]), w.Member([]string{"b", "a"}[i%2])
				m, err := from.Node().Master()
				if err != nil {
					continue // it has not been handed to
				}
				ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
				if _, err := m.Handover(ctx, to.Name()); !errors.Is(err, repl.ErrNoLease) {
					t.Errorf("%s to %s: %v", from.Name(), to.Name(), err)
				}
				cancel()
				time.Sleep(time.Second)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			inTown(t, repltest.Star("a", "b", "c", "d"), 3, sentinel.Options{}, func(t *testing.T, w *town) {
				w.fenced = true // from their next start on
				w.WaitEqual()
				w.Network.Between(c.minority, c.rest).Blackhole()
				time.Sleep(3 * time.Second) // for a new master, if there is to be one
				c.what(t, w)
				master := w.writer()
				if master == nil {
					t.Fatalf("nobody takes writes\n%s", w)
				}
				keys := w.fill("k", 20)
				acked(t, master, 1)
				w.Network.HealAll()
				w.newMaster("", 30*time.Second)
				w.WaitEqual()
				for _, m := range w.Members() {
					w.has(m, keys)
				}
			})
		})
	}
}

// acked waits until n replicas have what a master has written.
func acked(t *testing.T, m *repltest.Member[*kv.Store], n int) {
	t.Helper()
	master, err := m.Node().Master()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if got, err := master.Wait(ctx, m.Machine().Position(), n); got < n || err != nil {
		t.Fatalf("%d replicas have it, want %d: %v", got, n, err)
	}
}

// Two failovers that are demanded of two sentinels at once are one: no epoch has two masters.
func TestDemandedOfTwo(t *testing.T) {
	inTown(t, repltest.Star("a", "b", "c"), 3, sentinel.Options{}, func(t *testing.T, w *town) {
		keys := w.fill("k", 20)
		acked(t, w.Member("a"), 2)
		results := make(chan error, 2)
		for _, s := range w.guards[:2] {
			go func() { results <- s.Failover(context.Background()) }()
		}
		done := 0
		for range 2 {
			switch err := <-results; {
			case err == nil:
				done++
			case !errors.Is(err, sentinel.ErrNotElected) && !errors.Is(err, sentinel.ErrSuperseded):
				t.Errorf("%v", err)
			}
		}
		if done != 1 {
			t.Errorf("%d failovers\n%s", done, w)
		}
		next := w.newMaster("a", 10*time.Second)
		w.has(next, keys)
		promoted := make(map[uint64]string)
		for _, s := range w.guards {
			for _, e := range s.seen(sentinel.EventPromotedSlave) {
				if was := promoted[e.Epoch]; was != "" && was != e.About.Name {
					t.Errorf("%s and %s were promoted in epoch %d", was, e.About.Name, e.Epoch)
				}
				promoted[e.Epoch] = e.About.Name
			}
		}
	})
}

// An order of a failover on demand that comes when it was given up, and the master has gone on for a
// while, costs nothing of what was acknowledged since.
func TestDemandedOrderComesLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, repltest.Star("a", "b", "c"), 3, sentinel.Options{MinHeard: 2, FailoverTimeout: 3 * time.Second})
		w.settle()
		w.WaitEqual()
		w.Network.SetDelay(5*time.Millisecond, 0)
		w.Network.Link("a", "s1").Blackhole() // so that it cannot be told to step down
		leader := w.guards[0]
		result := make(chan error, 1)
		go func() { result <- leader.Failover(context.Background()) }()
		w.wait("a choice", 5*time.Second, func() bool { return len(leader.seen(sentinel.EventStateSendPromote)) > 0 })
		chosen := leader.seen(sentinel.EventSelectedSlave)[0].About.Name
		late := w.Network.Between([]string{chosen}, []string{"a", "s1"})
		late.Stall() // the order is under way
		if err := <-result; err == nil {
			t.Fatalf("the failover has succeeded\n%s", w)
		}
		w.Network.Link("a", "s1").Heal()
		comesLate(t, w, chosen, late)
	})
}

// A master that the leader of a failover on demand cannot reach goes on writing under the lease of the others:
// what its replicas acknowledge meanwhile is kept.
func TestDemandedOutlastsTheLease(t *testing.T) {
	inTown(t, repltest.Star("a", "b", "c"), 3, sentinel.Options{MinHeard: 2}, func(t *testing.T, w *town) {
		w.Network.SetDelay(5*time.Millisecond, 0)
		away := w.Network.Link("a", "s1")
		away.Cut()
		away.Refuse()
		time.Sleep(2 * time.Second) // s1 finds it down, and nobody else
		a := w.Member("a")
		m, err := a.Node().Master()
		if err != nil {
			t.Fatal(err)
		}
		result := make(chan error, 1)
		go func() { result <- w.guards[0].Failover(context.Background()) }()
		var kept []string
		for i := 0; ; i++ {
			key := fmt.Sprint("kept", i)
			if a.Machine().Set(key, []byte(key)) != nil {
				break // its lease is over
			}
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			n, err := m.Wait(ctx, a.Machine().Position(), 1)
			if cancel(); n < 1 || err != nil {
				break
			}
			kept = append(kept, key)
		}
		if err := <-result; err != nil {
			t.Fatalf("%v\n%s", err, w)
		}
		w.Network.HealAll()
		w.newMaster("a", 10*time.Second)
		w.WaitEqual()
		for _, m := range w.Members() {
			w.has(m, kept)
		}
		if len(kept) < 10 {
			t.Errorf("%d writes were acknowledged", len(kept))
		}
	})
}
