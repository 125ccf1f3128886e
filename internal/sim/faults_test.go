package sim_test

import (
	"context"
	"time"

	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/repl/repltest"
)

// A fault is something that happens to links and processes while writers write. It
// lasts until the world is mended.
type fault struct {
	name string
	do   func(w *world)
}

// faults are all there are. A link is one between any two members: it may be idle.
var faults = []fault{
	{"cut", func(w *world) { w.link().Cut() }},
	{"cut everything", func(w *world) { w.group.Network.All().Cut() }},
	{"cut in the middle", func(w *world) { w.link().OneWay().CutNext(w.rng.Int64N(5000)); w.group.Network.All().Cut() }},
	{"half-open", func(w *world) { w.link().HalfOpen() }},
	{"half-open node", func(w *world) { w.around().HalfOpen() }},
	{"black hole", func(w *world) { w.link().Blackhole() }},
	{"one-way black hole", func(w *world) { w.link().OneWay().Blackhole() }},
	{"stalled link", func(w *world) { w.link().Stall() }},
	{"paused node", func(w *world) { w.group.Network.Host(w.pick(w.names)).Stall() }},
	{"refused", func(w *world) { l := w.link(); l.Refuse(); l.Cut() }},
	{"hanging dials", func(w *world) { l := w.around(); l.Hang(); l.Cut() }},
	{"flipped bits", func(w *world) { w.around().Flip(3e-5) }},
	{"duplicates", func(w *world) { w.around().Duplicate(0.01) }},
	{"swaps", func(w *world) { w.around().Swap(0.1) }},
	{"pieces", func(w *world) { w.around().SetChop(1 + w.rng.IntN(40)) }},
	{"delay", func(w *world) {
		w.around().SetDelay(w.between(10*time.Millisecond, 900*time.Millisecond), 50*time.Millisecond)
	}},
	{"slow link", func(w *world) { l := w.around(); l.SetBandwidth(500 + w.rng.Int64N(2000)); l.SetWindow(2 << 10) }},
	{"swizzle", (*world).swizzle},
	{"killed replica", func(w *world) { w.bounce(true) }},
	{"replica without power", func(w *world) { w.bounce(false) }},
}

// link returns the link between two members.
func (w *world) link() *repltest.Link {
	a := w.pick(w.names)
	return w.group.Network.Link(a, w.pick(w.others(a)))
}

// around returns all links of a member.
func (w *world) around() *repltest.Link { return w.group.Network.Around(w.pick(w.names)) }

// swizzle stalls some members one by one and lets them go in another order, beside the
// writers, for as long as that takes.
func (w *world) swizzle() {
	over := w.between(time.Second, 8*time.Second)
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.group.Network.Swizzle(context.Background(), over, w.names...)
	}()
	w.write(2 * over)
	<-done
}

// bounce ends a replica's process, gently or not, and starts it again after a while:
// with what it had, or with nothing.
func (w *world) bounce(kill bool) {
	m := w.member(w.pick(w.others(w.master, w.aside)))
	up := m.Upstream()
	if kill {
		m.Kill()
	} else {
		m.PowerOff()
	}
	w.write(w.between(time.Millisecond, 20*time.Second))
	w.startAgain(m, up)
}

// startAgain starts a member that has crashed.
func (w *world) startAgain(m *repltest.Member[*kv.Store], upstream string) {
	if fresh := w.rng.IntN(3) == 0; fresh {
		w.say("%s comes back with nothing, below %s", m.Name(), upstream)
		m.Replace(upstream)
		w.ledger.replace(m.Name())
		return
	}
	w.say("%s comes back below %s", m.Name(), upstream)
	m.Restart(upstream)
}

// episode lets things go wrong while writers write.
func (w *world) episode() {
	switch w.rng.IntN(4) {
	case 0:
		w.write(w.between(time.Second, 40*time.Second))
		w.turn() // nothing is wrong
	case 1:
		w.fault()
		w.turn()
	default:
		for range 1 + w.rng.IntN(3) {
			w.fault()
		}
	}
	w.write(w.between(time.Second, 50*time.Second))
}

// fault lets one thing go wrong, for a time.
func (w *world) fault() {
	f := faults[w.rng.IntN(len(faults))]
	w.say("%s", f.name)
	w.calm = false
	w.tally.fault(f.name)
	f.do(w)
	w.write(w.between(100*time.Millisecond, 30*time.Second))
	if w.rng.IntN(2) == 0 {
		w.group.Network.HealAll()
		w.shape()
	}
}
