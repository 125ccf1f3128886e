package sentinel

import (
	"flag"
	"fmt"
	"hash/maphash"
	"testing"
)

var deepVotes = flag.Bool("sentinel.deep", false, "explore elections deeper")

// explore visits every world that can be reached from w, once, and returns how many there
// are: those first that are reached by fewer letters, so that whatever leads to a world again
// has no more left.
func explore(w *world, visit func(*world)) (int, error) {
	seeds := [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}
	type hash [2]uint64
	seen := make(map[hash]struct{})
	var key []byte
	var failed error
	for now := []*world{w}; len(now) > 0 && failed == nil; {
		after := make(map[hash]*world) // one letter later
		for len(now) > 0 && failed == nil {
			at := now[len(now)-1]
			now = now[:len(now)-1]
			if visit != nil {
				visit(at)
			}
			at.next(func(n *world, arrival bool, err error) {
				key = n.key(key[:0])
				h := hash{maphash.Bytes(seeds[0], key), maphash.Bytes(seeds[1], key)}
				switch _, again := seen[h]; {
				case err != nil:
					failed = err
				case again:
				case arrival:
					after[h] = n
				default:
					seen[h] = struct{}{}
					now = append(now, n)
				}
			})
		}
		for h, n := range after {
			if _, again := seen[h]; !again {
				seen[h] = struct{}{}
				now = append(now, n)
			}
		}
	}
	return len(seen), failed
}

// An exploration is how many steps of each kind there may be.
type exploration struct{ letters, timers, restarts, demands, handovers int }

func TestNoOrderOfEventsElectsTwo(t *testing.T) {
	runs := explorations
	if *deepVotes {
		runs = []exploration{{letters: 12, timers: 2, restarts: 1}, {letters: 11, timers: 1, restarts: 1, demands: 2, handovers: 2}}
	}
	for _, r := range runs {
		visited := 0
		n, err := explore(newWorld(r), func(w *world) {
			if visited++; visited%101 != 0 {
				return
			}
			if err := w.endsWell(); err != nil {
				t.Fatal(err)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		if n < 1000 {
			t.Fatalf("only %d states were explored", n)
		}
		t.Logf("%+v: %d states", r, n)
	}
}

// endsWell has everything go well from here on: every letter arrives, and one timer
// fires after another. There has to be a new master soon: no order of events leads to where
// nobody can be elected.
func (w *world) endsWell() error {
	next := *w
	w = &next
	w.letters, w.timers = 1000, 1000
	for range 4 * exploredSentinels {
		if err := w.deliverAll(); err != nil {
			return err
		}
		if w.at[0].reign > 1 && w.at[1].reign > 1 && w.at[2].reign > 1 {
			return nil
		}
		for i := range w.at {
			if d := &w.at[i]; d.leading > 0 { // the node has heard of a higher epoch
				d.voter, d.leading = d.voter.retire(w.scene(uint8(i), atOnce)), 0
				w.settle(uint8(i))
			}
		}
		// Those who know of the new master tell the others.
		for i := range w.at {
			for j := range w.at {
				if e := w.at[j].reign; e > w.at[i].reign {
					w.mail(letter{kind: letterNews, to: uint8(i), epoch: e})
				}
			}
		}
		if len(w.post) > 0 {
			continue
		}
		for i := range w.at {
			if w.at[i].voter.campaign.stage != idle {
				if err := w.fire(uint8(i), late); err != nil {
					return err
				}
				break
			}
		}
	}
	return fmt.Errorf("no new master comes of %+v", w)
}

func (w *world) deliverAll() error {
	for len(w.post) > 0 {
		if err := w.deliver(0, late); err != nil {
			return err
		}
		for i := range w.at {
			if d := &w.at[i]; d.leading > 0 && !d.ordered {
				w.order(uint8(i))
			}
		}
	}
	return nil
}
