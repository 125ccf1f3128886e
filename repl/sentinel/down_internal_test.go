package sentinel

import (
	"testing"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/repl"
)

// epochOf returns an epoch that node id began.
func epochOf(counter uint64, id byte) backlog.Epoch {
	return backlog.Epoch{Counter: counter, Node: repl.NodeID{id}}
}

// reportOf returns the report of a node that stands in a history, which began in an epoch, after others.
func reportOf(id byte, role repl.Role, epoch backlog.Epoch, history byte, earlier ...byte) *repl.Report {
	r := &repl.Report{ID: repl.NodeID{id}, Name: string('a' + rune(id) - 1), Role: role, Priority: 100, Ready: true, HasData: true, Supervised: true, Heard: epoch}
	r.Lineage = backlog.Lineage{Current: backlog.History{history}, Epoch: epoch}
	for _, h := range earlier {
		r.Lineage.Earlier = append(r.Lineage.Earlier, backlog.Fork{History: backlog.History{h}})
	}
	r.Position.History = r.Lineage.Current
	return r
}

// watched returns a view in which the nodes of these reports are linked and were heard at now.
// The first master is the reign's.
func watched(now time.Time, reports ...*repl.Report) *view {
	v := newView(repl.NodeID{99}, &Options{Quorum: 2, DownAfter: time.Second, ForgetAfter: time.Hour})
	for _, r := range reports {
		v.add(r.ID, now).linked = true
		v.heard(r, r.Name, now, now)
		v.nodes[r.ID].silentSince = time.Time{}
	}
	return v
}

func (v *view) saw(k EventKind) (n int) {
	for _, e := range v.told {
		if e.Kind == k {
			n++
		}
	}
	return n
}

func TestSubjectivelyDown(t *testing.T) {
	now := time.Now()
	master := reportOf(1, repl.RoleMaster, epochOf(1, 1), 1)
	replica := reportOf(2, repl.RoleReplica, epochOf(1, 1), 1)
	empty := reportOf(1, repl.RoleMaster, epochOf(1, 1), 9)
	demoted := reportOf(1, repl.RoleReplica, epochOf(1, 1), 1)
	for _, c := range []struct {
		name   string
		change func(v *view, m *node)
		after  time.Duration
		down   bool
	}{
		{"heard", func(*view, *node) {}, time.Hour, false},
		{"owes an answer", func(_ *view, m *node) { m.silentSince = now }, time.Second - 1, false},
		{"for too long", func(_ *view, m *node) { m.silentSince = now }, time.Second, true},
		{"is empty", func(v *view, _ *node) { v.heard(empty, "a", now, now) }, 0, true},
		{"is empty, and nobody has more that can be heard", func(v *view, _ *node) {
			v.heard(empty, "a", now, now)
			v.nodes[repl.NodeID{2}].downSince, v.nodes[repl.NodeID{2}].silentSince = now, now.Add(-time.Hour)
		}, 0, false},
		{"is empty, and nobody has more", func(v *view, _ *node) {
			v.heard(empty, "a", now, now)
			v.heard(reportOf(2, repl.RoleReplica, epochOf(1, 1), 9), "b", now, now)
		}, 0, true},
		{"says that it is a replica", func(v *view, _ *node) { v.heard(demoted, "a", now, now); v.compare(now) }, time.Second - 1, false},
		{"for too long", func(v *view, _ *node) { v.heard(demoted, "a", now, now); v.compare(now) }, time.Second, true},
	} {
		v := watched(now, master, replica)
		v.told = nil
		m := v.master()
		c.change(v, m)
		next := v.judge(now.Add(c.after))
		if m.down() != c.down || v.saw(EventSDown) > 0 != c.down {
			t.Errorf("%s, after %v: down is %v, want %v", c.name, c.after, m.down(), c.down)
		}
		if !c.down && c.after == time.Second-1 && !next.Equal(now.Add(time.Second)) {
			t.Errorf("%s: wants to look again %v after, want 1s", c.name, next.Sub(now))
		}
	}
}

func TestObjectivelyDown(t *testing.T) {
	now := time.Now()
	say := func(v *view, id byte, down bool, epoch backlog.Epoch, at time.Time) {
		v.foundPeer(repl.NodeID{id}, "", string(rune(id)), now)
		v.heardPeer(repl.NodeID{id}, &state{Down: down, Reign: Reign{Epoch: epoch}}, at)
	}
	one := epochOf(1, 1)
	for _, c := range []struct {
		name string
		say  func(v *view)
		down bool
	}{
		{"alone", func(*view) {}, false},
		{"with another", func(v *view) { say(v, 10, true, one, now) }, true},
		{"with one who hears it", func(v *view) { say(v, 10, false, one, now) }, false},
		{"with one who speaks of another master", func(v *view) { say(v, 10, true, epochOf(0, 0), now) }, false},
		{"with one who said so before", func(v *view) { say(v, 10, true, one, now.Add(-2*time.Second)) }, false},
		{"with one who said so not so long before", func(v *view) { say(v, 10, true, one, now.Add(-2*time.Second+1)) }, true},
	} {
		v := watched(now, reportOf(1, repl.RoleMaster, one, 1))
		v.master().silentSince = now.Add(-time.Hour)
		c.say(v)
		next := v.judge(now)
		if is := !v.downSince.IsZero(); is != c.down || v.saw(EventODown) > 0 != c.down {
			t.Errorf("%s: objectively down is %v, want %v", c.name, is, c.down)
		}
		if c.down {
			if next.IsZero() || next.After(now.Add(2*time.Second)) {
				t.Errorf("%s: does not look again when the opinion is old", c.name)
			}
			v.judge(now.Add(2*time.Second + 1))
			if !v.downSince.IsZero() || v.saw(EventODownEnd) != 1 {
				t.Errorf("%s: still objectively down when the opinion is old", c.name)
			}
		}
	}
}
