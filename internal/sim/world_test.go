package sim_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/rdb"
	"github.com/emberkv/ember/repl"
	"github.com/emberkv/ember/repl/repltest"
)

// A world is a group, those who write to it, and what they have been told.
type world struct {
	t     *testing.T
	rng   *rand.Rand // of the one goroutine that lets things happen
	seed  uint64
	begun time.Time
	group *repltest.Group[*kv.Store]
	names []string

	master string // who should take writes
	aside  string // who was master before, cut off, and takes writes still; usually nobody
	ttls   bool   // some keys have deadlines
	calm   bool   // no fault has happened in this episode so far
	window int64  // bytes of each store's log
	near   bool   // a write needs a replica that is near
	guard  []repl.Secret
	repair int // MaxRepairKeys

	ledger ledger
	tally  tally
}

const (
	someKeys  = 300
	heartbeat = 2 * time.Second
	maxLag    = 10 * time.Second
	waitLimit = 2 * time.Second // of the writers who wait for replicas
)

func newWorld(t *testing.T, seed uint64) *world {
	rng := rand.New(rand.NewPCG(seed, 0x51))
	w := &world{t: t, rng: rng, seed: seed, begun: time.Now(), master: "a"}
	w.names = []string{"a", "b", "c", "d", "e"}[:3+rng.IntN(3)]
	w.window = int64(16+rng.IntN(48)) << 10
	w.ttls = rng.IntN(2) == 0
	w.ledger.init(!w.ttls)
	compression := rdb.Compression(rng.IntN(3))
	w.near = rng.IntN(4) == 0
	w.repair = []int{0, 0, -1, 10}[rng.IntN(4)]
	if rng.IntN(4) == 0 {
		w.guard = []repl.Secret{repl.NewSecret()}
	}
	w.group = repltest.New(t, repltest.Topology[*kv.Store]{
		Seats:   repltest.Tree(1+rng.IntN(len(w.names)-1), w.names...),
		Machine: w.store,
		Options: func(string) *repl.Options {
			o := &repl.Options{Compression: compression}
			o.Secrets, o.Heartbeat, o.MaxRepairKeys = w.guard, heartbeat, w.repair
			o.Events.FullSync = func(s repl.FullSync) { w.tally.sync(s.Peer, &w.tally.fulls) }
			o.Events.PartialSync = func(s repl.PartialSync) { w.tally.sync(s.Peer, &w.tally.partials) }
			if w.near {
				o.MinReplicas, o.MaxLag = 1, maxLag
			}
			return o
		},
		State: func(s *kv.Store) any {
			d, err := s.Digest()
			return fmt.Sprint(d.Sum, d.Keys, err)
		},
	}, seed)
	w.shape()
	return w
}

// store makes a member's store.
func (w *world) store(name string) *kv.Store {
	return kv.New(&kv.Options{
		LogBytes:   w.window,
		OnLostTail: func(lost kv.LostTail) { w.ledger.report(name, lost) },
	})
}

// shape gives the network the shape that it has when nothing is wrong.
func (w *world) shape() {
	all := w.group.Network.All()
	all.SetDelay(time.Millisecond, time.Millisecond)
	all.SetBandwidth(0)
	all.SetChop(0)
	all.SetWindow(repltest.DefaultWindowBytes)
}

func (w *world) elapsed() time.Duration { return time.Since(w.begun) }

func (w *world) member(name string) *repltest.Member[*kv.Store] { return w.group.Member(name) }

// pick returns one of the names.
func (w *world) pick(names []string) string { return names[w.rng.IntN(len(names))] }

// others returns the names of all members but those.
func (w *world) others(but ...string) (names []string) {
next:
	for _, name := range w.names {
		for _, b := range but {
			if name == b {
				continue next
			}
		}
		names = append(names, name)
	}
	return names
}

// between returns a random time.
func (w *world) between(least, most time.Duration) time.Duration {
	return least + time.Duration(w.rng.Int64N(int64(most-least)))
}

// say tells what happens, if one seed is watched.
func (w *world) say(format string, args ...any) {
	if *oneSeed >= 0 {
		w.t.Logf("%12v "+format, append([]any{w.elapsed()}, args...)...)
	}
}

// sleep lets time pass, to an instant that is nobody else's: those of the network's
// connections are elsewhere in each 8,192 ns.
func (w *world) sleep(d time.Duration) {
	const round, mine = 8192, 5000
	at := w.elapsed() + max(d, 0)
	time.Sleep(at - at%round + round + mine - w.elapsed())
}

// write lets the writers write for a while.
func (w *world) write(d time.Duration) {
	pause := 560 * time.Millisecond
	if w.near { // then some are refused
		pause = 300 * time.Millisecond
	}
	for end := w.elapsed() + d; w.elapsed() < end; {
		w.sleep(w.between(20*time.Millisecond, pause))
		w.writeOn(w.master)
		if w.aside != "" && w.rng.IntN(3) == 0 {
			w.writeOn(w.aside)
		}
		if w.rng.IntN(12) == 0 {
			w.look()
		}
	}
}

// writeOn does one write on a member that is a master, and notes that it was
// acknowledged. Now and then somebody waits for replicas.
func (w *world) writeOn(name string) {
	m := w.member(name)
	switch err := w.change(m.Machine()); {
	case err == nil:
	case errors.Is(err, repl.ErrNotEnoughReplicas) && w.near:
		w.tally.refused++
		return
	case errors.Is(err, repl.ErrReadOnly) && name == w.aside:
		w.say("%s has heard that there is another master", name)
		w.aside = ""
		return
	default:
		w.t.Fatalf("write on %s: %v\n%s", name, err, w.group)
	}
	w.tally.writes++
	w.ledger.wrote(w, m)
	if name == w.master && w.rng.IntN(8) == 0 {
		w.wait(m)
	}
}

// change is one write of any kind.
func (w *world) change(s *kv.Store) error {
	key, value := fmt.Sprint("k", w.rng.IntN(someKeys)), make([]byte, w.rng.IntN(200))
	copy(value, fmt.Sprint(w.tally.writes, " "))
	switch w.rng.IntN(20) {
	case 0, 1:
		_, err := s.Delete(key)
		return err
	case 2:
		_, err := s.Add("count", 1)
		return err
	case 3, 4:
		return s.Update(func(tx *kv.Tx) error {
			for i := range 3 {
				if err := tx.Set(fmt.Sprint(key, "/", i), value); err != nil {
					return err
				}
			}
			return nil
		})
	case 5:
		_, err := s.DeletePrefix(key)
		return err
	case 6, 7:
		if w.ttls {
			return s.Set(key, value, kv.TTL(w.between(time.Millisecond, 20*time.Second)))
		}
	}
	return s.Set(key, value)
}

// wait lets somebody wait until some of the master's replicas have applied what there
// is, and keeps the master's word, if it gives it.
func (w *world) wait(m *repltest.Member[*kv.Store]) {
	master, err := m.Node().Master()
	if err != nil {
		w.t.Fatal(err)
	}
	pos, n := m.Machine().Position(), 1+w.rng.IntN(2)
	masters, replacements := w.ledger.asked()
	limit := waitLimit + time.Duration(pos.Offset%1000)*7*time.Nanosecond // no two end at one instant
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		if have, err := master.Wait(ctx, pos, n); err == nil {
			w.promised(m, pos, have, masters, replacements)
		}
	}()
}

// settle mends everything, lets the group come to rest, and checks.
func (w *world) settle() {
	w.group.Network.HealAll()
	w.shape()
	begun := time.Now()
	w.group.WaitEqual()
	w.tally.healed(time.Since(begun))
	w.look()
	w.ledger.account(w)
	w.calm = true
}
