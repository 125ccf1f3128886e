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
	if t.again {
		d.voter = d.voter.demand(toOust, d.scene(now))
		d.wake(now)
	}
	if t.done {
		d.answer(t.err)
	}
}

// answer tells those who have demanded a failover how it has ended.
func (d *desk) answer(err error) {
	for _, tell := range d.waiting {
		d.answers = append(d.answers, func() { tell(err) })
	}
	d.waiting = nil
}

// demand begins a failover that the program wants: it asks for the votes of a majority, whatever they
// have promised the master. done is called with how it has ended.
func (d *desk) demand(now time.Time, done func(error)) {
	switch {
	case d.view.reign.IsZero():
		done(fmt.Errorf("%w: %s", ErrNoMaster, d.missing()))
		return
	case d.fail.leads() || d.handsOver() || d.voter.campaign.aim == toOust:
		done(ErrInProgress)
		return
	}
	if err := d.fail.hopeless(now, d.view); err != nil {
		done(err) // before the master loses its lease by the votes
		return
	}
	d.waiting = append(d.waiting, done)
	d.voter = d.voter.demand(toOust, d.scene(now))
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
	d.dismiss(ErrAborted)
	d.voter = d.voter.withdraw()
	d.voter.counts = now.Add(d.opts.DownAfter)
	d.view.tell(EventResetMaster, d.view.reign.instance(), "")
	d.view.clear()
	for _, l := range d.lines {
		if l.ctl != nil && !d.knows(l) {
			d.drop(l, now)
		}
	}
}
