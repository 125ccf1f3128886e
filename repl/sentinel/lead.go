package sentinel

import (
	"fmt"
	"time"

	"github.com/emberkv/ember/repl"
)

// leading returns the epoch of the failover that this sentinel leads, until all nodes follow
// the new master, or 0.
func (d *desk) leading() uint64 {
	if !d.fail.busy() {
		return 0
	}
	return d.fail.epoch
}

// lead does what is due in the failover.
func (d *desk) lead(now time.Time) {
	d.obey(d.fail.step(now, d.view), now)
	d.wake(d.fail.next())
}

// obey does what a step of the failover asks for.
func (d *desk) obey(t todo, now time.Time) {
	if t.look {
		for _, l := range d.lines {
			if !l.sentinel {
				l.nextAt = now
			}
		}
	}
	for _, e := range t.orders {
		d.order(e.to, e.order, func(err error, now time.Time) {
			d.obey(d.fail.result(now, d.view, e.number, err), now)
		})
	}
	if t.retire {
		d.voter = d.voter.retire(d.scene(now))
	}
	if t.done {
		for _, tell := range d.waiting {
			d.answers = append(d.answers, func() { tell(t.err) })
		}
		d.waiting = nil
	}
}

// demand begins a failover that the program wants. done is called with how it has ended.
func (d *desk) demand(now time.Time, done func(error)) {
	switch {
	case d.view.reign.IsZero():
		done(fmt.Errorf("%w: %s", ErrNoMaster, d.missing()))
		return
	case d.fail.leads() || d.handsOver():
		done(ErrInProgress)
		return
	}
	// It is an election without voters: the epoch is this sentinel's, and no vote of its own goes
	// to another in it.
	before := d.voter
	if d.voter = before.claim(); !d.save(now) {
		d.voter = before
		done(errNotSaved)
		return
	}
	d.view.hear(d.voter.ballot.epoch)
	d.waiting = append(d.waiting, done)
	d.obey(d.fail.demand(now, d.view, d.voter.ballot.votedIn), now)
}

// handOver tells the master to hand over.
func (d *desk) handOver(to repl.NodeID, limit time.Duration, done func(error)) {
	switch {
	case d.view.reign.IsZero():
		done(fmt.Errorf("%w: %s", ErrNoMaster, d.missing()))
		return
	case d.fail.leads() || d.handsOver():
		done(ErrInProgress)
		return
	case d.view.reign.ID == to:
		done(nil)
		return
	}
	o := &repl.Order{Kind: repl.OrderHandover, Epoch: d.view.reign.Epoch.Counter, To: to, Timeout: min(max(limit, time.Millisecond), repl.MaxOrderTimeout)}
	d.handing = true
	d.order(d.view.reign.ID, o, func(err error, now time.Time) {
		d.handing = false
		if l := d.lineOf(to); l != nil {
			l.nextAt = now
		}
		done(err)
	})
}

// handsOver reports whether the master is handing over, as it was told by this sentinel or says.
func (d *desk) handsOver() bool {
	m := d.view.master()
	return d.handing || m != nil && !m.down() && m.report != nil && m.report.HandingOver
}

// reset forgets everybody but the master.
func (d *desk) reset(now time.Time) {
	d.obey(d.fail.cancel(), now)
	d.voter = d.voter.withdraw()
	d.view.tell(EventResetMaster, d.view.reign.instance(), "")
	d.view.clear()
	for _, l := range d.lines {
		if l.ctl != nil && !d.knows(l) {
			d.drop(l, now)
		}
	}
}
