package sentinel

import (
	"time"

	"github.com/emberkv/ember/repl"
)

// A driftGuard is a sentinel of a driftWorld: a voter, promises, and a plain look at nodes and
// peers.
type driftGuard struct {
	driftClock
	w       *driftWorld
	id      repl.NodeID
	name    string
	voter   voter
	promise promise
	saved   ballot // what the store has, with
	reign   uint64 // the epoch of the newest master that it knows, and
	master  *driftNode

	leading uint64
	ledAt   time.Time
	answers map[string]time.Time // when the last question was sent that was answered
	reports map[string]driftReport
	downs   map[string]time.Time // when a peer said that the same master is down
	life    int                  // timers of an earlier one do nothing
}

// start starts the sentinel with what it saved.
func (g *driftGuard) start() {
	g.life++
	g.voter = newVoter(g.id, g.saved, driftDownAfter, uint64(g.w.rng.Int64()))
	g.promise = newPromise(driftDownAfter, g.at(g.w))
	g.leading = 0
	g.answers, g.reports, g.downs = make(map[string]time.Time), make(map[string]driftReport), make(map[string]time.Time)
	g.answers[g.master.name] = g.at(g.w)
	g.every(driftDownAfter/8, g.poll)
	g.every(driftDownAfter/4, g.tell)
	g.every(10*time.Millisecond, g.turn)
}

// every has f called again and again, as long as this life of the sentinel.
func (g *driftGuard) every(d time.Duration, f func()) {
	life := g.life
	var again func()
	again = func() {
		if g.life == life {
			f()
			g.w.after(d, g.driftClock, again)
		}
	}
	g.w.after(d, g.driftClock, again)
}

func (g *driftGuard) scene() scene {
	s := scene{now: g.at(g.w), reign: driftEpoch(g.reign), quorum: 2, leading: g.leading > 0}
	s.promised = g.promise.remaining(s.now)
	for _, p := range g.w.guards {
		if p != g {
			s.peers = append(s.peers, p.id)
		}
	}
	return s
}

// poll asks every node how it is. The master's newest stamp is answered by a grant.
func (g *driftGuard) poll() {
	life := g.life
	for _, n := range g.w.nodes {
		sent, grant := g.at(g.w), uint64(0)
		r := g.reports[n.name]
		if n == g.master && r.master && r.epoch == g.reign && r.stamp > 0 && g.leading == 0 && g.voter.mayGrant(g.reign) && (r.held || !sent.Before(g.voter.wanted)) {
			var ok bool
			if g.promise, ok = g.promise.grant(n.id, sent); ok {
				grant = r.stamp
				r.stamp = 0
				g.reports[n.name] = r
			}
		}
		g.w.send(g.name, n.name, func() {
			if grant > 0 {
				n.granted(g.name, grant, len(g.w.guards)/2+1)
			}
			r := n.report()
			g.w.send(n.name, g.name, func() {
				if g.life == life {
					g.polled(n, r, sent)
				}
			})
		})
	}
}

func (g *driftGuard) polled(n *driftNode, r driftReport, sent time.Time) {
	if sent.Before(g.answers[n.name]) {
		return // it was overtaken
	}
	g.answers[n.name], g.reports[n.name] = sent, r
	g.voter = g.voter.heard(r.heard)
	if !r.master {
		g.promise = g.promise.released(n.id)
		return
	}
	if r.epoch > g.reign {
		g.crown(n, r.epoch)
	}
	if r.epoch < g.reign {
		epoch := g.reign
		g.w.send(g.name, n.name, func() { n.follow(epoch) })
	}
}

// crown takes a node for the master of an epoch.
func (g *driftGuard) crown(n *driftNode, epoch uint64) {
	if epoch <= g.reign {
		return
	}
	g.reign, g.master, g.leading = epoch, n, 0
	g.answers[n.name] = later(g.answers[n.name], g.at(g.w))
	g.downs = make(map[string]time.Time)
	g.voter = g.voter.heard(epoch).withdraw()
	g.tell()
}

func (g *driftGuard) down() bool {
	return g.at(g.w).Sub(g.answers[g.master.name]) > driftDownAfter
}

// tell tells the peers who the master is, and whether it is down.
func (g *driftGuard) tell() {
	reign, master, down := g.reign, g.master, g.down()
	for _, p := range g.w.guards {
		if p != g {
			g.w.send(g.name, p.name, func() { p.told(g.name, reign, master, down) })
		}
	}
}

func (g *driftGuard) told(by string, reign uint64, master *driftNode, down bool) {
	g.crown(master, reign)
	delete(g.downs, by)
	if down && reign == g.reign {
		g.downs[by] = g.at(g.w)
	}
}

// turn does what is due.
func (g *driftGuard) turn() {
	now := g.at(g.w)
	if g.leading > 0 {
		g.lead(now)
		return
	}
	if g.voter.campaign.aim == toOust {
		g.step(g.voter.tick(g.scene()))
		return
	}
	agree := 0
	for _, at := range g.downs {
		if now.Sub(at) <= 2*driftDownAfter {
			agree++
		}
	}
	r := g.reports[g.master.name]
	disowned := !g.down() && r.master && r.epoch == g.reign && !r.held && !g.voter.mayGrant(g.reign)
	if (!g.down() || agree < 1) && !disowned {
		g.voter = g.voter.withdraw()
		return
	}
	g.voter = g.voter.stand(g.scene())
	g.step(g.voter.tick(g.scene()))
}

// step has the sentinel go on as v, and carries the outcome out.
func (g *driftGuard) step(v voter, out outcome) {
	g.voter = v
	if out.save {
		g.saved = v.ballot
	}
	life := g.life
	for _, p := range g.w.guards {
		for _, to := range out.to {
			if p.id != to {
				continue
			}
			g.w.send(g.name, p.name, func() {
				r := p.asked(g.id, out.ask)
				g.w.send(p.name, g.name, func() {
					if g.life == life {
						g.step(g.voter.answered(p.id, r, g.scene()))
					}
				})
			})
		}
	}
	if out.elected > 0 {
		g.w.only(g.w.leaders, out.elected, g.name, "leader")
		g.leading, g.ledAt = out.elected, g.at(g.w)
		if out.aim == toReplace && !g.down() { // it is back
			n, epoch := g.master, g.leading
			g.w.send(g.name, n.name, func() { n.promote(epoch) })
			return
		}
		g.order()
	}
}

func (g *driftGuard) asked(from repl.NodeID, a ask) reply {
	v, r, out := g.voter.asked(from, a, g.scene())
	g.step(v, out)
	return r
}

// demand asks for votes for a failover that nobody else wants.
func (g *driftGuard) demand() {
	if g.leading == 0 {
		g.voter = g.voter.demand(toOust, g.scene())
	}
}

// order has the first node promoted that has answered lately and is not the old master.
func (g *driftGuard) order() {
	epoch := g.leading
	for _, n := range g.w.nodes {
		if n != g.master && g.at(g.w).Sub(g.answers[n.name]) < driftDownAfter {
			g.w.send(g.name, n.name, func() { n.promote(epoch) })
			return
		}
	}
}

// lead gives a failover up that has lasted for too long.
func (g *driftGuard) lead(now time.Time) {
	if now.Sub(g.ledAt) > 3*driftDownAfter {
		g.leading = 0
		g.voter = g.voter.retire(g.scene())
	}
}
