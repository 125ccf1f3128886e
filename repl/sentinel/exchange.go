package sentinel

import (
	"context"
	"errors"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/repl"
)

// A gist is what peers have to hear of at once when it changes.
type gist struct {
	reign   backlog.Epoch
	addr    string
	down    bool
	leading uint64
}

// tellPeers sees to it that peers hear at once of what concerns them.
func (d *desk) tellPeers(now time.Time) {
	g := gist{reign: d.view.reign.Epoch, addr: d.view.reign.Addr, down: d.sees(), leading: d.leading()}
	if g == d.told {
		return
	}
	changed := g.reign != d.told.reign
	d.told = g
	for _, l := range d.lines {
		if l.sentinel || changed {
			l.nextAt = now // nodes hear of it by the notice, and the master gets its lease
		}
	}
}

// sees reports whether the master is down as far as this sentinel sees by itself.
func (d *desk) sees() bool {
	m := d.view.master()
	return m != nil && m.down()
}

// exchange tells the peer on l this sentinel's state, and asks for its own.
func (d *desk) exchange(l *line, now time.Time) {
	body := d.state().append(nil)
	d.call(l, body, now, func(answer []byte, now time.Time) {
		if s, err := parseState(answer); err == nil {
			d.view.heardPeer(l.id, s, now)
		} else {
			d.log.Warn("peer's state", "addr", l.addr, "err", err)
		}
	})
}

// call asks the peer on l something. heard is called by the desk when it has answered; if it
// refuses, or the line is lost, never.
func (d *desk) call(l *line, body []byte, now time.Time, heard func(answer []byte, now time.Time)) {
	number := l.ask(now)
	if number == 0 {
		return
	}
	id, ctl := l.id, l.ctl
	if p := d.view.peers[id]; p != nil {
		p.silentSince = earlier(p.silentSince, now)
	}
	d.start(func(ctx context.Context) {
		answer, err := ctl.Call(ctx, body)
		d.post(func(got time.Time) {
			if d.lines[l.addr] != l || l.ctl != ctl || d.view.peers[id] == nil {
				return
			}
			if err == nil || isAnswer(err) {
				l.answered(number)
				d.view.peers[id].silentSince = l.oldest()
			}
			if err != nil {
				d.log.Debug("call", "addr", l.addr, "err", err)
				return
			}
			heard(answer, got)
		})
	})
}

// isAnswer reports whether an error is what the other end has said.
func isAnswer(err error) bool {
	var refused *repl.RefusedError
	return errors.As(err, &refused)
}

// state returns what peers are told.
func (d *desk) state() *state {
	v := d.view
	s := &state{
		Epoch: d.voter.ballot.epoch, Reign: v.reign, Down: d.sees(), Leading: d.leading(),
		Known: v.sentinels(), Addr: d.view.addr,
	}
	// Only those that are there are handed on: what has been forgotten must not come
	// back from somebody who has not forgotten it yet.
	for _, n := range v.inOrder() {
		if n.addr != "" && !n.down() {
			s.Nodes = append(s.Nodes, contact{n.id, n.addr})
		}
	}
	for _, id := range v.others() {
		if p := v.peers[id]; p.linked {
			s.Peers = append(s.Peers, contact{id, p.addr})
		}
	}
	return s
}

// heardPeer takes in a peer's state.
func (v *view) heardPeer(id repl.NodeID, s *state, now time.Time) {
	p := v.peers[id]
	if p == nil {
		return
	}
	p.state, p.gotAt = s, now
	if v.foreign(s.Reign, now) {
		return
	}
	v.hearPeer(s.Epoch)
	v.learn(s.Reign, p.instance(), now)
	for _, c := range s.Nodes {
		v.found(c.ID, "", c.Addr, now)
	}
	for _, c := range s.Peers {
		v.foundPeer(c.ID, "", c.Addr, now)
	}
}

// read takes in what a peer has posted on a node's board.
func (v *view) read(posted repl.Notice, now time.Time) {
	n, err := parseNotice(posted.Body)
	if err != nil || posted.ID == v.self || v.foreign(n.Reign, now) {
		return
	}
	addr := n.Addr
	if posted.Addr != "" {
		addr = posted.Addr
	}
	v.hearPeer(n.Epoch)
	v.foundPeer(posted.ID, n.Name, addr, now)
	if p := v.peers[posted.ID]; p != nil {
		v.learn(n.Reign, p.instance(), now)
	}
}

// foundPeer takes in that a sentinel was said to be at addr.
func (v *view) foundPeer(id repl.NodeID, name, addr string, now time.Time) {
	if id == v.self || id == (repl.NodeID{}) || addr == "" || len(addr) > MaxAddrBytes || addr == v.addr {
		return
	}
	for _, other := range v.peers {
		if other.addr == addr && other.id != id {
			return // who is there shows when it is dialled: see meet
		}
	}
	p := v.peers[id]
	if p != nil {
		p.toldAt = now
	}
	switch {
	case p == nil && len(v.peers) < MaxPeers:
		p = &peer{id: id, name: name, addr: addr, silentSince: now, toldAt: now}
		v.peers[id] = p
		v.version++
		v.tell(EventNewSentinel, p.instance(), "")
	case p == nil || p.linked:
	case p.said.news(p.addr, addr):
		p.addr = addr
		v.version++
		v.tell(EventSentinelAddressSwitch, p.instance(), "")
	}
}

// meet takes in that the sentinel id answers at addr: another that was there is not, any
// more. If id is new, that was started anew with another id; but it may have moved, and counts
// until it is down, and was found nowhere else: see forgetPeers. If id was counted before, it
// has moved to where the other was, which says nothing of that one.
func (v *view) meet(id repl.NodeID, name, addr string, now time.Time) *peer {
	known := v.peers[id] != nil && v.peers[id].met
	for _, other := range v.peers {
		if other.addr == addr && other.id != id {
			v.tell(EventSentinelInvalidAddr, other.instance(), "")
			other.addr, other.replaced = "", !known
			v.version++
		}
	}
	if p := v.peers[id]; p != nil {
		p.said = nil // it is here, whatever was said
	}
	v.foundPeer(id, name, addr, now)
	p := v.peers[id]
	if p != nil {
		p.name = name
		if !p.met {
			p.met = true
			v.version++ // for those are remembered
		}
	}
	return p
}

// forgetPeers forgets two kinds of sentinels, and returns when it wants to look again: those
// who are down and at whose address a new one is, so that there are as many as before; and
// those who have never answered and whom nobody has mentioned for ForgetAfter, or whoever
// invents ids on a board would raise the majority for ever. Others stay, as a majority is one
// of all there are: two that forget who lives could each elect a leader.
func (v *view) forgetPeers(now time.Time) (next time.Time) {
	for id, p := range v.peers {
		replaced := p.addr == "" && p.replaced && !p.downSince.IsZero()
		if !replaced && (p.met || p.linked) {
			continue
		}
		if at := p.toldAt.Add(v.opts.ForgetAfter); !replaced && at.After(now) {
			next = earlier(next, at)
			continue
		}
		delete(v.peers, id)
		v.version++
	}
	return next
}
