package sentinel

import (
	"fmt"
	"slices"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/repl"
)

// The exploration of elections: three sentinels, which all find the master down, and two
// nodes, of which a leader has one promoted. Every order is tried of messages that arrive
// and of timers that fire, with one restart, from what was saved; of failovers on demand, and of
// masters that hand over while they hold a lease. A message need not
// arrive: so every loss is among the orders.
//
// Clocks are not part of it. Each timer may fire at any time, before or after all others, and whatever
// a sentinel waits for, such as the end of a promise, is over or not, as it may be: both are tried. So
// what is explored is more than what can happen, whatever the clocks do, and there are few enough
// states for every order of a dozen messages.
const (
	exploredSentinels = 3
	exploredNodes     = 2
	exploredEpochs    = 24
	exploredDownAfter = 400 * time.Millisecond
)

// The time at which a step happens, by the sentinel's clock: nothing that it waits for is over;
// it is time to ask again; everything is over.
const (
	atOnce = time.Duration(0)
	soon   = time.Hour
	late   = 3 * time.Hour
)

// A world is one state of the exploration. It holds no pointers that are written through.
type world struct {
	at    [exploredSentinels]booth
	heard [exploredNodes]uint64 // counter of the epoch that the node has heard of
	post  []letter              // under way, each once, sorted

	// What has happened so far in each epoch, from 1.
	elected  [exploredEpochs]uint8 // 1 + the sentinel
	promoted [exploredEpochs]uint8 // 1 + the node

	letters, timers, restarts, demands, handovers int // how many more there may be
}

// A booth is what a sentinel would keep, of its own clock.
type booth struct {
	voter   voter
	saved   ballot
	reign   uint64 // its counter; it is saved
	leading uint64
	ordered bool
}

type letterKind uint8

const (
	letterAsk letterKind = iota
	letterReply
	letterOrder // to a node
	letterNews  // from a node, of its promotion
)

type letter struct {
	kind     letterKind
	from, to uint8
	epoch    uint64
	reign    uint64
	anyway   bool
	reply    reply
}

func compareLetters(a, b letter) int { return slices.Compare(a.numbers(), b.numbers()) }

func (l letter) numbers() []uint64 {
	return []uint64{
		uint64(l.kind), uint64(l.from), uint64(l.to), l.epoch, l.reign, uint64(bit(l.anyway)),
		l.reply.To, l.reply.Epoch, uint64(l.reply.Verdict), uint64(l.reply.Known), uint64(l.reply.Wait),
	}
}

func sentinelID(i uint8) repl.NodeID { return id(100 + i) }

func sentinelOf(n repl.NodeID) uint8 { return n[15] - 100 }

// exploredReign returns an epoch of that counter: who began it does not matter here.
func exploredReign(counter uint64) backlog.Epoch {
	return backlog.Epoch{Counter: counter, Node: id(1)}
}

func when(d time.Duration) time.Time { return time.Unix(1_000_000, 0).Add(d) }

// newWorld returns a world in which a master has just been found down, and sentinel 0 is the
// first to begin a campaign: which of them it is makes no difference.
func newWorld(r exploration) *world {
	w := &world{letters: r.letters, timers: r.timers + 1, restarts: r.restarts, demands: r.demands, handovers: r.handovers}
	for i := range w.at {
		d := &w.at[i]
		d.voter = newVoter(sentinelID(uint8(i)), ballot{epoch: 1}, exploredDownAfter, 0)
		d.saved = d.voter.ballot
		d.reign = 1
		w.settle(uint8(i))
	}
	w.heard = [exploredNodes]uint64{1, 1}
	if err := w.fire(0, late); err != nil {
		panic(err)
	}
	return w
}

func (w *world) scene(i uint8, at time.Duration) scene {
	d := &w.at[i]
	s := scene{now: when(at), reign: exploredReign(d.reign), quorum: 1, leading: d.leading > 0}
	if at != late {
		s.promised = time.Second // to the old master, or, after a restart, to nobody
	}
	for j := range uint8(exploredSentinels) {
		if j != i {
			s.peers = append(s.peers, sentinelID(j))
		}
	}
	return s
}

// settle does what a booth does after every step: it stands as long as the master that it
// knows is the one that is down. And it makes all times the same that differ only by how
// much is left.
func (w *world) settle(i uint8) {
	d := &w.at[i]
	v := &d.voter
	if d.reign == 1 && d.leading == 0 {
		*v = v.stand(w.scene(i, atOnce))
	}
	v.seed, v.tries, v.rest = 0, 0, time.Time{}
	if v.loyal = (time.Time{}); v.ballot.votedIn > 1 {
		v.loyal = when(late)
	}
	c := &v.campaign
	switch c.stage {
	case waiting:
		c.begins = when(late)
	case campaigning:
		c.askAt, c.ends, c.asks = when(soon), when(late), 1
	}
	c.answers = slices.Clone(c.answers)
	for k := range c.answers {
		c.answers[k].again = time.Time{}
	}
	slices.SortFunc(c.answers, func(a, b answer) int { return int(a.from[15]) - int(b.from[15]) })
}

// step has sentinel i go on as v, and carries the outcome out.
func (w *world) step(i uint8, v voter, out outcome) error {
	d := &w.at[i]
	d.voter = v
	if out.save {
		if v.ballot.votedIn <= d.saved.votedIn {
			return fmt.Errorf("sentinel %d votes in epoch %d after one in %d", i, v.ballot.votedIn, d.saved.votedIn)
		}
		d.saved = v.ballot
	}
	if v.ballot.votedIn != d.saved.votedIn || v.ballot.votedFor != d.saved.votedFor {
		return fmt.Errorf("sentinel %d has voted as in %+v and saved %+v", i, v.ballot, d.saved)
	}
	for _, to := range out.to {
		w.mail(letter{kind: letterAsk, from: i, to: sentinelOf(to), epoch: out.ask.Epoch, reign: out.ask.Reign.Counter, anyway: out.ask.Anyway})
	}
	if e := out.elected; e > 0 {
		d.leading, d.ordered = e, false
		if w.promoted[e] != 0 {
			return fmt.Errorf("a leader in epoch %d, in which there is a master", e)
		}
		if err := note(&w.elected[e], i, "leaders in epoch", e); err != nil {
			return err
		}
	}
	w.settle(i)
	return nil
}

// note writes down who did what in an epoch, where it can be only one.
func note(slot *uint8, who uint8, what string, epoch uint64) error {
	if *slot != 0 && *slot != who+1 {
		return fmt.Errorf("two %s %d: %d and %d", what, epoch, *slot-1, who)
	}
	*slot = who + 1
	return nil
}

func (w *world) mail(l letter) {
	if i, found := slices.BinarySearchFunc(w.post, l, compareLetters); !found {
		w.post = slices.Insert(slices.Clone(w.post), i, l)
	}
}

// deliver has letter number n arrive.
func (w *world) deliver(n int, at time.Duration) error {
	l := w.post[n]
	w.post = slices.Delete(slices.Clone(w.post), n, n+1)
	w.letters--
	switch l.kind {
	case letterAsk:
		return w.arriveAsk(l, at)
	case letterReply:
		v, out := w.at[l.to].voter.answered(sentinelID(l.from), l.reply, w.scene(l.to, at))
		return w.step(l.to, v, out)
	case letterOrder:
		if l.epoch <= w.heard[l.to] {
			return nil // the node has heard of it, or of one above it
		}
		w.heard[l.to] = l.epoch
		for i := range uint8(exploredSentinels) {
			w.mail(letter{kind: letterNews, from: l.to, to: i, epoch: l.epoch})
		}
		return note(&w.promoted[l.epoch], l.to, "masters in epoch", l.epoch)
	}
	d := &w.at[l.to] // news
	d.voter = d.voter.heard(l.epoch)
	if l.epoch > d.reign {
		d.reign, d.leading = l.epoch, 0
		d.voter = d.voter.withdraw()
	}
	w.settle(l.to)
	return nil
}

func (w *world) arriveAsk(l letter, at time.Duration) error {
	v, r, out := w.at[l.to].voter.asked(sentinelID(l.from), ask{Epoch: l.epoch, Reign: exploredReign(l.reign), Anyway: l.anyway}, w.scene(l.to, at))
	if err := w.step(l.to, v, out); err != nil {
		return err
	}
	// What is saved is never another vote in the same epoch, so neither is what is told.
	if saved := w.at[l.to].saved; r.Verdict == granted && (saved.votedIn != l.epoch || saved.votedFor != sentinelID(l.from)) {
		return fmt.Errorf("sentinel %d tells a vote that it has not saved, but %+v", l.to, saved)
	}
	r.Wait = min(r.Wait, 1)
	w.mail(letter{kind: letterReply, from: l.to, to: l.from, reply: r})
	return nil
}

// fire has a timer of sentinel i fire. A campaign that is lost is followed by the next.
func (w *world) fire(i uint8, at time.Duration) error {
	w.timers--
	for lost := true; lost; {
		v, out := w.at[i].voter.tick(w.scene(i, at))
		if err := w.step(i, v, out); err != nil {
			return err
		}
		lost = out.lost > 0
	}
	return nil
}

// restart has sentinel i forget what was not saved.
func (w *world) restart(i uint8) {
	d := &w.at[i]
	w.restarts--
	d.voter = newVoter(sentinelID(i), d.saved, exploredDownAfter, 0)
	d.leading, d.ordered = 0, false
	w.settle(i)
}

// order has the leader i send its order: to another node than its neighbours would.
func (w *world) order(i uint8) {
	d := &w.at[i]
	d.ordered = true
	w.mail(letter{kind: letterOrder, from: i, to: i % exploredNodes, epoch: d.leading})
}

// demand has somebody want a failover of sentinel i.
func (w *world) demand(i uint8) {
	w.demands--
	w.at[i].voter = w.at[i].voter.demand(toOust, w.scene(i, atOnce))
	w.settle(i)
}

// leased reports whether the master of reign e may hold a lease of a majority.
func (w *world) leased(e uint64) bool {
	granting := 0
	for i := range w.at {
		if d := &w.at[i]; d.reign == e && d.leading == 0 && d.voter.mayGrant(e) {
			granting++
		}
	}
	return granting > exploredSentinels/2
}

// handOver has the master of reign e hand over to the other node, which begins the next epoch.
func (w *world) handOver(e uint64) error {
	w.handovers--
	master := uint8(0) // of the first
	if e > 1 {
		master = w.promoted[e] - 1
	}
	other := 1 - master
	if w.heard[master] > e || w.heard[other] > e {
		return nil // it has stepped down, or refuses
	}
	e++
	if w.elected[e] != 0 {
		return fmt.Errorf("a master in epoch %d, in which there is a leader", e)
	}
	w.heard[other] = e
	for i := range uint8(exploredSentinels) {
		w.mail(letter{kind: letterNews, from: other, to: i, epoch: e})
	}
	return note(&w.promoted[e], other, "masters in epoch", e)
}

// idle reports whether nothing would come of a letter's arrival, now or later. Those are
// taken away: two worlds that differ by them are the same.
func (w *world) idle(l letter) bool {
	switch l.kind {
	case letterAsk:
		return w.over(l.from, l.epoch) && w.at[l.to].saved.votedIn >= l.epoch
	case letterReply:
		return w.over(l.to, l.reply.To) && w.at[l.to].saved.votedIn >= l.reply.Epoch
	case letterOrder:
		return l.epoch <= w.heard[l.to]
	}
	return l.epoch <= w.at[l.to].reign
}

// over reports whether sentinel i does not campaign in epoch, and will not.
func (w *world) over(i uint8, epoch uint64) bool {
	v := &w.at[i].voter
	return v.ballot.votedIn > epoch || v.ballot.votedIn == epoch && v.campaign.stage != campaigning
}

// next calls yield for each world that one step makes of w; arrival is whether the step was
// that of a letter.
func (w *world) next(yield func(n *world, arrival bool, err error)) {
	try := func(arrival bool, f func(n *world) error) {
		n := *w
		err := f(&n)
		if slices.ContainsFunc(n.post, n.idle) {
			n.post = slices.DeleteFunc(slices.Clone(n.post), n.idle)
		}
		yield(&n, arrival, err)
	}
	for k, l := range w.post {
		if w.letters == 0 {
			break
		}
		try(true, func(n *world) error { return n.deliver(k, late) })
		if l.kind == letterAsk {
			try(true, func(n *world) error { return n.deliver(k, atOnce) })
		}
	}
	for i := range uint8(exploredSentinels) {
		d := &w.at[i]
		if w.timers > 0 && d.voter.campaign.stage != idle {
			try(false, func(n *world) error { return n.fire(i, late) })
		}
		if w.timers > 0 && d.voter.campaign.stage == campaigning {
			try(false, func(n *world) error { return n.fire(i, soon) })
		}
		if w.restarts > 0 {
			try(false, func(n *world) error { n.restart(i); return nil })
		}
		if w.demands > 0 && d.leading == 0 && d.voter.campaign.aim != toOust {
			try(false, func(n *world) error { n.demand(i); return nil })
		}
		if w.handovers > 0 && w.leased(d.reign) {
			try(false, func(n *world) error { return n.handOver(d.reign) })
		}
		if d.leading > 0 && !d.ordered {
			try(false, func(n *world) error { n.order(i); return nil })
		}
	}
}

// key appends all that the future depends on.
func (w *world) key(b []byte) []byte {
	num := func(list ...uint64) {
		for _, n := range list {
			b = append(b, byte(n))
		}
	}
	for i := range w.at {
		d := &w.at[i]
		v, c := &d.voter, &d.voter.campaign
		num(v.ballot.epoch, v.ballot.votedIn, uint64(v.ballot.votedFor[15]), d.saved.epoch, d.saved.votedIn, uint64(d.saved.votedFor[15]))
		num(d.reign, d.leading, uint64(bit(d.ordered)), uint64(c.stage), uint64(c.aim), uint64(c.raised), c.reign.Counter, uint64(len(c.answers)))
		for _, a := range c.answers {
			num(uint64(a.from[15]), uint64(a.verdict))
		}
	}
	for _, l := range w.post {
		num(l.numbers()...)
	}
	b = append(append(b, w.elected[:]...), w.promoted[:]...)
	num(w.heard[:]...)
	return append(b, byte(w.timers), byte(w.restarts), byte(w.demands), byte(w.handovers))
}
