package repl_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/internal/heap"
	"github.com/emberkv/ember/repl"
	"github.com/emberkv/ember/repl/repltest"
)

// TestOutrunInSeconds: the log keeps what was written in the last ten seconds. A replica
// that hangs for longer is told that it was outrun, and takes a copy.
func TestOutrunInSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repltest.NewNetwork(1)
		net.SetDelay(time.Millisecond, 0)
		var mo, ro repl.Options
		mo.Timeout, ro.Timeout = time.Hour, time.Hour
		md, rd := keep(&mo), keep(&ro)
		a, b := newLedger(&backlog.Options{MaxAge: 10 * time.Second}), newLedger(nil)
		fill(t, a, "k", 20)
		m := master(t, a, net.Host("a"), "a", &mo)
		r := replica(t, b, net.Host("b"), "a", &ro)
		synced(t, m, a, r)
		net.Link("a", "b").SetWindow(4 << 10)
		net.Link("a", "b").Stall()
		stop := keepWriting(a, 100*time.Millisecond, 1)
		for i := range 10 { // more than the connection holds
			a.put("big", strings.Repeat("x", 2000+i))
		}
		time.Sleep(30 * time.Second)
		net.HealAll()
		time.Sleep(time.Second)
		stop()
		synced(t, m, a, r)
		same(t, a, b)
		if !md.saw(backlog.ErrTrimmed) || !rd.saw(backlog.ErrTrimmed) {
			t.Errorf("the master found %v, the replica was told %v; want ErrTrimmed twice", md.last(), rd.last())
		}
		if fulls, _ := rd.count(); fulls != 2 {
			t.Errorf("%d full copies, want the first and one more", fulls)
		}
	})
}

// TestOutrunIsNotHammered: a replica whose link is slower than the writer is outrun again
// and again. It asks for one copy after the other with pauses that grow, and is level soon
// after the writer rests.
func TestOutrunIsNotHammered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repltest.NewNetwork(1)
		net.SetDelay(time.Millisecond, 0)
		net.Link("a", "b").SetWindow(4 << 10)
		net.Link("a", "b").SetBandwidth(20_000)
		a, b := newLedger(&backlog.Options{MaxBytes: 32 << 10}), newLedger(nil)
		a.put("k0", "v")
		var o repl.Options
		d := keep(&o)
		m := master(t, a, net.Host("a"), "a", nil)
		r := replica(t, b, net.Host("b"), "a", &o)
		synced(t, m, a, r)
		value := strings.Repeat("x", 1000)
		for i := range 3000 {
			time.Sleep(100 * time.Millisecond)
			for j := range 10 {
				a.put(fmt.Sprint("k", (i+j)%2), value)
			}
		}
		fulls, _ := d.count()
		if fulls < 10 || fulls > 200 {
			t.Errorf("%d full copies in five minutes of being outrun", fulls)
		}
		if !d.saw(backlog.ErrTrimmed) {
			t.Errorf("the replica was told %v, want ErrTrimmed", d.last())
		}
		begun := time.Now()
		synced(t, m, a, r)
		same(t, a, b)
		if took := time.Since(begun); took > 10*time.Second {
			t.Errorf("level %v after the writer had come to rest", took)
		}
	})
}

// TestStallDuringTheCopy: a replica hangs when a share of its copy is there. It is given
// up, the copy of the other one takes no longer for it, nothing is dumped for it any more,
// and when it comes to life it goes on.
func TestStallDuringTheCopy(t *testing.T) {
	for _, percent := range []int{0, 1, 50, 99, 100} {
		t.Run(fmt.Sprint(percent), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				net := repltest.NewNetwork(1)
				net.SetDelay(time.Millisecond, 0)
				net.Link("a", "c").SetWindow(16 << 10)
				a, b, c := newLedger(nil), newLedger(nil), newLedger(nil)
				for i := range 800 {
					a.put(fmt.Sprint("k", i), strings.Repeat("x", 1000))
				}
				slowly(a, 50*time.Millisecond)
				var mo repl.Options
				md := keep(&mo)
				m := master(t, a, net.Host("a"), "a", &mo)
				host := net.Host("c")
				co := repl.Options{Name: "c", Events: repl.Events{
					FullSync: func(repl.FullSync) {
						if percent == 0 {
							host.Stall()
						}
					},
					Progress: func(p repl.Progress) {
						if at := 100 * p.Keys / max(p.KeysTotal, 1); 0 < percent && percent < 100 && at >= int64(percent) {
							host.Stall()
						}
					},
					Synced: func(repl.Synced) {
						if percent == 100 {
							host.Stall()
						}
					},
				}}
				r := replica(t, c, host, "a", &co)
				other := replica(t, b, net.Host("b"), "a", &repl.Options{Name: "b"})
				begun := time.Now()
				synced(t, m, a, other)
				same(t, a, b)
				// Two passes, for those who come one after the other, and what the
				// stalled one may hold up: until its silence is noticed.
				if took := time.Since(begun); took > 2*ledgerShards*50*time.Millisecond+3*repl.DefaultHeartbeat+time.Second {
					t.Errorf("the other one was level after %v", took)
				}
				time.Sleep(5 * time.Second)
				if s := m.Status(); len(s.Followers) != 1 || !md.saw(repl.ErrTimeout) {
					t.Errorf("%d followers are left, a link ended with %v; want one, and ErrTimeout", len(s.Followers), md.last())
				}
				captures := a.captures()
				time.Sleep(time.Minute)
				if again := a.captures() - captures; again != 0 {
					t.Errorf("%d shards were dumped for nobody", again)
				}
				co.Events = repl.Events{}
				percent = -1
				host.Resume()
				time.Sleep(10 * time.Second)
				synced(t, m, a, r, other)
				same(t, a, c)
			})
		})
	}
}

// TestWritersDoNotWaitForTheSlow: with a replica that reads 1 KiB a second beside one that
// keeps up, a minute of writes takes no longer, refuses nothing, and leaves the heap as it was.
func TestWritersDoNotWaitForTheSlow(t *testing.T) {
	heap.Try(t, func() error {
		if grown := grownBesideTheSlow(t); grown > 2<<20 {
			return fmt.Errorf("%d KiB more beside a slow reader", grown>>10)
		}
		return nil
	})
}

// grownBesideTheSlow returns by how much the heap has grown in the minute.
func grownBesideTheSlow(t *testing.T) (grown int64) {
	synctest.Test(t, func(t *testing.T) {
		net := repltest.NewNetwork(1)
		o := minReplicas(1, 0)
		o.Ack = 1
		m, _, a, _ := pairNear(t, net, o)
		slow := net.Link("a", "slow")
		r := replica(t, newLedger(&backlog.Options{MaxBytes: 256 << 10}), net.Host("slow"), "a", &repl.Options{Name: "slow"})
		synced(t, m, a, r)
		slow.SetWindow(4 << 10)
		slow.SetBandwidth(1 << 10)
		before, begun := heap.Live(), time.Now()
		value := strings.Repeat("x", 1000)
		const writes = 6000
		for i := range writes {
			if _, err := a.put(fmt.Sprint("k", i%20), value); err != nil {
				t.Fatalf("write %d: %v", i, err)
			}
			time.Sleep(8 * time.Millisecond)
		}
		// Each write waits for the round trip to the fast one, and for nobody else.
		if took, want := time.Since(begun), writes*10*time.Millisecond; took > want+want/100 {
			t.Errorf("the writer took %v, want %v", took, want)
		}
		grown = heap.Live() - before
	})
	return grown
}

// pairNear is pair with a window of 256 KiB, for a master that needs its replica to take
// the first write.
func pairNear(t testing.TB, net *repltest.Network, o *repl.Options) (m *repl.Master, r *repl.Replica, a, b *ledger) {
	t.Helper()
	net.SetDelay(time.Millisecond, 0)
	a, b = newLedger(&backlog.Options{MaxBytes: 256 << 10}), newLedger(&backlog.Options{MaxBytes: 256 << 10})
	m = master(t, a, net.Host("a"), "a", o)
	r = replica(t, b, net.Host("b"), "a", nil)
	eventually(t, func() bool {
		_, err := a.put("first", "v")
		return !errors.Is(err, repl.ErrNotEnoughReplicas)
	}, func() string { return "closed still" })
	return m, r, a, b
}

// TestDrippingPeers: a peer that sends a byte a second is as dead as one that is silent,
// at both ends of a link.
func TestDrippingPeers(t *testing.T) {
	drip := func(p *peer, frame []byte) error {
		for i := range frame {
			if _, err := p.Write(frame[i : i+1]); err != nil {
				return err
			}
			time.Sleep(time.Second)
		}
		return nil
	}
	synctest.Test(t, func(t *testing.T) {
		net, a := repl.NewMemory(), newLedger(nil)
		var o repl.Options
		d := keep(&o)
		fill(t, a, "k", 5)
		master(t, a, net, "a", &o)
		p := follow(t, net, "a", someone(9).at(a))
		p.await(msgContinue)
		begun := time.Now()
		end := a.Log().End()
		if err := drip(p, p.frame(msgAck, 0, ackBody(1, end, end, 0))); err == nil {
			t.Error("a follower has sent an ack a byte a second")
		}
		took := time.Since(begun)
		synctest.Wait() // until the program has heard of it
		if took > 5*time.Second || !errors.Is(d.last(), repl.ErrTimeout) {
			t.Errorf("the follower was cut off after %v, for %v", took, d.last())
		}
	})
	synctest.Test(t, func(t *testing.T) {
		net, b := repl.NewMemory(), newLedger(nil)
		ended := make(chan error, 10)
		upstream(t, net, "a", func(n int, p *peer) {
			p.welcome(someone(8).at(b))
			p.send(msgContinue, int64s(b.Log().End()))
			ended <- drip(p, p.frame(msgHeartbeat, 0, beatBody(1, b.Log().End(), 0)))
		})
		var o repl.Options
		d := keep(&o)
		r := replica(t, b, net, "a", &o)
		time.Sleep(6 * time.Second)
		if len(ended) == 0 || <-ended == nil || !d.saw(repl.ErrTimeout) {
			t.Errorf("an upstream has sent a heartbeat a byte a second; a link ended with %v", d.last())
		}
		r.Close()
	})
}
