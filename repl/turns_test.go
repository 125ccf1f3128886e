package repl_test

import (
	"encoding/binary"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/internal/heap"
	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/repl"
)

// A crowd are followers by hand that all have the same tail to leave.
type crowd struct {
	keys []byte // a Tail

	mu      sync.Mutex
	waiting int // that were told a place first
	done    int
	ends    []error
}

// leave plays one of them until it has all.
func (c *crowd) leave(p *peer) {
	err := func() error {
		placed := false
		for {
			k, body, err := p.next()
			if err != nil {
				return err
			}
			c.mu.Lock()
			switch {
			case k == msgPlace && !placed:
				placed = true
				c.waiting++
			case k == msgSyncEnd:
				c.done++
			}
			c.mu.Unlock()
			switch k {
			case msgHeartbeat:
				p.send(msgAck, loadingAck(body))
			case msgParted:
				time.Sleep(10 * time.Millisecond) // to gather the keys
				p.send(msgTail, c.keys)
			case msgSyncEnd:
				return nil
			}
		}
	}()
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.ends = append(c.ends, err)
	}
}

// TestRepairsTakeTurns: a thousand followers that have each three hundred keys to repair, in the
// same moment, as after a failover, are served sixteen at a time and two MiB a second; the rest
// see their place, nobody is taken for dead, and the master holds no more for them than for
// those that have their turn.
func TestRepairsTakeTurns(t *testing.T) {
	const (
		members = herdSize
		atOnce  = 16
		rate    = 2 << 20
		keys    = 300
		value   = 100
		perLink = 64 << 10 // goroutines, and the connections' buffers
		perTurn = 1 << 20
	)
	synctest.Test(t, func(t *testing.T) {
		net, store := repl.NewMemory(), kv.New(nil)
		t.Cleanup(func() { store.Close() })
		c := &crowd{keys: []byte{0, keys & 0xff, keys >> 8, 0, 0}}
		for i := range keys {
			key := fmt.Sprintf("key-%04d", i)
			store.Set(key, make([]byte, value))
			c.keys = append(append(c.keys, byte(len(key))), key...)
		}
		who, fork := someone(9), store.Log().End()
		who.end, who.lineage = fork+10, store.Log().Lineage()
		store.Log().Fork(backlog.NewHistory())
		o := &repl.Options{Copying: repl.Copying{MaxSyncs: atOnce, SyncRate: rate}}
		m, err := repl.NewMaster(store, seeded(t, o))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { m.Close() })
		serve(t, m, net, "a")
		who.heard = who.lineage.Epoch
		before, began := heap.Live(), time.Now()
		var all sync.WaitGroup
		for i := range members {
			who.id = repl.NodeID{1, byte(i), byte(i >> 8)}
			p := follow(t, net, "a", who)
			all.Go(func() { c.leave(p) })
		}
		time.Sleep(time.Second)
		synctest.Wait() // a status of many is not one of a moment
		places := make(map[int]int)
		for _, f := range m.Status().Followers {
			places[f.Place]++
		}
		for p := 1; p < len(places)-1; p++ {
			if places[p] != 1 {
				t.Errorf("%d followers are at place %d", places[p], p)
			}
		}
		grown := heap.Live() - before
		most, level := 0, make(chan struct{})
		go func() { all.Wait(); close(level) }()
		for waits := true; waits; {
			synctest.Wait()
			served := 0
			for _, f := range m.Status().Followers {
				if f.State == repl.FollowerOffered && f.Place == 0 {
					served++
				}
			}
			most = max(most, served)
			select {
			case <-level:
				waits = false
			case <-time.After(100 * time.Millisecond):
			}
		}
		bytes := int64(members * keys * (value + len("key-0000")))
		least := time.Duration(bytes * int64(time.Second) / rate)
		if took := time.Since(began); took < least || took > least+least/4 {
			t.Errorf("%d bytes of entries took %v, want %v at %d a second", bytes, took, least, rate)
		}
		if c.done != members || len(c.ends) > 0 {
			t.Errorf("%d of %d have left their tails; %d links were broken: %v", c.done, members, len(c.ends), c.ends[:min(1, len(c.ends))])
		}
		if most != atOnce || c.waiting < members-2*atOnce {
			t.Errorf("%d had their turn at once, want %d; %d were told a place", most, atOnce, c.waiting)
		}
		t.Logf("%d KiB while %d waited", grown>>10, members)
		if most := int64(members*perLink + atOnce*perTurn); grown > most {
			t.Errorf("the heap has grown by %d KiB, want at most %d", grown>>10, most>>10)
		}
		if n := m.Status().Counters; n.Repairs != members || n.FullSyncs != 0 {
			t.Errorf("%+v", n)
		}
	})
}

// TestTurnsAreGivenBack: by a follower that never answers when its time is over, and by one
// that does not wait to be asked; and who waits behind them sees its place.
func TestTurnsAreGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repl.NewMemory()
		a := newStand(t, net, "a", "", nil)
		b := newStand(t, net, "b", "a", &repl.Options{Copying: repl.Copying{MaxSyncs: 1, SyncTimeout: 10 * time.Second}})
		setOn(t, a, "base", "1")
		equal(t, a, b)
		b.promote(t)
		setOn(t, a, "lost", "1")
		setOn(t, b, "kept", "1")
		who := someone(9)
		who.end, who.lineage = a.store.Log().End(), a.store.Log().Lineage()
		who.heard = who.lineage.Epoch
		silent := follow(t, net, "b", who)
		silent.await(msgParted)
		go silent.mumble()
		who.id = repl.NodeID{8}
		impatient := follow(t, net, "b", who)
		if _, body, err := impatient.await(msgPlace); err != nil || body[0] != 1 {
			t.Fatalf("told of its place: % x, %v", body, err)
		}
		go impatient.mumble()
		began := time.Now()
		a.follow(t, "b")
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if p := a.node.Status().Upstream.Progress.Place; p != 2 {
			t.Errorf("a says that it is at place %d, want 2", p)
		}
		impatient.send(msgTail, []byte{0, 0, 0, 0, 0}) // before it was asked
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if p := a.node.Status().Upstream.Progress.Place; p != 1 {
			t.Errorf("a says that it is at place %d, want 1", p)
		}
		equal(t, b, a)
		if took := time.Since(began); took < 8*time.Second || took > 13*time.Second {
			t.Errorf("a has left its tail after %v, want when the silent one was given up", took)
		}
		if p := a.node.Status().Upstream.Progress.Place; p != 0 || len(a.repairs) != 1 || len(a.fulls) != 0 {
			t.Errorf("place %d, %d repairs, %d full copies", p, len(a.repairs), len(a.fulls))
		}
	})
}

// mumble answers heartbeats and does nothing else.
func (p *peer) mumble() {
	for {
		k, body, err := p.next()
		if err != nil {
			return
		}
		if k == msgHeartbeat {
			p.send(msgAck, loadingAck(body))
		}
	}
}

// loadingAck answers a heartbeat as one who does not stream yet.
func loadingAck(beat []byte) []byte {
	return ackBody(int64(binary.LittleEndian.Uint64(beat)), 0, 0, 1)
}
