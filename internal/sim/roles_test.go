package sim_test

import (
	"context"
	"errors"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/repl"
	"github.com/emberkv/ember/repl/repltest"
)

// A turn is what operators do with the roles of a group.
type turn struct {
	name string
	do   func(w *world)
}

// turns are all there are. After each every member runs and follows the master, directly
// or through others.
var turns = []turn{
	{"planned switch", (*world).switchOver},
	{"handover", (*world).handOver},
	{"failover", (*world).failOver},
	{"split brain", (*world).splitBrain},
	{"other tree", (*world).replant},
}

// turn lets an operator act.
func (w *world) turn() {
	t := turns[w.rng.IntN(len(turns))]
	w.say("%s", t.name)
	w.ledger.turn()
	w.tally.role(t.name)
	t.do(w)
}

// switchOver lets the writers rest until a replica has everything, and promotes it. When
// nothing is wrong that costs nobody a copy.
func (w *world) switchOver() {
	next := w.member(w.pick(w.others(w.master)))
	for limit := w.elapsed() + 30*time.Second; next.Machine().Position() != w.member(w.master).Machine().Position(); {
		if w.elapsed() > limit {
			w.say("%s does not catch up: no switch", next.Name())
			return
		}
		w.sleep(10 * time.Millisecond)
	}
	w.sleep(time.Second) // for copies and resyncs that are on their way elsewhere
	before := w.tally.fulls.Load()
	w.promote(next, w.others(next.Name()))
	if !w.calm {
		return
	}
	w.settle()
	if after := w.tally.fulls.Load(); after != before {
		w.t.Fatalf("a planned switch has cost %d full copies\n%s", after-before, w.group)
	}
}

// handoverLimit is how long a handover may take.
const handoverLimit = 5 * time.Second

// handOver hands the writing over to a follower while writers write. It loses nothing, and
// when nothing else is wrong costs nobody a copy; if it fails the master goes on.
func (w *world) handOver() {
	old := w.member(w.master)
	followers := old.Node().Status().Followers
	master, err := old.Node().Master()
	if err != nil || len(followers) == 0 {
		w.say("nobody to hand over to: %v", err)
		return
	}
	next := w.member(followers[w.rng.IntN(len(followers))].Peer.Name)
	before := w.tally.fulls.Load()
	done := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), handoverLimit)
		defer cancel()
		_, err := master.Handover(ctx, next.Name())
		done <- err
	}()
	acked, err := w.writeDuring(old, done)
	w.say("%s hands over to %s: %v", old.Name(), next.Name(), err)
	switch role := next.Node().Role(); {
	case err == nil && role != repl.RoleMaster:
		w.t.Fatalf("%s was handed the writing, and is a %v\n%s", next.Name(), role, w.group)
	case err == nil, errors.Is(err, repl.ErrInDoubt) && role == repl.RoleMaster:
		w.master = next.Name()
		w.ledger.mark(w.t, next)
		w.ledger.keep(w.t, next)
	case errors.Is(err, repl.ErrInDoubt):
		old.Promote() // an operator has looked
		w.ledger.mark(w.t, old)
	case old.Node().Role() != repl.RoleMaster:
		w.t.Fatalf("%s has handed nothing over, %v, and is a replica\n%s", old.Name(), err, w.group)
	}
	for _, pos := range acked {
		if now := w.member(w.master); !covers(now.Machine(), pos) {
			w.t.Fatalf("a handover has lost %s\n%s", pos, w.group)
		}
	}
	if !w.calm {
		return
	}
	w.settle()
	if after := w.tally.fulls.Load(); after != before {
		w.t.Fatalf("a handover has cost %d full copies\n%s", after-before, w.group)
	}
}

// writeDuring writes on a master until done, which returns. It returns what was
// acknowledged: a write is held up until it is known who takes it.
func (w *world) writeDuring(m *repltest.Member[*kv.Store], done <-chan error) (acked []backlog.Position, err error) {
	for begun := w.elapsed(); ; w.sleep(w.between(time.Millisecond, 20*time.Millisecond)) {
		select {
		case err := <-done:
			return acked, err
		default:
		}
		switch err := w.change(m.Machine()); {
		case err == nil:
			w.tally.writes++
			w.ledger.wrote(w, m)
			acked = append(acked, m.Machine().Position())
		case !errors.Is(err, repl.ErrReadOnly) && !errors.Is(err, repl.ErrNotEnoughReplicas):
			w.t.Fatalf("write on %s: %v\n%s", m.Name(), err, w.group)
		}
		if took := w.elapsed() - begun; took > 2*handoverLimit {
			w.t.Fatalf("a handover takes %v\n%s", took, w.group)
		}
	}
}

// failOver ends the master's process, promotes the best replica, and lets the old one
// come back below it, later.
func (w *world) failOver() {
	old := w.member(w.master)
	if w.rng.IntN(2) == 0 {
		old.Kill()
	} else {
		old.PowerOff()
	}
	w.sleep(w.between(time.Millisecond, 10*time.Second))
	next := w.best(old)
	if next == nil {
		w.say("nobody has what %s had: no failover", old.Name())
		old.Restart("")
		return
	}
	w.promote(next, w.others(old.Name(), next.Name()))
	w.ledger.keep(w.t, next)
	w.write(w.between(time.Millisecond, 20*time.Second))
	w.startAgain(old, next.Name())
}

// splitBrain cuts the master off, promotes the best of the others, and lets both take
// writes, until the old one is found and put below the new one.
func (w *world) splitBrain() {
	old := w.member(w.master)
	others := w.others(old.Name())
	split := w.group.Network.Between([]string{old.Name()}, others)
	if w.rng.IntN(2) == 0 {
		split.Blackhole()
	} else {
		split.Stall() // what was sent before arrives after
	}
	w.calm = false
	w.write(w.between(time.Millisecond, 10*time.Second))
	next := w.best(old)
	if next == nil {
		return
	}
	w.promote(next, w.others(old.Name(), next.Name()))
	w.ledger.keep(w.t, next)
	w.aside = old.Name()
	w.write(w.between(time.Second, 30*time.Second))
	if w.rng.IntN(2) == 0 {
		w.group.Network.HealAll()
		w.write(w.between(time.Millisecond, 5*time.Second))
	}
	w.aside = ""
	old.Follow(next.Name())
}

// replant gives the replicas another tree.
func (w *world) replant() { w.plant(w.others(w.master)) }

// plant puts members below the master, each below one that was put there before.
func (w *world) plant(names []string) {
	above := []string{w.master}
	for _, i := range w.rng.Perm(len(names)) {
		m := w.member(names[i])
		up := w.pick(above)
		above = append(above, m.Name())
		if m.Running() {
			m.Follow(up)
		}
	}
}

// promote makes a member the master, and puts others below it.
func (w *world) promote(next *repltest.Member[*kv.Store], others []string) {
	w.say("%s takes over from %s at %s", next.Name(), w.master, next.Machine().Position())
	next.Promote()
	w.master = next.Name()
	w.ledger.mark(w.t, next)
	w.plant(others)
}

// best returns the replica that has most of what a master had; nil if none has any.
func (w *world) best(old *repltest.Member[*kv.Store]) (best *repltest.Member[*kv.Store]) {
	had := old.Machine().Log()
	most := int64(0)
	for _, name := range w.others(old.Name()) {
		m := w.member(name)
		log := m.Machine().Log()
		lineage, pos := log.Lineage(), log.Position()
		if common, ok := had.Lineage().Common(had.End(), lineage, pos.Offset); ok && m.Running() && common > most {
			best, most = m, common
		}
	}
	return best
}
