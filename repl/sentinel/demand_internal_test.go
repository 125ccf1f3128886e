package sentinel

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/emberkv/ember/repl"
)

// demanded returns a play in which the master m is there, and a failover was demanded of which a
// was chosen and m told to step down.
func demanded(t *testing.T, replicas ...string) *play {
	t.Helper()
	p := rehearse(t, replicas...)
	m := p.node("m")
	m.linked, m.downSince, m.silentSince = true, time.Time{}, time.Time{}
	for _, name := range replicas {
		p.node(name).report.Upstream.State = repl.LinkStreaming
	}
	p.take(p.f.demand(p.now, p.v, 7))
	p.hear()
	p.script("+elected-leader m", "+failover-state-select-slave m", "+selected-slave a", "+failover-state-step-down m")
	p.under("m follow")
	return p
}

// advance has a node come so far.
func (p *play) advance(name string, offset int64) {
	r := *p.node(name).report
	r.Position.Offset = offset
	p.node(name).report = &r
}

// The master stops writing before the other begins, which gets all that was written; and those
// that followed it do not stay behind it.
func TestDemandedFailoverLosesNothing(t *testing.T) {
	p := demanded(t, "a", "b")
	p.advance("m", 700)
	p.do("m")
	p.pass(100 * time.Millisecond)
	p.under() // a has not come so far
	p.advance("a", 700)
	p.hear()
	p.under("a promote")
	p.do("a")
	p.stream("m")
	p.do("b")
	p.stream("b")
	p.script("+failover-state-send-slaveof-noone a", "+failover-state-wait-promotion a", "+switch-master m", "+promoted-slave a",
		"+failover-state-reconf-slaves a", "+slave-reconf-sent b", "+slave-reconf-inprog b", "+slave-reconf-done b", "+failover-end a")
	p.end(nil, false)
}

// It is on demand: it goes on if the master does not do its part.
func TestDemandedFailoverGoesOnWithoutTheMaster(t *testing.T) {
	for what, play := range map[string]func(p *play){
		"refuses": func(p *play) { p.answer("m", refused); p.pass(p.v.opts.DownAfter) },
		"hangs":   func(p *play) { p.pass(p.v.opts.DownAfter) },
		"dies":    func(p *play) { p.fall("m"); p.pass(p.v.opts.DownAfter) },
		"does, and a gets no more": func(p *play) {
			p.advance("m", 700)
			p.do("m")
			p.pass(2 * p.v.opts.DownAfter)
		},
		"does, and dies": func(p *play) { p.advance("m", 700); p.do("m"); p.fall("m") },
	} {
		t.Run(what, func(t *testing.T) {
			p := demanded(t, "a", "b")
			play(p)
			for _, e := range p.orders {
				if p.v.nodes[e.to].name == "a" && e.order.Kind == repl.OrderPromote {
					p.do("a")
					break
				}
			}
			if p.v.reign.ID != idOf("a") {
				t.Errorf("reign %+v; told %q", p.v.reign, p.log)
			}
		})
	}
}

// A master that does not step down may write until its lease is over, and what its replicas acknowledge
// is heard before one is chosen.
func TestDemandedFailoverOutlastsTheLease(t *testing.T) {
	for what, play := range map[string]func(p *play){
		"refuses": func(p *play) { p.answer("m", refused) },
		"hangs":   func(*play) {},
		"dies":    func(p *play) { p.fall("m") },
	} {
		t.Run(what, func(t *testing.T) {
			p := demanded(t, "a", "b")
			play(p)
			p.hear()
			p.advance("b", 700)
			p.pass(p.v.opts.DownAfter - 1)
			p.pass(1)
			if i := slices.IndexFunc(p.orders, func(e errand) bool { return e.order.Kind == repl.OrderPromote }); i < 0 || p.orders[i].to != idOf("b") {
				t.Errorf("orders %v; told %q", p.orders, p.log)
			}
		})
	}
}

// That it has stepped down counts when it reports so: not before, for it may have written more.
func TestMasterHasSteppedDownWhenItSaysSo(t *testing.T) {
	p := demanded(t, "a")
	p.answer("m", nil)
	p.pass(500 * time.Millisecond)
	p.under()
	p.pass(500 * time.Millisecond)
	p.under("a promote")
}

// When the chosen one is gone there may be no master any more, so it is not given up: another is
// promoted, at last the old one itself. But each in an epoch of its own, as the one before it may be the
// master of that in which it was told to.
func TestDemandedFailoverFindsSomebody(t *testing.T) {
	p := demanded(t, "a", "b")
	p.do("m")
	p.pass(100 * time.Millisecond)
	p.under("a promote")
	for _, c := range []struct {
		fallen, next string
		epoch        uint64
	}{{"a", "b", 8}, {"b", "m", 9}} {
		p.fall(c.fallen)
		p.answer(c.fallen, repl.ErrTimeout)
		p.hear()
		p.under()
		if !p.out.again || p.out.done || p.f.leads() {
			t.Fatalf("%s is gone: %+v, in phase %v", c.fallen, p.out, p.f.phase)
		}
		p.out, p.epoch = todo{}, c.epoch
		p.take(p.f.demand(p.now, p.v, p.epoch))
		p.hear()
		p.under(c.next + " promote")
	}
	p.do("m")
	if p.v.reign.ID != idOf("m") || p.v.reign.Epoch.Counter != 9 {
		t.Errorf("reign %+v", p.v.reign)
	}
	p.end(nil, false)
}

// A node that refuses to be promoted has not been, and another may be in the same epoch; but not if it
// was told twice, as the first time it may have been, nor if it ended meanwhile.
func TestOneIsPromotedInAnEpoch(t *testing.T) {
	for what, play := range map[string]struct {
		answers []error
		another bool
	}{
		"refuses":             {[]error{refused}, true},
		"was told before":     {[]error{repl.ErrTimeout, refused}, false},
		"ends when it has":    {[]error{&repl.RefusedError{Err: repl.ErrPeerClosed}}, false},
		"is gone, as is told": {nil, false},
	} {
		t.Run(what, func(t *testing.T) {
			p := rehearse(t, "a", "b")
			p.take(p.f.begin(p.now, p.v, 7))
			p.hear()
			for _, err := range play.answers {
				p.under("a promote")
				p.answer("a", err)
				p.pass(lookAgain)
				p.pass(lookAgain)
			}
			if play.answers == nil {
				p.fall("a")
			}
			if play.another {
				p.under("b promote")
				return
			}
			if len(play.answers) > 0 {
				p.under()
			}
			p.end(ErrTimeout, true)
		})
	}
}

func TestDemandedFailoverWithoutAReplica(t *testing.T) {
	p := rehearse(t, "a")
	p.node("a").report.Priority = 0
	m := p.node("m")
	m.linked, m.downSince = true, time.Time{}
	p.take(p.f.demand(p.now, p.v, 7))
	p.pass(p.v.opts.DownAfter)
	p.under() // the master stays
	p.end(ErrNoGoodSlave, true)
}

// One that is chosen for its priority gets first what another has.
func TestChosenOneCatchesUp(t *testing.T) {
	begin := func(t *testing.T, heard int) *play {
		p := rehearse(t, "a", "b")
		p.v.opts.MinHeard = heard
		p.node("a").report.Priority = 1
		p.advance("b", 600)
		p.take(p.f.begin(p.now, p.v, 7))
		p.hear()
		p.under("a follow")
		return p
	}
	promoted := func(p *play) {
		p.Helper()
		p.under("a promote")
		if p.do("a"); p.v.reign.ID != idOf("a") {
			p.Errorf("reign %+v", p.v.reign)
		}
	}

	p := begin(t, 1)
	p.do("a")
	p.stream("a")
	p.under()
	p.advance("a", 600)
	p.pass(100 * time.Millisecond)
	promoted(p)

	p = begin(t, 1) // if it does not, it costs what b has more
	p.do("a")
	p.pass(p.v.opts.DownAfter)
	promoted(p)

	p = begin(t, 1)
	p.do("a")
	p.fall("b")
	promoted(p)

	p = begin(t, 2) // but what was promised it may not cost
	p.do("a")
	p.pass(p.v.opts.DownAfter)
	p.under()
	p.pass(p.v.opts.FailoverTimeout)
	p.end(ErrTimeout, true)

	p = begin(t, 2) // the one that had most is gone: there is no knowing what it was told
	p.do("a")
	p.fall("b")
	p.pass(p.v.opts.DownAfter)
	p.end(ErrNoGoodSlave, true)

	p = begin(t, 2) // it will not follow it: b has to do
	p.answer("a", refused)
	p.hear()
	p.under("b promote")

	p = begin(t, 2) // the chosen one is
	p.fall("a")
	p.v.opts.MinHeard = 1
	p.hear()
	p.under("a follow", "b promote")
}

// Whoever has demanded a failover is told how it has ended, though the master is to be raised above an
// epoch that somebody has heard of at the same time.
func TestDemandOutlivesARaise(t *testing.T) {
	now := time.Now()
	s := &Sentinel{opts: &Options{DownAfter: time.Second, Quorum: 1, Monitor: []string{"a"}}}
	s.opts, _ = s.opts.normalize()
	d := newDesk(s, &memory{id: repl.NodeID{99}}, now)
	defer d.cancel()
	d.view.heard(reportOf(1, repl.RoleMaster, epochOf(1, 1), 1), "a", now, now)
	d.view.nodes[repl.NodeID{1}].linked = true
	other := reportOf(2, repl.RoleReplica, epochOf(1, 1), 1)
	other.Heard, other.Supervised = epochOf(9, 3), true
	d.view.heard(other, "b", now, now)
	n := d.view.nodes[repl.NodeID{2}]
	n.linked, n.wrongSince, n.fixAt = true, now, now
	if !d.view.outranks(n) {
		t.Fatal("nobody outranks the master")
	}
	d.view.foundPeer(repl.NodeID{50}, "", "s", now) // whose vote does not come
	var ended error
	d.waiting = append(d.waiting, func(err error) { ended = err })
	d.voter = d.voter.demand(toOust, d.scene(now))
	d.elect(now)
	for range 100 {
		now = now.Add(100 * time.Millisecond)
		d.elect(now)
		d.correct(now)
		if len(d.waiting) == 0 {
			break
		}
	}
	for _, tell := range d.answers {
		tell()
	}
	if !errors.Is(ended, ErrNotElected) {
		t.Errorf("it has ended with %v", ended)
	}
}

// After a reset a sentinel may know nobody, and would have the votes of all: what is demanded waits until it
// has found the others.
func TestDemandAfterReset(t *testing.T) {
	now := time.Now()
	s := &Sentinel{opts: &Options{DownAfter: time.Second, Quorum: 1, Monitor: []string{"a"}}}
	s.opts, _ = s.opts.normalize()
	d := newDesk(s, &memory{id: repl.NodeID{99}}, now)
	defer d.cancel()
	d.view.heard(reportOf(1, repl.RoleMaster, epochOf(1, 1), 1), "a", now, now)
	d.view.foundPeer(repl.NodeID{50}, "", "s", now)
	now = now.Add(time.Minute)
	d.reset(now)
	for _, a := range []aim{toOust, toRaise} {
		d.voter = d.voter.demand(a, d.scene(now))
		d.elect(now)
		if at := d.voter.next(); d.voter.ballot.votedIn != 0 || at.Before(now.Add(s.opts.DownAfter)) {
			t.Fatalf("aim %d: votes in epoch %d, next at %v", a, d.voter.ballot.votedIn, at.Sub(now))
		}
	}
	d.view.foundPeer(repl.NodeID{50}, "", "s", now)
	now = now.Add(s.opts.DownAfter)
	d.elect(now)
	if d.voter.campaign.stage != campaigning {
		t.Errorf("it has not asked for votes: %+v", d.voter)
	}
}
