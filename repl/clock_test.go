package repl_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/repl"
	"github.com/emberkv/ember/repl/repltest"
)

// TestClockJumps: the writer's wall clock jumps by an hour and by a day, either way. Links stay,
// acks take a round trip, the gate stays open, and the data are no older for it: all that goes
// by time that only runs forward. What the followers are told of the clock is what it says.
func TestClockJumps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, door := repltest.NewNetwork(1), new(doorman)
		mo := minReplicas(1, 3*time.Second)
		md := keep(mo)
		mo.Events.Gate = door.hear
		net.SetDelay(time.Millisecond, 0)
		a, b := unguarded(t), newLedger(nil)
		m := master(t, a, net.Host("a"), "a", mo)
		r := replica(t, b, net.Host("b"), "a", nil)
		time.Sleep(3 * time.Second)
		door.takes()
		for _, jump := range []time.Duration{0, time.Hour, -time.Hour, 24 * time.Hour, 0, -24 * time.Hour, 0} {
			for i := range 1000 { // ten seconds
				a.SetClock(time.Now().Add(jump).UnixMilli())
				if i%100 == 0 {
					begun := time.Now()
					if _, err := a.put("k", "v"); err != nil {
						t.Fatalf("after a jump to %v: %v", jump, err)
					}
					if _, err := m.Wait(t.Context(), a.Log().Position(), 1); err != nil || time.Since(begun) > 3*time.Millisecond {
						t.Errorf("after a jump to %v: acked after %v, %v", jump, time.Since(begun), err)
					}
				}
				time.Sleep(10 * time.Millisecond)
				if age := r.Status().Upstream.Age; age > 2*repl.DefaultHeartbeat {
					t.Fatalf("%v after a jump to %v the data are %v old", time.Duration(i)*10*time.Millisecond, jump, age)
				}
			}
			if skew := r.Status().Upstream.ClockSkew - jump; skew < -50*time.Millisecond || skew > 50*time.Millisecond {
				t.Errorf("the replica takes the writer's clock to be %v ahead, want %v", skew+jump, jump)
			}
		}
		if all := door.takes(); len(all) != 0 || md.kinds() != "connected full synced" {
			t.Errorf("gate %+v, links %s, %v", all, md.kinds(), md.last())
		}
	})
}

// TestLateClock: a master dies while its last words are still on their way, and who got
// them late is promoted, three times over. Nobody's clock may fall behind for it: deadlines
// would pass as much later, on every node.
func TestLateClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		names := []string{"a", "b", "c", "d"}
		g := repltest.New(t, repltest.Topology[*kv.Store]{
			Seats:   repltest.Star(names...),
			Machine: func(string) *kv.Store { return kv.New(nil) },
		}, 1)
		g.WaitEqual()
		for i, next := range names[1:] {
			old := names[i]
			time.Sleep(10 * time.Second)
			g.Network.Link(old, next).OneWay().Stall()
			if err := g.Member(old).Machine().Set("k", []byte("v")); err != nil {
				t.Fatal(err)
			}
			time.Sleep(50 * time.Millisecond)
			g.Member(old).PowerOff()
			time.Sleep(2 * time.Second)
			g.Network.Link(old, next).Heal()
			time.Sleep(50 * time.Millisecond)
			store := g.Member(next).Machine()
			if _, err := store.Get("k"); err != nil {
				t.Fatalf("the last words of %s did not come: %v", old, err)
			}
			g.Member(next).Promote()
			for _, rest := range names[i+2:] {
				g.Member(rest).Follow(next)
			}
			time.Sleep(10 * time.Second)
			for _, s := range names[i+1:] {
				if skew := g.Member(s).Machine().Clock() - time.Now().UnixMilli(); skew < -50 || skew > 50 {
					t.Errorf("after the failover to %s the clock of %s is %d ms ahead", next, s, skew)
				}
			}
		}
	})
}

// TestClockOfALargeValue: a value that was nine seconds on its way brings the clock of when it was
// sent, and is the last that the master has said.
func TestClockOfALargeValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repltest.NewNetwork(4)
		net.SetDelay(time.Millisecond, 0)
		a, b := newStation(t, net, "a", "", repl.Reading{}), newStation(t, net, "b", "a", repl.Reading{})
		if err := a.Set("k", nil); err != nil {
			t.Fatal(err)
		}
		b.becomes(t, nil)
		time.Sleep(10 * time.Second)
		net.Link("a", "b").SetBandwidth(1 << 20)
		net.Link("a", "b").SetWindow(64 << 10)
		go a.Set("big", make([]byte, 8<<20+600<<10))
		for ok := false; !ok; ok, _ = b.Has("big") {
			time.Sleep(time.Millisecond)
		}
		net.Link("a", "b").Cut()
		net.Link("a", "b").Refuse()
		r, err := b.node.Replica()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Promote(t.Context()); err != nil {
			t.Fatal(err)
		}
		if skew := b.Clock() - time.Now().UnixMilli(); skew < -300 || skew > 50 { // a heartbeat waits for a frame
			t.Errorf("the clock of who was promoted then is %d ms ahead", skew)
		}
	})
}
