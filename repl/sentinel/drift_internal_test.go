package sentinel

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// newDriftWorld returns a group of which the first node is the master.
func newDriftWorld(seed uint64, nodes, guards int, clock func() driftClock) *driftWorld {
	w := &driftWorld{
		rng: rand.New(rand.NewPCG(seed, 1)), cut: make(map[[2]string]bool), slow: 20 * time.Millisecond,
		leaders: make(map[uint64]string), masters: make(map[uint64]string),
	}
	for i := range nodes {
		n := &driftNode{w: w, driftClock: clock(), id: id(byte(1 + i)), name: fmt.Sprintf("n%d", i+1), heard: 1}
		n.begin(i == 0, uint64(bit(i == 0)))
		w.nodes = append(w.nodes, n)
	}
	for i := range guards {
		g := &driftGuard{w: w, driftClock: clock(), id: sentinelID(uint8(i)), name: fmt.Sprintf("s%d", i+1), reign: 1, master: w.nodes[0]}
		w.guards = append(w.guards, g)
		g.start()
	}
	return w
}

// part cuts all links between one side and the other, in both directions.
func (w *driftWorld) part(one ...string) {
	for _, a := range w.names() {
		for _, b := range w.names() {
			w.cut[[2]string{a, b}] = slices.Contains(one, a) != slices.Contains(one, b)
		}
	}
}

func (w *driftWorld) names() (names []string) {
	for _, n := range w.nodes {
		names = append(names, n.name)
	}
	for _, g := range w.guards {
		names = append(names, g.name)
	}
	return names
}

// The master is left with one of three sentinels: it has stopped writing before another
// begins, whichever clocks are fast and slow. When all hear each other again it is told.
func TestMinorityHoldsTheMaster(t *testing.T) {
	tenths := []time.Duration{9, 10, 11}
	for i := 0; i < 81; i += driftStep {
		of := func(n int) driftClock { return driftClock{tenths[n%3]} }
		clocks := []driftClock{of(i), of(i / 3), of(i / 3), of(i / 9), of(i / 27), of(i / 27)} // n1, n2, n3, s1, s2, s3
		w := newDriftWorld(uint64(i), 3, 3, func() driftClock {
			c := clocks[0]
			clocks = clocks[1:]
			return c
		})
		run := func(d time.Duration) {
			if err := w.run(d); err != nil {
				t.Fatalf("clocks %d: %v", i, err)
			}
		}
		run(5 * driftDownAfter)
		if !slices.Equal(w.writers, []string{"n1"}) {
			t.Fatalf("clocks %d: %v write before the partition", i, w.writers)
		}
		w.part("n1", "s1")
		run(3 * driftDownAfter)
		if len(w.writers) != 2 || !(w.nodes[1].writes() || w.nodes[2].writes()) {
			t.Fatalf("clocks %d: %v wrote, three times DownAfter after the partition", i, w.writers)
		}
		clear(w.cut)
		run(3 * driftDownAfter)
		if w.nodes[0].master || len(w.writers) != 2 {
			t.Fatalf("clocks %d: %v wrote, and the old master is none any more: %v", i, w.writers, !w.nodes[0].master)
		}
	}
}

// Whatever is cut, restarted and late, never do two nodes take writes at once, or two
// sentinels lead in an epoch; and in the end one writes, of whom all know.
func TestVotesAndPromisesUnderFaults(t *testing.T) {
	seeds := uint64(driftSeeds)
	if *deepVotes {
		seeds = 20000
	}
	switches := 0
	for seed := range seeds {
		rng := rand.New(rand.NewPCG(seed, 2))
		w := newDriftWorld(seed, 2+rng.IntN(3), 3+2*rng.IntN(2), func() driftClock { return driftClock{9 + time.Duration(rng.IntN(3))} })
		if err := w.misfortunes(rng); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		clear(w.cut)
		w.slow = 20 * time.Millisecond
		if err := w.run(40 * driftDownAfter); err != nil {
			t.Fatalf("seed %d: at peace: %v", seed, err)
		}
		writing := 0
		for _, n := range w.nodes {
			if n.writes() {
				writing++
			}
		}
		if writing != 1 {
			t.Fatalf("seed %d: %d nodes take writes in the end", seed, writing)
		}
		for _, g := range w.guards {
			if !g.master.writes() || g.reign != g.master.epoch {
				t.Fatalf("seed %d: %s takes %s for the master, in epoch %d", seed, g.name, g.master.name, g.reign)
			}
		}
		switches += len(w.writers) - 1
	}
	if switches < int(seeds) {
		t.Errorf("only %d switches of the master in %d runs", switches, seeds)
	}
}

// misfortunes has some befall the group, one after the other.
func (w *driftWorld) misfortunes(rng *rand.Rand) error {
	if err := w.run(3 * driftDownAfter); err != nil {
		return err
	}
	names := w.names()
	for range 12 {
		switch rng.IntN(8) {
		case 0:
			w.part(names[rng.IntN(len(names))], names[rng.IntN(len(names))])
		case 1:
			w.part(w.nodes[0].name)
		case 2: // one direction of one link
			w.cut[[2]string{names[rng.IntN(len(names))], names[rng.IntN(len(names))]}] = true
		case 3:
			w.guards[rng.IntN(len(w.guards))].start()
		case 4:
			w.slow = []time.Duration{time.Millisecond, driftDownAfter / 4, 2 * driftDownAfter}[rng.IntN(3)]
		case 5:
			clear(w.cut)
		default: // somebody wants another master, right after a sentinel was restarted
			w.guards[rng.IntN(len(w.guards))].start()
			if err := w.run(time.Duration(rng.Int64N(int64(driftDownAfter)))); err != nil {
				return err
			}
			w.guards[rng.IntN(len(w.guards))].demand()
		}
		if err := w.run(time.Duration(rng.Int64N(int64(4 * driftDownAfter)))); err != nil {
			return err
		}
	}
	return nil
}
