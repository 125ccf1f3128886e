package repl_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/repl"
	"github.com/emberkv/ember/repl/repltest"
)

// slowly makes each shard of l take so long to capture, in virtual time.
func slowly(l *ledger, shard time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.onDump = func(int) { time.Sleep(shard) }
}

// keepWriting puts entries into l, one each interval, until the test stops it.
func keepWriting(l *ledger, every time.Duration, seed uint64) (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		rng := rand.New(rand.NewPCG(seed, 1))
		for i := 0; ; i++ {
			select {
			case <-time.After(every):
				l.put(fmt.Sprint("w", rng.IntN(500)), fmt.Sprint(i))
			case <-quit:
				return
			}
		}
	}()
	return func() {
		close(quit)
		<-done
	}
}

// TestReplicasThatComeTogetherShareOnePass: three attach under write load. Each
// shard is captured once for all of them, except for the one that was under way
// when the later ones came.
func TestReplicasThatComeTogetherShareOnePass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, a := repl.NewMemory(), newLedger(nil)
		fill(t, a, "k", 1000)
		slowly(a, 10*time.Millisecond)
		m := master(t, a, net, "a", nil)
		stop := keepWriting(a, time.Millisecond, 1)
		ledgers := []*ledger{newLedger(nil), newLedger(nil), newLedger(nil)}
		var replicas []*repl.Replica
		for _, l := range ledgers {
			replicas = append(replicas, replica(t, l, net, "a", nil))
		}
		time.Sleep(time.Second)
		stop()
		synced(t, m, a, replicas...)
		if n := a.captures(); n > ledgerShards+1 {
			t.Errorf("%d captures of %d shards for three replicas", n, ledgerShards)
		}
		for i, l := range ledgers {
			same(t, a, l)
			if s := replicas[i].Status().Upstream; s.Fulls != 1 || s.Attempts != 1 {
				t.Errorf("replica %d: %d full syncs, %d attempts", i, s.Fulls, s.Attempts)
			}
		}
	})
}

// TestLateReplicaJoinsThePass: one that comes in the middle gets the rest with
// the others, and what it missed afterwards.
func TestLateReplicaJoinsThePass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, a, b, c := repl.NewMemory(), newLedger(nil), newLedger(nil), newLedger(nil)
		fill(t, a, "k", 200)
		slowly(a, 100*time.Millisecond)
		m := master(t, a, net, "a", nil)
		r1 := replica(t, b, net, "a", nil)
		time.Sleep(350 * time.Millisecond)
		r2 := replica(t, c, net, "a", nil)
		synced(t, m, a, r1, r2)
		same(t, a, b)
		same(t, a, c)
		if n := a.captures(); n > ledgerShards+4 || n == ledgerShards {
			t.Errorf("%d captures, want %d and the shards that the second one missed, at most 4", n, ledgerShards)
		}
	})
}

// TestEmptyMaster: nothing to copy is copied, too.
func TestEmptyMaster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, a, b := repl.NewMemory(), newLedger(nil), newLedger(nil)
		m := master(t, a, net, "a", nil)
		r := replica(t, b, net, "a", nil)
		synced(t, m, a, r)
		same(t, a, b)
		fill(t, a, "k", 1)
		synced(t, m, a, r)
		same(t, a, b)
	})
}

// lapped returns a replica that was cut off until its master's window had moved
// on, so that it needs a full copy, and the network that can let it have one.
func lapped(t testing.TB, o *repl.Options) (*repltest.Network, *repl.Master, *repl.Replica, *ledger, *ledger) {
	t.Helper()
	net := repltest.NewNetwork(1)
	net.SetDelay(time.Millisecond, 0)
	a, b := newLedger(&backlog.Options{MaxBytes: 64 << 10}), newLedger(nil)
	fill(t, a, "old", 200)
	m := master(t, a, net.Host("a"), "a", nil)
	r := replica(t, b, net.Host("b"), "a", o)
	synced(t, m, a, r)
	net.Link("a", "b").Refuse()
	net.Link("a", "b").Cut()
	for i := range 20 {
		a.put(fmt.Sprint("big", i), strings.Repeat("x", 10_000))
	}
	return net, m, r, a, b
}

// TestOldDataAreServedUntilTheSwap: a reader that looks all the time never sees a
// key go, nor half of the new ones come.
func TestOldDataAreServedUntilTheSwap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, m, r, a, b := lapped(t, nil)
		slowly(a, 50*time.Millisecond)
		stop, done := make(chan struct{}), make(chan string, 1)
		looks := 0
		go func() {
			first := b.state()
			defer close(done)
			for {
				select {
				case <-stop:
					return
				case <-time.After(time.Millisecond):
				}
				now := b.state()
				looks++
				for k := range first {
					if _, ok := now[k]; !ok {
						done <- "lost " + k
						return
					}
				}
				if n := len(now); n != 200 && n != 220 {
					done <- fmt.Sprintf("%d keys: neither the old state nor the new", n)
					return
				}
			}
		}()
		net.HealAll()
		time.Sleep(200 * time.Millisecond)
		if s := r.Status().Upstream; s.State != repl.LinkCopying || s.LastFull.Reason != backlog.Trimmed {
			t.Errorf("%v because %v; want copying, trimmed", s.State, s.LastFull)
		}
		synced(t, m, a, r)
		close(stop)
		if msg := <-done; msg != "" || looks < 300 {
			t.Errorf("after %d looks: %s", looks, msg)
		}
		same(t, a, b)
	})
}

// TestFollowersVanishDuringTheCopy: any subset of three may go, and the rest get
// their copy; when all have gone, nothing goes on being dumped.
func TestFollowersVanishDuringTheCopy(t *testing.T) {
	for gone := 1; gone < 8; gone++ {
		synctest.Test(t, func(t *testing.T) {
			net, a := repl.NewMemory(), newLedger(nil)
			fill(t, a, "k", 200)
			slowly(a, 20*time.Millisecond)
			m := master(t, a, net, "a", nil)
			var ledgers []*ledger
			var replicas []*repl.Replica
			for range 3 {
				ledgers = append(ledgers, newLedger(nil))
				replicas = append(replicas, replica(t, ledgers[len(ledgers)-1], net, "a", nil))
			}
			time.Sleep(50 * time.Millisecond)
			var left []*repl.Replica
			for i, r := range replicas {
				if gone>>i&1 == 1 {
					r.Close()
				} else {
					left = append(left, r)
				}
			}
			synced(t, m, a, left...)
			for i, l := range ledgers {
				if gone>>i&1 == 0 {
					same(t, a, l)
				}
			}
			time.Sleep(time.Minute)
			if all := a.captures(); len(left) == 0 && all > 5 {
				t.Errorf("with nobody left the dump went on: %d captures", all)
			}
			if s := m.Status(); len(s.Followers) != len(left) {
				t.Errorf("subset %b: %d followers, want %d", gone, len(s.Followers), len(left))
			}
		})
	}
}

// TestStalledFollowerIsPutOut: one that takes nothing more in the middle of its
// copy is put out after its time, and the others finish.
func TestStalledFollowerIsPutOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repltest.NewNetwork(1)
		net.SetDelay(time.Millisecond, 0)
		net.Link("a", "c").SetWindow(4 << 10)
		a, b, c := newLedger(nil), newLedger(nil), newLedger(nil)
		for i := range 200 {
			a.put(fmt.Sprint("k", i), strings.Repeat("x", 1000))
		}
		slowly(a, 20*time.Millisecond)
		var o repl.Options
		d := keep(&o)
		m := master(t, a, net.Host("a"), "a", &o)
		replica(t, c, net.Host("c"), "a", &repl.Options{Name: "c"})
		time.Sleep(50 * time.Millisecond)
		net.Host("c").Stall()
		begun := time.Now()
		r := replica(t, b, net.Host("b"), "a", &repl.Options{Name: "b"})
		synced(t, m, a, r)
		same(t, a, b)
		// Three heartbeats until the stalled one is given up, then a copy.
		if took := time.Since(begun); took > 5*time.Second {
			t.Errorf("the other follower had its copy after %v", took)
		}
		if !d.saw(repl.ErrTimeout) {
			t.Errorf("the stalled one: %v, want ErrTimeout", d.last())
		}
		if s := m.Status(); len(s.Followers) != 1 {
			t.Errorf("%d followers, want one", len(s.Followers))
		}
	})
}

// TestFollowersWaitInLine: no more than MaxSyncs are copied to at once, Status
// says who is at which place, and all get their turn.
func TestFollowersWaitInLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, a := repl.NewMemory(), newLedger(nil)
		fill(t, a, "k", 100)
		slowly(a, 20*time.Millisecond)
		var o repl.Options
		o.MaxSyncs = 1
		m := master(t, a, net, "a", &o)
		var replicas []*repl.Replica
		var ledgers []*ledger
		for i := range 4 {
			ledgers = append(ledgers, newLedger(nil))
			replicas = append(replicas, replica(t, ledgers[i], net, "a", &repl.Options{Name: fmt.Sprint("r", i)}))
			time.Sleep(5 * time.Millisecond)
		}
		for i, f := range m.Status().Followers {
			if f.Place != i || f.State != repl.FollowerCopying || f.Online {
				t.Errorf("%s: %v at place %d, want copying at %d", f.Peer.Name, f.State, f.Place, i)
			}
		}
		time.Sleep(200 * time.Millisecond)
		for i, f := range m.Status().Followers {
			if f.Place != max(i-1, 0) {
				t.Errorf("after the first copy %s is at place %d, want %d", f.Peer.Name, f.Place, max(i-1, 0))
			}
		}
		synced(t, m, a, replicas...)
		for _, l := range ledgers {
			same(t, a, l)
		}
		if fulls := m.Status().Counters.FullSyncs; fulls != 4 {
			t.Errorf("%d full syncs, want 4", fulls)
		}
	})
}

// TestWriterLapsTheCopy: the window moves on faster than the link takes it. The
// follower is told so by name, tries again, and ends well once the rate drops.
func TestWriterLapsTheCopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repltest.NewNetwork(1)
		net.SetDelay(time.Millisecond, 0)
		net.All().SetBandwidth(200_000)
		net.All().SetWindow(8 << 10)
		a, b := newLedger(&backlog.Options{MaxBytes: 64 << 10}), newLedger(nil)
		for i := range 300 {
			a.put(fmt.Sprint("k", i), strings.Repeat("x", 1000))
		}
		m := master(t, a, net.Host("a"), "a", nil)
		quit, done := make(chan struct{}), make(chan struct{})
		go func() { // 1 MB a second
			defer close(done)
			for i := 0; ; i++ {
				select {
				case <-quit:
					return
				case <-time.After(time.Millisecond):
					a.put(fmt.Sprint("k", i%300), strings.Repeat("y", 1000))
				}
			}
		}()
		var o repl.Options
		d := keep(&o)
		r := replica(t, b, net.Host("b"), "a", &o)
		time.Sleep(5 * time.Second)
		close(quit)
		<-done
		if !d.saw(backlog.ErrTrimmed) {
			t.Errorf("the link ended with %v, want ErrTrimmed", d.last())
		}
		if refused := new(repl.RefusedError); !errors.As(d.last(), &refused) {
			t.Errorf("%v is no refusal", d.last())
		}
		if s := r.Status().Upstream; s.Attempts < 2 || s.Attempts > 200 || s.Synced {
			t.Errorf("%d attempts in 5 s, synced %v", s.Attempts, s.Synced)
		}
		synced(t, m, a, r)
		same(t, a, b)
		for _, err := range d.ends {
			if errors.Is(err, repl.ErrProtocol) {
				t.Errorf("being outrun became %v", err)
			}
		}
	})
}

// TestSyncTimeoutOfAnOffer: a follower that does not answer FullSync, but acks
// heartbeats, does not hold its place for ever.
func TestSyncTimeoutOfAnOffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := accuse(t, stageOffered)
		begun := time.Now()
		for s.diary.last() == nil {
			kind, body, err := s.next()
			if err != nil {
				break
			}
			if kind == msgHeartbeat {
				s.send(msgAck, ackBody(int64(binary.LittleEndian.Uint64(body)), 0, 0, 1))
			}
		}
		synctest.Wait()
		if err := s.diary.last(); !errors.Is(err, repl.ErrTimeout) {
			t.Errorf("%v, want ErrTimeout", err)
		}
		if took := time.Since(begun); took < repl.DefaultSyncTimeout-2*time.Second || took > repl.DefaultSyncTimeout+2*time.Second {
			t.Errorf("after %v, want about %v", took, repl.DefaultSyncTimeout)
		}
	})
}

// TestWritesBesideACopy: every shard is written to between its capture and the
// sending of its first block, and the log is written to between the making of the
// footer and its sending. Each write is in the copy once, and the first copy is
// right: rules A and B of PROTOCOL.md, and the hold before the footer.
func TestWritesBesideACopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repltest.NewNetwork(1)
		net.SetDelay(time.Millisecond, 0)
		net.All().SetBandwidth(100_000)
		net.All().SetWindow(2 << 10)
		a, b := newLedger(nil), newLedger(nil)
		for i := range 100 {
			a.put(fmt.Sprint("w", i), strings.Repeat("x", 500))
		}
		slowly(a, 3*time.Millisecond)
		a.mu.Lock()
		a.onEntry = func() { time.Sleep(time.Millisecond) }
		a.mu.Unlock()
		var mo, o repl.Options
		md, d := keep(&mo), keep(&o)
		m := master(t, a, net.Host("a"), "a", &mo)
		stop := keepWriting(a, time.Millisecond, 5)
		r := replica(t, b, net.Host("b"), "a", &o)
		time.Sleep(3 * time.Second)
		stop()
		synced(t, m, a, r)
		same(t, a, b)
		if d.kinds() != "connected full synced" || md.last() != nil {
			t.Errorf("%s; %v, %v", d.kinds(), md.last(), d.last())
		}
		if s := d.synced[0]; s.LogBytes < 1000 {
			t.Errorf("only %d bytes of log came beside the copy", s.LogBytes)
		}
	})
}
