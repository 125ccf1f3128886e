package sentinel

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/emberkv/ember/repl"
)

// lineUp notes who has answered on l.
func (d *desk) lineUp(l *line, ctl *repl.Control, now time.Time) {
	if d.lines[l.addr] != l {
		return // given up meanwhile; run closes it
	}
	who := ctl.Peer()
	if other := d.lineOf(who.ID); other != nil {
		// It can be reached by two addresses. One line is enough, until that is lost.
		d.hint(l.addr, who.ID)
		d.refuse(ctl)
		return
	}
	l.ctl, l.id, l.sentinel, l.asked, l.stamp, l.nextAt = ctl, who.ID, who.Sentinel, nil, 0, now
	d.hint(l.addr, who.ID)
	d.stale = true
	for _, n := range d.view.nodes {
		if n.addr == l.addr && n.id != who.ID && !n.linked {
			n.addr = "" // until it is found again: it is not here
			d.view.version++
		}
	}
	if who.Sentinel {
		p := d.view.meet(who.ID, who.Name, l.addr, now)
		if p == nil {
			d.unlink(l, now) // this sentinel itself, or one too many
			d.refuse(ctl)
			return
		}
		p.linked, p.said = true, nil
	} else if n := d.view.add(who.ID, now); n == nil {
		d.unlink(l, now)
		d.refuse(ctl)
		return
	} else {
		n.linked, n.name, n.at, n.said = true, who.Name, l.addr, nil
		if n.addr == "" {
			d.view.move(n, l.addr)
		}
	}
	d.log.Debug("line up", "addr", l.addr, "name", who.Name)
}

// refuse ends a link with somebody with whom there is to be none. The line stays, if someone is
// looked for there, and is dialled again after a pause that grows: one that began at once would
// find the same, and be ended at once.
func (d *desk) refuse(ctl *repl.Control) {
	d.stale = true
	d.start(func(context.Context) { ctl.Close() })
}

// lineDown notes that l is lost, or, when ctl is nil, could not be dialled.
func (d *desk) lineDown(l *line, ctl *repl.Control, err error, now time.Time) {
	if d.lines[l.addr] != l {
		return
	}
	told := l.failed
	if err != nil && d.ctx.Err() == nil {
		l.failed = err.Error()
	}
	if errors.Is(err, repl.ErrReplaced) {
		d.replaced(l, err, now)
	}
	if id, hint := d.hints[l.addr]; hint && id == (repl.NodeID{}) && l.failed != told {
		// It may never do, as with a wrong secret, and there is no event for somebody unknown.
		d.log.Warn("nobody to watch at this address", "addr", l.addr, "err", err)
	} else {
		d.log.Debug("line down", "addr", l.addr, "err", err)
	}
	if l.ctl != nil && l.ctl == ctl {
		d.unlink(l, now)
	}
}

// unlink notes that whoever was at the end of l is not heard from now on.
func (d *desk) unlink(l *line, now time.Time) {
	d.stale = true
	since := earlier(l.oldest(), now)
	l.ctl, l.asked, l.stamp = nil, nil, 0
	if n := d.view.nodes[l.id]; n != nil && !l.sentinel {
		n.linked, n.silentSince = false, earlier(n.silentSince, since)
	}
	if p := d.view.peers[l.id]; p != nil && l.sentinel {
		p.linked, p.silentSince = false, earlier(p.silentSince, since)
	}
}

// drop ends a line.
func (d *desk) drop(l *line, now time.Time) {
	if l.ctl != nil {
		d.unlink(l, now)
	}
	l.stop()
	delete(d.lines, l.addr)
	d.sorted, d.stale = nil, true
}

// hint notes who answers at an address that is to be tried whoever is there.
func (d *desk) hint(addr string, id repl.NodeID) {
	if _, is := d.hints[addr]; is {
		d.hints[addr] = id
	}
}

// lineOf returns the line on which id answers, or nil.
func (d *desk) lineOf(id repl.NodeID) *line {
	for _, l := range d.lines {
		if l.ctl != nil && l.id == id {
			return l
		}
	}
	return nil
}

// relink begins and ends lines, so that there is one to each node and peer that can be
// reached, and one to each address at which one that cannot might be.
func (d *desk) relink(now time.Time) {
	if !d.stale && d.linked == d.view.version && !d.view.reign.IsZero() {
		return
	}
	d.stale, d.linked = false, d.view.version
	want := make(map[string]bool, len(d.lines))
	reached := make(map[repl.NodeID]bool, len(d.lines))
	for _, l := range d.lines {
		if l.ctl != nil {
			reached[l.id] = true
			want[l.addr] = d.knows(l)
		}
	}
	seek := func(id repl.NodeID, addrs ...string) {
		for _, addr := range addrs {
			if addr != "" && !reached[id] {
				want[addr] = true
			}
		}
	}
	for id, n := range d.view.nodes {
		seek(id, n.addr, n.at)
		seek(id, n.said...)
		if n.report != nil && d.view.reign.IsZero() {
			seek(repl.NodeID{}, n.report.Upstream.Addr)
		}
	}
	for id, p := range d.view.peers {
		seek(id, p.addr)
		seek(id, p.said...)
	}
	for addr, id := range d.hints {
		seek(id, addr)
	}
	delete(want, d.view.addr)
	for _, l := range d.inOrder() {
		if !want[l.addr] {
			d.drop(l, now)
		}
	}
	for _, addr := range slices.Sorted(maps.Keys(want)) {
		if want[addr] && d.lines[addr] == nil {
			d.dial(addr)
		}
	}
}

// knows reports whether the one that answers on l is part of the view, or may become so.
func (d *desk) knows(l *line) bool {
	if l.sentinel {
		return d.view.peers[l.id] != nil
	}
	return d.view.nodes[l.id] != nil
}

// inOrder returns the lines by address. It is not to be changed, but the lines may be.
func (d *desk) inOrder() []*line {
	if d.sorted == nil {
		for _, addr := range slices.Sorted(maps.Keys(d.lines)) {
			d.sorted = append(d.sorted, d.lines[addr])
		}
	}
	return d.sorted
}

// dial begins a line.
func (d *desk) dial(addr string) {
	l := &line{addr: addr}
	d.lines[addr], d.sorted = l, nil
	ctx, stop := context.WithCancel(d.ctx)
	l.stop = stop
	d.start(func(context.Context) { l.run(ctx, d) })
}

// send asks everybody who is due to be asked.
func (d *desk) send(now time.Time) {
	for _, l := range d.inOrder() {
		if l.ctl == nil {
			continue
		}
		if !l.nextAt.After(now) {
			if l.sentinel {
				l.nextAt = now.Add(d.opts.tellEvery())
				d.exchange(l, now)
			} else {
				l.nextAt = now.Add(d.opts.pollEvery())
				d.poll(l, now)
			}
		}
		d.wake(l.nextAt)
	}
}

// order tells a node what to do. done is called by the desk when that is known.
func (d *desk) order(id repl.NodeID, o *repl.Order, done func(err error, now time.Time)) {
	l := d.lineOf(id)
	var ctl *repl.Control
	if l != nil {
		ctl = l.ctl
	}
	d.start(func(ctx context.Context) {
		err := errUnreachable
		if ctl != nil {
			ctx, cancel := context.WithTimeout(ctx, max(o.Timeout, repl.DefaultOrderTimeout)+2*d.opts.DownAfter)
			defer cancel()
			err = ctl.Order(ctx, o)
		}
		d.post(func(now time.Time) {
			d.log.Info("order", "kind", o.Kind, "node", id, "epoch", o.Epoch, "addr", o.Addr, "err", err)
			if l != nil {
				l.nextAt = now // whether it has obeyed shows in its report
			}
			done(err, now)
		})
	})
}
