package sentinel

import (
	"context"
	"time"

	"github.com/emberkv/ember/repl"
)

// poll asks the node on l how it is, and renews its lease if it is the master.
func (d *desk) poll(l *line, now time.Time) {
	number := l.ask(now)
	if number == 0 {
		return
	}
	n := notice{Epoch: d.voter.ballot.epoch, Reign: d.view.reign, Name: d.opts.Name, Addr: d.view.addr}
	p := &repl.Poll{Notice: n.append(nil), Grant: d.grant(l, now)}
	if n := d.view.nodes[l.id]; n != nil {
		n.silentSince = earlier(n.silentSince, now)
	}
	ctl, said := l.ctl, d.view.saidBefore(l.id)
	d.start(func(ctx context.Context) {
		r, err := ctl.Poll(ctx, p)
		d.post(func(got time.Time) { d.polled(l, ctl, number, r, err, said, now, got) })
	})
}

// polled takes in the answer to a poll, before which the others had said what said has.
func (d *desk) polled(l *line, ctl *repl.Control, number uint64, r *repl.Report, err error, said sayings, sent, now time.Time) {
	if d.lines[l.addr] != l || l.ctl != ctl {
		return
	}
	if err != nil {
		d.log.Debug("poll", "addr", l.addr, "err", err)
		return // it stays unanswered: no node refuses to be asked
	}
	l.answered(number)
	if n := d.view.nodes[l.id]; n != nil {
		n.silentSince = l.oldest()
	}
	if r.ID != l.id || number <= l.heard {
		return // one that was asked for later has overtaken it: it says what is no longer so
	}
	l.heard, l.stamp = number, r.Stamp
	d.warnOfUnsupervised(r)
	d.view.heard(r, l.addr, sent, now)
	d.view.vet(r.ID, said, now)
	if r.Role != repl.RoleMaster {
		// What it holds of a lease has ended with its time as a master.
		d.promise = d.promise.released(r.ID)
	}
	if d.mayGrant(l, now) && (d.promise.to != r.ID || d.promise.remaining(now) == 0) {
		l.nextAt = earlier(l.nextAt, later(d.promise.until, now)) // it waits for its first lease
	}
}

// warnOfUnsupervised warns, once for each time that it begins to be so, of a node that is not Supervised.
// Nothing else tells before the day on which the master falls: links and sentinels are all well.
func (d *desk) warnOfUnsupervised(r *repl.Report) {
	if r.Supervised {
		return
	}
	if n := d.view.nodes[r.ID]; n == nil || n.report == nil || n.report.Supervised {
		d.log.Warn("node takes no orders and needs no lease: its repl.Options are not Supervised", "name", r.Name, "role", r.Role)
	}
}

// mayGrant reports whether the newest report on l may be answered by a grant: it is the
// master's, and of this reign. A master that does not hold the lease all the same, as others may not
// grant it, must not keep them from a vote.
func (d *desk) mayGrant(l *line, now time.Time) bool {
	n := d.view.nodes[l.id]
	return l.stamp != 0 && l.id == d.view.reign.ID && !d.fail.leads() && n != nil && n.report != nil &&
		n.report.Role == repl.RoleMaster && n.report.Supervised &&
		n.report.Lineage.Epoch == d.view.reign.Epoch && n.report.Lineage.Knows(d.view.reign.History) &&
		n.life.mayBeLeased(n.report) && d.voter.mayGrant(d.view.reign.Epoch.Counter) && (n.report.Lease.Remaining > 0 || !now.Before(d.voter.wanted))
}

// grant returns the grant that the next poll on l brings, or nil. From now on the promise
// that goes with it binds.
func (d *desk) grant(l *line, now time.Time) *repl.Grant {
	if !d.mayGrant(l, now) || d.kept < d.promise.hold { // after a restart it would not know for how long it is bound
		return nil
	}
	var ok bool
	if d.promise, ok = d.promise.grant(l.id, now); !ok {
		return nil
	}
	g := &repl.Grant{Stamp: l.stamp, Lease: leaseOf(d.opts.DownAfter), Need: min(d.view.need(), repl.MaxNeed)}
	l.stamp = 0
	return g
}
