package sentinel

import (
	"context"
	"encoding/binary"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emberkv/ember/repl"
)

// maxPosted is how many of the others' words wait for the desk. Whoever has more waits.
const maxPosted = 256

// A desk is where everything about a group is decided: one goroutine that owns the view,
// the votes, the promises and the failover. All others, who dial, wait for answers and serve
// peers, post what they have to say, and it begins what is to be done on goroutines of
// their own. So it never waits for a peer, and what it owns needs no lock.
//
// After whatever it is told it takes a turn, in which every part does what is due and says
// when it wants the next one. It waits for two things only, the store and the log.
type desk struct {
	s       *Sentinel
	opts    *Options
	control atomic.Pointer[repl.ControlOptions] // what lines are dialled with; what is pointed to does not change
	log     *slog.Logger
	view    *view
	voter   voter
	promise promise
	fail    *failover

	waiting []func(error) // who wants to know how the failover ends
	handing bool          // the master was told to hand over, and has not answered
	answers []func()      // what they are told at the end of the turn, when all can see it

	lines  map[string]*line       // by address
	sorted []*line                // the same; nil when they have changed
	linked uint64                 // the view's version for which there are lines, unless
	stale  bool                   // who can be reached has changed since
	hints  map[string]repl.NodeID // addresses to be tried whoever is there, and who has answered there last

	in     chan func(now time.Time)
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup // what the desk has begun

	wakeAt time.Time // the end of this turn's rest; zero for none
	told   gist      // what the peers were told last
	saved  uint64    // the view's version that the store has
	saveAt time.Time // when the store is tried again that has failed; zero while it works

	kept time.Duration // for how long promises bind, as the store has it
	owed time.Time     // up to then promises of an earlier life may bind, which bound for old
	old  time.Duration

	twinTold time.Time // when it was last told that another sentinel has the same id
}

func newDesk(s *Sentinel, m *memory, now time.Time) *desk {
	o := s.opts
	d := &desk{
		s: s, opts: o, log: o.Logger,
		view: newView(m.id, o), fail: newFailover(o), promise: newPromise(o.DownAfter, now),
		lines: make(map[string]*line), hints: make(map[string]repl.NodeID),
		in: make(chan func(time.Time), maxPosted),
	}
	d.control.Store(o.control())
	d.ctx, d.cancel = context.WithCancel(context.Background())
	a, b := binary.LittleEndian.Uint64(m.id[:]), binary.LittleEndian.Uint64(m.id[8:])
	d.voter = newVoter(m.id, m.ballot, o.DownAfter, a^b)
	d.voter.counts = now.Add(o.DownAfter)
	d.view.recall(m, now)
	d.view.addr = o.Announce
	d.saved = d.view.version
	// DownAfter may have been longer when it was last running, and with that its word.
	d.kept, d.old, d.owed = m.hold, m.hold, now.Add(m.hold)
	d.promise.until = later(d.promise.until, d.owed)
	for _, addr := range o.Monitor {
		d.hints[addr] = repl.NodeID{}
	}
	return d
}

// announce notes where peers are to reach this sentinel.
func (d *desk) announce(addr string, now time.Time) {
	if d.view.addr != "" || addr == "" {
		return
	}
	d.view.addr = addr
	control := *d.control.Load()
	control.Announce = addr
	d.control.Store(&control)
	for _, l := range d.lines { // dialled anew, with the address
		d.drop(l, now)
	}
}

// post has f called by the desk's goroutine, unless the sentinel is closed first, which it
// reports. It blocks while the desk is behind.
func (d *desk) post(f func(now time.Time)) bool {
	select {
	case d.in <- f:
		return true
	case <-d.ctx.Done():
		return false
	}
}

// ask is post that waits until f has been called. It returns false, and f is not called any
// more, if the sentinel is closed first.
func (d *desk) ask(f func(now time.Time)) bool {
	done := make(chan struct{})
	if !d.post(func(now time.Time) { f(now); close(done) }) {
		return false
	}
	select {
	case <-done:
		return true
	case <-d.s.ended:
		select {
		case <-done:
			return true
		default:
			return false
		}
	}
}

// start runs f on a goroutine that the desk waits for when it ends. It is for the desk's own.
func (d *desk) start(f func(ctx context.Context)) {
	d.wg.Add(1)
	go func() {
		defer d.wg.Done()
		f(d.ctx)
	}()
}

// soonest is what timers are set to that are due already. In a bubble of testing/synctest one that
// is set to nothing runs on the goroutine that sets it, and when two goroutines do so at one moment
// the race detector of Go 1.25 and 1.26 ends the process.
const soonest = time.Nanosecond

// run is the desk's goroutine.
func (d *desk) run() {
	timer := time.NewTimer(soonest)
	defer timer.Stop()
	defer d.end()
	defer d.wg.Wait()
	for d.ctx.Err() == nil {
		select {
		case f := <-d.in:
			f(time.Now())
			d.drain()
		case <-timer.C:
		case <-d.ctx.Done():
			return
		}
		if d.turn(time.Now()); d.wakeAt.IsZero() {
			timer.Stop()
		} else {
			timer.Reset(max(time.Until(d.wakeAt), soonest))
		}
	}
}

// drain takes what else is waiting, so that there is one turn for all of it.
func (d *desk) drain() {
	for range maxPosted {
		select {
		case f := <-d.in:
			f(time.Now())
		default:
			return
		}
	}
}

// wake has the next turn taken at t at the latest. A zero t says nothing.
func (d *desk) wake(t time.Time) { d.wakeAt = earlier(d.wakeAt, t) }

// excuse lets the time in which this sentinel did not run, as it was stopped, or its machine was, count for
// nobody's silence: the answers may be there, and were not read. Redis has the TILT mode for that, in which a
// sentinel does nothing for 30 s. What it has promised runs on.
func (d *desk) excuse(now time.Time) {
	late := now.Sub(d.wakeAt)
	if d.wakeAt.IsZero() || late < d.opts.DownAfter/4 {
		return
	}
	d.log.Warn("sentinel was stopped", "for", late)
	shift := func(t *time.Time) {
		if t.IsZero() {
			return
		}
		if *t = t.Add(late); t.After(now) {
			*t = now
		}
	}
	for _, l := range d.lines {
		for i := range l.asked {
			shift(&l.asked[i].at)
		}
	}
	for _, n := range d.view.nodes {
		shift(&n.silentSince)
	}
	for _, p := range d.view.peers {
		shift(&p.silentSince)
	}
}

// turn has every part do what is due. Their order is that in which what one finds out
// concerns the next.
func (d *desk) turn(now time.Time) {
	d.excuse(now)
	d.wakeAt = time.Time{}
	d.wake(d.view.presume(now))
	d.wake(d.view.judge(now))
	d.wake(d.view.compare(now))
	d.elect(now)
	d.lead(now)
	d.correct(now)
	d.wake(d.view.forget(now))
	d.wake(d.view.forgetPeers(now))
	d.keep(now)
	d.relink(now)
	d.tellPeers(now)
	d.send(now)
	d.publish()
	for _, tell := range d.answers {
		tell()
	}
	d.answers = nil
}

// keep saves what the view has learned since the last time. Votes are saved before they are
// given; for this there is time.
func (d *desk) keep(now time.Time) {
	due := func() bool { return d.saved != d.view.version || d.kept != d.holds(now) }
	if due() && !now.Before(d.saveAt) {
		d.save(now)
	}
	if due() {
		d.wake(d.saveAt)
	}
	if now.Before(d.owed) {
		d.wake(d.owed)
	}
}

// holds returns for how long what was promised may bind, in this life or in the one before.
func (d *desk) holds(now time.Time) time.Duration {
	if now.Before(d.owed) {
		return max(d.old, d.promise.hold)
	}
	return d.promise.hold
}

// save saves all, and reports whether it has.
func (d *desk) save(now time.Time) bool {
	m := memory{group: d.opts.Group, id: d.view.self, ballot: d.voter.ballot, hold: d.holds(now), reign: d.view.reign}
	for _, n := range d.view.inOrder() {
		if n.addr != "" && !n.isStranger() {
			m.nodes = append(m.nodes, contact{n.id, n.addr})
		}
	}
	for _, id := range d.view.others() {
		if p := d.view.peers[id]; p.met && (p.addr != "" || !p.replaced) {
			m.peers = append(m.peers, contact{id, p.addr})
		}
	}
	version := d.view.version
	if err := d.opts.Store.Save(m.append(nil)); err != nil {
		d.log.Error("state not saved: no votes are given until it is", "err", err)
		d.saveAt = now.Add(saveAgain)
		return false
	}
	d.saved, d.kept, d.saveAt = version, m.hold, time.Time{}
	return true
}

// saveAgain is how long after a failure the store is tried again.
const saveAgain = time.Second
