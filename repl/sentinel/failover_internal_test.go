package sentinel

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/repl"
)

// A play is a failover under a test's clock, and nodes that do what the test says.
type play struct {
	*testing.T
	now    time.Time
	v      *view
	f      *failover
	orders []errand // that have no result yet
	log    []string // events since the last script
	out    todo     // what was asked for since, without orders
	epoch  uint64   // in which all happens
}

// rehearse returns a play in which the master m is down and the replicas stand at 500.
func rehearse(t *testing.T, replicas ...string) *play {
	v := stand(500, replicas...)
	v.opts.ParallelSyncs = 1
	return &play{T: t, now: start, v: v, f: newFailover(v.opts), epoch: 7}
}

func (p *play) node(name string) *node { return p.v.nodes[idOf(name)] }

func (p *play) take(out todo) {
	p.Helper()
	p.orders = append(p.orders, out.orders...)
	p.out.look = p.out.look || out.look
	p.out.retire, p.out.done, p.out.again = p.out.retire || out.retire, p.out.done || out.done, p.out.again || out.again
	p.out.err = errors.Join(p.out.err, out.err)
	for _, e := range p.v.told {
		line := e.Kind.String() + " " + e.About.Name
		if e.Epoch != p.epoch && e.Kind != EventSwitchMaster {
			p.Errorf("%s in epoch %d", line, e.Epoch)
		}
		p.log = append(p.log, line)
	}
	p.v.told = nil
}

// hear has all nodes that are linked and up answer what they are asked now.
func (p *play) hear() {
	p.Helper()
	for _, n := range p.v.nodes {
		if n.linked && !n.down() {
			n.sentAt = p.now
		}
	}
	p.take(p.f.step(p.now, p.v))
}

// pass lets time go by, with answers as often as the failover asks.
func (p *play) pass(d time.Duration) {
	p.Helper()
	for end := p.now.Add(d); p.now.Before(end); {
		next := p.f.next()
		if next.IsZero() || next.After(end) {
			next = end
		}
		if !next.After(p.now) {
			p.Fatalf("at %v the failover wants to be called at %v, in phase %v", p.now, next, p.f.phase)
		}
		p.now = next
		p.hear()
	}
}

// answer gives the result of the only order under way to a node, which it returns.
func (p *play) answer(name string, err error) *repl.Order {
	p.Helper()
	i := slices.IndexFunc(p.orders, func(e errand) bool { return e.to == idOf(name) })
	if i < 0 {
		p.Fatalf("%s has no order; there are %v", name, p.orders)
	}
	e := p.orders[i]
	p.orders = slices.Delete(p.orders, i, i+1)
	p.take(p.f.result(p.now, p.v, e.number, err))
	return e.order
}

// do has a node carry its order out.
func (p *play) do(name string) {
	p.Helper()
	o := p.answer(name, nil)
	r := *p.node(name).report
	if o.Epoch != p.epoch {
		p.Errorf("%s has an order of epoch %d", name, o.Epoch)
	}
	switch o.Kind {
	case repl.OrderPromote:
		r.Role, r.Upstream = repl.RoleMaster, repl.UpstreamReport{}
		r.Lineage = r.Lineage.Fork(backlog.History{name[0]}, r.Position.Offset)
		r.Lineage.Epoch = backlog.Epoch{Counter: o.Epoch, Node: idOf(name)}
		r.Position.History, r.Heard = r.Lineage.Current, r.Lineage.Epoch
	case repl.OrderFollow:
		r.Role = repl.RoleReplica
		r.Upstream = repl.UpstreamReport{ID: idOf(strings.TrimSuffix(o.Addr, ":1")), Addr: o.Addr, State: repl.LinkConnecting}
	}
	p.node(name).report = &r
	p.hear()
}

// stream has a node's link come up.
func (p *play) stream(name string) {
	p.Helper()
	r := *p.node(name).report
	r.Upstream.State = repl.LinkStreaming
	p.node(name).report = &r
	p.hear()
}

func (p *play) fall(name string) {
	p.Helper()
	n := p.node(name)
	n.linked, n.downSince, n.silentSince = false, p.now, p.now
	p.hear()
}

// script checks what has been told since the last, and nothing else.
func (p *play) script(want ...string) {
	p.Helper()
	if !slices.Equal(p.log, want) {
		p.Errorf("told:\n\t%s\nwant:\n\t%s", strings.Join(p.log, "\n\t"), strings.Join(want, "\n\t"))
	}
	p.log = nil
}

// under checks to whom orders are under way.
func (p *play) under(want ...string) {
	p.Helper()
	var got []string
	for _, e := range p.orders {
		got = append(got, p.v.nodes[e.to].name+" "+e.order.Kind.String())
	}
	if slices.Sort(got); !slices.Equal(got, want) {
		p.Errorf("under way: %q, want %q", got, want)
	}
}

// end checks how the failover has ended.
func (p *play) end(want error, retire bool) {
	p.Helper()
	if !p.out.done || p.f.phase != phaseNone || !p.f.next().IsZero() || !errors.Is(p.out.err, want) || p.out.retire != retire {
		p.Errorf("done %v in phase %v, next %v, with %v, retires %v; want %v, %v",
			p.out.done, p.f.phase, p.f.next(), p.out.err, p.out.retire, want, retire)
	}
}

var refused = &repl.RefusedError{Err: repl.ErrDeclined}

func TestFailoverFromElectionToEnd(t *testing.T) {
	p := rehearse(t, "a", "b", "c")
	p.node("b").report.Position.Offset = 600
	p.now = p.now.Add(time.Millisecond)
	p.take(p.f.begin(p.now, p.v, 7))
	p.script("+elected-leader m", "+failover-state-select-slave m")
	if !p.out.look || !p.f.leads() {
		t.Error("nobody is asked how it stands")
	}
	p.hear()
	p.script("+selected-slave b", "+failover-state-send-slaveof-noone b")
	p.under("b promote")
	p.do("b")
	p.script("+failover-state-wait-promotion b", "+switch-master m", "+promoted-slave b", "+failover-state-reconf-slaves b", "+slave-reconf-sent a")
	if !p.out.done || p.f.leads() || p.v.reign.ID != idOf("b") || p.v.reign.Epoch.Counter != 7 {
		t.Errorf("done %v, leads %v, reign %+v", p.out.done, p.f.leads(), p.v.reign)
	}
	p.under("a follow")
	p.do("a")
	p.script("+slave-reconf-inprog a")
	p.stream("a")
	p.script("+slave-reconf-done a", "+slave-reconf-sent c")
	p.do("c")
	p.stream("c")
	p.script("+slave-reconf-inprog c", "+slave-reconf-done c", "+failover-end b")
	p.end(nil, false)
}

// It waits for answers that are asked for after the election, as long as they may come.
func TestFailoverHearsAllWhoAnswer(t *testing.T) {
	p := rehearse(t, "a", "b", "c")
	p.now = p.now.Add(time.Second)
	p.take(p.f.begin(p.now, p.v, 7))
	p.node("a").sentAt, p.node("b").sentAt = p.now, p.now
	p.take(p.f.step(p.now, p.v))
	p.under() // c might have most
	p.node("c").linked = false
	p.take(p.f.step(p.now, p.v))
	p.under("a promote")

	p = rehearse(t, "a", "b")
	p.take(p.f.begin(p.now.Add(time.Second), p.v, 7))
	p.now = p.now.Add(2*time.Second - 1)
	p.node("a").sentAt = p.now
	p.take(p.f.step(p.now, p.v))
	p.under()
	p.now = p.f.next() // b hangs, and is not down yet
	p.take(p.f.step(p.now, p.v))
	p.under("a promote")
}

func TestFailoverIsGivenUp(t *testing.T) {
	for _, c := range []struct {
		what   string
		play   func(p *play) // from the order to promote a on
		event  string
		err    error
		retire bool
	}{
		{"the chosen one dies before it has answered", func(p *play) { p.fall("a") },
			"-failover-abort-slave-timeout a", ErrTimeout, true},
		{"the chosen one dies after it has answered", func(p *play) { p.answer("a", nil); p.fall("a") },
			"-failover-abort-slave-timeout a", ErrTimeout, true},
		{"the chosen one never answers", func(p *play) { p.pass(p.v.opts.FailoverTimeout) },
			"-failover-abort-slave-timeout a", ErrTimeout, true},
		{"the chosen one says that it has, and has not", func(p *play) { p.answer("a", nil); p.pass(p.v.opts.FailoverTimeout) },
			"-failover-abort-slave-timeout a", ErrTimeout, true},
		{"all refuse, one after the other", func(p *play) {
			p.answer("a", refused)
			p.hear()
			p.answer("b", refused)
			p.pass(p.v.opts.DownAfter)
		}, "-failover-abort-no-good-slave m", ErrNoGoodSlave, true},
		{"somebody else is quicker", func(p *play) {
			p.v.crown(Reign{Epoch: backlog.Epoch{Counter: 8, Node: idOf("b")}, ID: idOf("b"), Name: "b"})
			p.hear()
		}, "", ErrSuperseded, false},
		{"another of the same epoch, of a failover on demand elsewhere", func(p *play) {
			p.v.crown(Reign{Epoch: backlog.Epoch{Counter: 7, Node: idOf("b")}, ID: idOf("b"), Name: "b"})
			p.hear()
		}, "", ErrSuperseded, false},
		{"the group is reset", func(p *play) { p.take(p.f.cancel()) }, "", ErrAborted, false},
	} {
		t.Run(c.what, func(t *testing.T) {
			p := rehearse(t, "a", "b")
			p.take(p.f.begin(p.now, p.v, 7))
			p.take(p.f.step(p.now, p.v))
			p.under("a promote")
			p.log = nil
			c.play(p)
			p.end(c.err, c.retire)
			last := ""
			if n := len(p.log); n > 0 {
				last = p.log[n-1]
			}
			if c.event != "" && last != c.event {
				t.Errorf("told %q, want %s at the end", p.log, c.event)
			}
			if !p.out.done || p.f.leads() {
				t.Error("who waits for it is not told")
			}
			p.hear()
			if p.log = nil; len(p.f.step(p.now.Add(time.Hour), p.v).orders) > 0 {
				t.Error("it goes on")
			}
		})
	}
}

func TestFailoverFindsNobody(t *testing.T) {
	p := rehearse(t, "a")
	p.node("a").report.Priority = 0
	p.take(p.f.begin(p.now, p.v, 7))
	p.pass(p.v.opts.DownAfter - 1)
	p.script("+elected-leader m", "+failover-state-select-slave m")
	p.pass(1)
	p.script("-failover-abort-no-good-slave m")
	p.end(ErrNoGoodSlave, true)
	if !strings.Contains(p.out.err.Error(), "a: has priority 0; m: is down") {
		t.Error(p.out.err)
	}
}

func TestMasterIsBackBeforeThePromotion(t *testing.T) {
	p := rehearse(t, "a")
	p.node("a").sentAt = start.Add(-1)
	p.take(p.f.begin(p.now, p.v, 7))
	m := p.node("m")
	m.linked, m.downSince, m.sentAt = true, time.Time{}, start.Add(-1)
	p.take(p.f.step(p.now, p.v))
	p.script("+elected-leader m", "+failover-state-select-slave m") // that was an old answer
	p.hear()
	p.script("-failover-abort-master-is-back m")
	p.under("m promote") // or those who have voted would lease to it no more
	p.do("m")
	p.script()
	p.end(ErrMasterBack, false)

	p = rehearse(t, "a") // and after it: too late
	p.take(p.f.begin(p.now, p.v, 7))
	p.hear()
	m = p.node("m")
	m.linked, m.downSince = true, time.Time{}
	p.hear()
	p.do("a")
	p.under("m follow")
	if p.v.reign.ID != idOf("a") {
		t.Errorf("reign %+v", p.v.reign)
	}
}

// What a node may have done it is told again: it does it once.
func TestPromotionIsOrderedAgain(t *testing.T) {
	for _, err := range []error{
		repl.ErrTimeout,
		&repl.RefusedError{Err: repl.ErrBusy},
		&repl.RefusedError{Err: context.DeadlineExceeded},
	} {
		p := rehearse(t, "a", "b")
		p.take(p.f.begin(p.now, p.v, 7))
		p.hear()
		p.node("a").linked = false
		p.answer("a", err)
		p.pass(500 * time.Millisecond)
		p.under() // it is not linked
		p.node("a").linked = true
		p.take(p.f.step(p.now, p.v))
		p.under() // and has not said anything
		p.pass(time.Millisecond)
		p.under("a promote")
		p.do("a")
		if p.v.reign.ID != idOf("a") {
			t.Errorf("%v: reign %+v", err, p.v.reign)
		}
	}
}

// One that cannot be promoted is passed over at once, in the same epoch: it has done nothing.
func TestNextOneAfterARefusal(t *testing.T) {
	p := rehearse(t, "a", "b")
	p.take(p.f.begin(p.now, p.v, 7))
	p.hear()
	p.answer("a", refused)
	p.hear()
	p.under("b promote")
	p.do("b")
	p.under("a follow")
	if p.v.reign.ID != idOf("b") {
		t.Errorf("reign %+v", p.v.reign)
	}
}

// The view does not take a node for the master that does not know with what the reign began;
// but when it is the only one left it was promoted for want of a better one.
func TestPromotionOfOneThatFellBehind(t *testing.T) {
	p := rehearse(t, "a", "b")
	p.v.reign.History = backlog.History{9}
	b := p.node("b")
	b.report.Lineage, b.report.Priority = b.report.Lineage.Fork(backlog.History{9}, 500), 0
	p.take(p.f.begin(p.now, p.v, 7))
	p.hear()
	p.do("a")
	if r := p.v.reign; r.ID != idOf("a") || r.History != (backlog.History{'a'}) || r.Epoch.Counter != 7 {
		t.Errorf("reign %+v", r)
	}
}

// After the promotion there is no way back.
func TestReconfEndsSomehow(t *testing.T) {
	for _, c := range []struct {
		what string
		play func(p *play) // when b and c are to follow a, and b was told
		want []string
	}{
		{"all do", func(p *play) { p.do("b"); p.stream("b"); p.do("c"); p.stream("c") },
			[]string{"+slave-reconf-inprog b", "+slave-reconf-done b", "+slave-reconf-sent c", "+slave-reconf-inprog c", "+slave-reconf-done c", "+failover-end a"}},
		{"one is dead", func(p *play) { p.fall("c"); p.do("b"); p.stream("b") },
			[]string{"+slave-reconf-inprog b", "+slave-reconf-done b", "+failover-end a"}},
		{"one dies when it was told", func(p *play) { p.fall("b"); p.do("c"); p.stream("c") },
			[]string{"+slave-reconf-sent c", "+slave-reconf-inprog c", "+slave-reconf-done c", "+failover-end a"}},
		{"one does not do it", func(p *play) { p.answer("b", nil); p.pass(reconfTimeout); p.do("c"); p.stream("c") },
			[]string{"-slave-reconf-sent-timeout b", "+slave-reconf-sent c", "+slave-reconf-inprog c", "+slave-reconf-done c", "+failover-end a"}},
		{"one takes a copy that does not last for ever", func(p *play) { p.do("b"); p.pass(2 * reconfTimeout); p.stream("b"); p.do("c"); p.stream("c") },
			[]string{"+slave-reconf-inprog b", "+slave-reconf-done b", "+slave-reconf-sent c", "+slave-reconf-inprog c", "+slave-reconf-done c", "+failover-end a"}},
		{"one knows better", func(p *play) {
			p.answer("b", &repl.RefusedError{Err: repl.ErrLowerEpoch})
			p.hear()
			p.do("c")
			p.stream("c")
		},
			[]string{"+slave-reconf-sent c", "+slave-reconf-inprog c", "+slave-reconf-done c", "+failover-end a"}},
		{"one is busy at first", func(p *play) {
			p.answer("b", &repl.RefusedError{Err: repl.ErrBusy})
			p.pass(time.Second)
			p.do("b")
			p.stream("b")
			p.do("c")
			p.stream("c")
		}, []string{"+slave-reconf-inprog b", "+slave-reconf-done b", "+slave-reconf-sent c", "+slave-reconf-inprog c", "+slave-reconf-done c", "+failover-end a"}},
		{"time is over", func(p *play) { p.do("b"); p.pass(p.v.opts.FailoverTimeout); p.under("c follow") },
			[]string{"+slave-reconf-inprog b", "+slave-reconf-sent-be c", "+failover-end-for-timeout a"}},
		{"the new master dies", func(p *play) { p.fall("a") }, []string{"+failover-end-for-timeout a"}},
		{"it is replaced", func(p *play) {
			p.v.crown(Reign{Epoch: backlog.Epoch{Counter: 8, Node: idOf("c")}, ID: idOf("c"), Name: "c"})
			p.hear()
		}, []string{"+switch-master a", "+failover-end-for-timeout c"}},
	} {
		t.Run(c.what, func(t *testing.T) {
			p := rehearse(t, "a", "b", "c")
			p.v.opts.FailoverTimeout = 5 * time.Second
			if strings.Contains(c.what, "does not") { // it is waited for longer
				p.v.opts.FailoverTimeout = time.Minute
			}
			p.take(p.f.begin(p.now, p.v, 7))
			p.hear()
			p.do("a")
			p.under("b follow")
			p.log = nil
			c.play(p)
			p.script(c.want...)
			p.end(nil, false)
		})
	}
}

// A chain below a replica stays as it is; those of the old master are told.
func TestChainsAreLeftAlone(t *testing.T) {
	p := rehearse(t, "a", "b", "c", "d", "e")
	p.v.opts.ParallelSyncs = 9
	follows := func(name, up string) {
		p.node(name).report.Upstream = repl.UpstreamReport{ID: idOf(up), Addr: up + ":1", State: repl.LinkStreaming}
	}
	follows("c", "b") // b follows m
	follows("d", "c")
	follows("e", "a") // who is promoted
	p.take(p.f.begin(p.now, p.v, 7))
	p.hear()
	p.do("a")
	p.under("b follow")
	p.fall("b")
	p.under("b follow", "c follow") // c's way is broken; d will get all through it
	p.do("c")
	p.stream("c")
	p.script("+elected-leader m", "+failover-state-select-slave m", "+selected-slave a", "+failover-state-send-slaveof-noone a",
		"+failover-state-wait-promotion a", "+switch-master m", "+promoted-slave a", "+failover-state-reconf-slaves a",
		"+slave-reconf-sent b", "+slave-reconf-sent c", "+slave-reconf-inprog c", "+slave-reconf-done c", "+failover-end a")
}

func TestParallelSyncsBoundsTurns(t *testing.T) {
	names := []string{"a"}
	for i := range 20 {
		names = append(names, fmt.Sprintf("b%02d", i))
	}
	p := rehearse(t, names...)
	p.v.opts.ParallelSyncs = 3
	p.take(p.f.begin(p.now, p.v, 7))
	p.hear()
	p.do("a")
	for told := 0; p.f.phase != phaseNone; {
		if len(p.orders) == 0 || len(p.orders) > 3 {
			t.Fatalf("%d at a time, after %d", len(p.orders), told)
		}
		name := p.v.nodes[p.orders[0].to].name
		p.do(name)
		p.stream(name)
		if told++; told > 20 {
			t.Fatal("some were told twice")
		}
	}
	p.end(nil, false)
}
