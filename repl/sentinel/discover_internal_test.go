package sentinel

import (
	"fmt"
	"testing"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/repl"
)

// Which master begins a reign, after one of epoch 2 in history 2, which came of 1.
func TestWhoReigns(t *testing.T) {
	now := time.Now()
	first := reportOf(1, repl.RoleMaster, epochOf(2, 1), 2, 1)
	for _, c := range []struct {
		name   string
		report *repl.Report
		reigns bool
	}{
		{"a promoted one", reportOf(2, repl.RoleMaster, epochOf(3, 2), 3, 2, 1), true},
		{"a promoted one that is a replica again", reportOf(2, repl.RoleReplica, epochOf(3, 2), 3, 2, 1), false},
		{"the one before", reportOf(2, repl.RoleMaster, epochOf(1, 2), 1), false},
		{"of a lower epoch that knows", reportOf(2, repl.RoleMaster, epochOf(1, 2), 3, 2), false},
		{"of the same counter, higher", reportOf(2, repl.RoleMaster, epochOf(2, 2), 3, 2, 1), true},
		{"a stranger of a higher epoch", reportOf(2, repl.RoleMaster, epochOf(9, 2), 9), false},
		{"one that parted before the reign", reportOf(2, repl.RoleMaster, epochOf(3, 2), 9, 1), false},
	} {
		v := watched(now, first)
		was := v.reign
		v.told = nil
		v.heard(c.report, "b", now, now)
		if reigns := v.reign.ID == c.report.ID; reigns != c.reigns || v.saw(EventSwitchMaster) > 0 != c.reigns {
			t.Errorf("%s: reigns is %v, want %v", c.name, reigns, c.reigns)
		}
		if !c.reigns && v.reign != was {
			t.Errorf("%s: the reign has changed", c.name)
		}
	}
}

// What peers say of the master.
func TestWhoReignsByHearsay(t *testing.T) {
	now := time.Now()
	for _, c := range []struct {
		name   string
		reign  Reign
		reigns bool
	}{
		{"none", Reign{}, false},
		{"an earlier one", Reign{Epoch: epochOf(1, 3), ID: repl.NodeID{3}, Addr: "c"}, false},
		{"one of the same counter", Reign{Epoch: epochOf(2, 3), ID: repl.NodeID{3}, Addr: "c"}, false},
		{"a later one", Reign{Epoch: epochOf(3, 3), ID: repl.NodeID{3}, Addr: "c"}, true},
	} {
		v := watched(now, reportOf(1, repl.RoleMaster, epochOf(2, 1), 2))
		news := v.learn(c.reign, Instance{Type: InstanceSentinel}, now)
		if reigns := v.reign == c.reign && !c.reign.IsZero(); reigns != c.reigns || news != c.reigns {
			t.Errorf("%s: reigns is %v, news %v, want %v", c.name, reigns, news, c.reigns)
		}
		if c.reigns && (v.master() == nil || v.master().addr != "c" || v.epoch != 3) {
			t.Errorf("%s: the new master cannot be reached", c.name)
		}
	}
}

// An address is of one node at a time.
func TestAddresses(t *testing.T) {
	now := time.Now()
	v := watched(now, reportOf(1, repl.RoleMaster, epochOf(1, 1), 1), reportOf(2, repl.RoleReplica, epochOf(1, 1), 1))
	a, b := v.nodes[repl.NodeID{1}], v.nodes[repl.NodeID{2}]

	v.found(repl.NodeID{3}, "new", "b", now)
	if b.addr != "b" || v.nodes[repl.NodeID{3}].addr != "" {
		t.Error("hearsay has taken the address of a node that is linked")
	}
	b.linked = false
	v.found(repl.NodeID{3}, "new", "b", now)
	if b.addr != "" || v.nodes[repl.NodeID{3}].addr != "b" {
		t.Error("a node that is gone has kept its address")
	}
	v.found(repl.NodeID{2}, "", "elsewhere", now)
	if b.addr != "elsewhere" || b.name != "b" {
		t.Errorf("a node that is gone is %q at %q, was found elsewhere", b.name, b.addr)
	}
	v.found(repl.NodeID{1}, "", "wrong", now)
	if a.addr != "a" {
		t.Error("hearsay has moved a node that is linked")
	}
	v.told = nil
	r := *a.report
	r.Announce = "a2"
	v.heard(&r, "a", now, now)
	if v.reign.Addr != "a2" || v.saw(EventSwitchMaster) != 1 {
		t.Errorf("the master has moved to a2, and is said to be at %q", v.reign.Addr)
	}
	v.found(repl.NodeID{4}, "", "", now)
	v.found(repl.NodeID{}, "", "x", now)
	if len(v.nodes) != 3 {
		t.Errorf("%d nodes, want 3", len(v.nodes))
	}
}

// Bounds hold, whatever is told.
func TestViewIsBounded(t *testing.T) {
	now := time.Now()
	v := watched(now, reportOf(1, repl.RoleMaster, epochOf(1, 1), 1))
	for i := range 2 * MaxNodes {
		id := repl.NodeID{byte(i), byte(i >> 8), 1}
		v.found(id, "", id.String(), now)
		v.foundPeer(id, "", id.String(), now)
	}
	if len(v.nodes) != MaxNodes || len(v.peers) != MaxPeers {
		t.Errorf("%d nodes and %d peers, want %d and %d", len(v.nodes), len(v.peers), MaxNodes, MaxPeers)
	}
}

// A replica is right if it follows the master or another replica that is there, whether or not it has a link at
// the moment.
func TestWhoIsWrong(t *testing.T) {
	now := time.Now()
	up := func(r *repl.Report, id byte, addr string, s repl.LinkState) *repl.Report {
		r.Upstream = repl.UpstreamReport{ID: repl.NodeID{id}, Addr: addr, State: s}
		return r
	}
	replica := func(id byte) *repl.Report { return reportOf(id, repl.RoleReplica, epochOf(2, 1), 2, 1) }
	for _, c := range []struct {
		name  string
		b, c  *repl.Report
		wrong bool // c is
	}{
		{"follows the master", up(replica(2), 1, "a", repl.LinkStreaming), up(replica(3), 1, "a", repl.LinkStreaming), false},
		{"copies from it", up(replica(2), 1, "a", repl.LinkStreaming), up(replica(3), 1, "other name", repl.LinkCopying), false},
		{"dials it", up(replica(2), 1, "a", repl.LinkStreaming), up(replica(3), 0, "a", repl.LinkDown), false},
		{"follows one who follows it", up(replica(2), 1, "a", repl.LinkStreaming), up(replica(3), 2, "b", repl.LinkStreaming), false},
		{"dials nobody", up(replica(2), 1, "a", repl.LinkStreaming), replica(3), true},
		{"dials who is not known", up(replica(2), 1, "a", repl.LinkStreaming), up(replica(3), 1, "x", repl.LinkDown), true},
		{"follows one who dials nobody", replica(2), up(replica(3), 2, "b", repl.LinkStreaming), false},
		{"goes around", up(replica(2), 3, "c", repl.LinkStreaming), up(replica(3), 2, "b", repl.LinkStreaming), true},
		{"follows another master", reportOf(2, repl.RoleMaster, epochOf(1, 2), 1), up(replica(3), 2, "b", repl.LinkStreaming), true},
		{"is a master", up(replica(2), 1, "a", repl.LinkStreaming), reportOf(3, repl.RoleMaster, epochOf(1, 3), 1), true},
	} {
		v := watched(now, reportOf(1, repl.RoleMaster, epochOf(2, 1), 2, 1), c.b, c.c)
		if v.reign.ID != (repl.NodeID{1}) {
			t.Fatalf("%s: another reigns", c.name)
		}
		n := v.nodes[repl.NodeID{3}]
		if got := v.wrong(n, v.chains()); got != c.wrong {
			t.Errorf("%s: wrong is %v, want %v", c.name, got, c.wrong)
		}
		next := v.compare(now)
		if c.wrong && (n.wrongSince != now || !next.Equal(now.Add(time.Second))) {
			t.Errorf("%s: is to be corrected %v after, want 1s", c.name, next.Sub(now))
		}
		v.nodes[repl.NodeID{2}].downSince = now
		if got := v.wrong(n, v.chains()); c.name == "follows one who follows it" && !got {
			t.Errorf("%s, who is down: is right", c.name)
		}
	}
}

func TestForget(t *testing.T) {
	now := time.Now()
	v := watched(now, reportOf(1, repl.RoleMaster, epochOf(1, 1), 1), reportOf(2, repl.RoleReplica, epochOf(1, 1), 1))
	for _, n := range v.nodes {
		n.downSince = now
	}
	if next := v.forget(now.Add(time.Hour - 1)); len(v.nodes) != 2 || !next.Equal(now.Add(time.Hour)) {
		t.Errorf("%d nodes after an hour, nearly; the next look is %v after", len(v.nodes), next.Sub(now))
	}
	if v.forget(now.Add(time.Hour)); len(v.nodes) != 1 || v.master() == nil || v.saw(EventForgottenSlave) != 1 {
		t.Errorf("%d nodes after an hour, want the master", len(v.nodes))
	}
}

// What was saved is known again, and everybody counts as silent from the start.
func TestRecall(t *testing.T) {
	now := time.Now()
	m := &memory{
		ballot: ballot{epoch: 7}, reign: Reign{Epoch: epochOf(3, 1), History: backlog.History{1}, ID: repl.NodeID{1}, Addr: "a"},
		nodes: []contact{{repl.NodeID{2}, "b"}}, peers: []contact{{repl.NodeID{50}, "s"}},
	}
	v := newView(repl.NodeID{99}, &Options{Quorum: 2, DownAfter: time.Second})
	v.recall(m, now)
	if len(v.nodes) != 2 || len(v.peers) != 1 || v.epoch != 7 || v.reign != m.reign {
		t.Errorf("recalled %d nodes, %d peers, epoch %d, %v", len(v.nodes), len(v.peers), v.epoch, v.reign)
	}
	if v.judge(now.Add(time.Second - 1)); v.master().down() {
		t.Error("the master is down before it could be heard")
	}
	if v.judge(now.Add(time.Second)); !v.master().down() {
		t.Error("the master is not down, and was never heard")
	}
}

// A node that cannot be reached may be said to be at several addresses, as those who follow it
// call it by names of their own: it is looked for at all of them, and clients are not sent to and fro.
func TestManyNamesOfOne(t *testing.T) {
	now := time.Now()
	v := watched(now, reportOf(1, repl.RoleMaster, epochOf(1, 1), 1))
	v.nodes[repl.NodeID{1}].linked = false
	v.told, v.version = nil, 0
	for range 50 {
		for id, addr := range map[byte]string{2: "a.example:1", 3: "10.0.0.1:1"} {
			r := reportOf(id, repl.RoleReplica, epochOf(1, 1), 1)
			r.Upstream = repl.UpstreamReport{ID: repl.NodeID{1}, Addr: addr, State: repl.LinkStreaming}
			v.heard(r, r.Name, now, now)
			v.nodes[r.ID].linked = true
		}
	}
	if n := v.saw(EventSwitchMaster); n > 2 || v.version > 10 {
		t.Errorf("the master has moved %d times, and %d states were saved", n, v.version)
	}
	v.foundPeer(repl.NodeID{50}, "s", "s", now)
	v.told, v.version = nil, 0
	for range 50 {
		v.foundPeer(repl.NodeID{50}, "", "127.0.0.1:9", now)
		v.foundPeer(repl.NodeID{50}, "", "10.0.0.2:9", now)
	}
	if n := v.saw(EventSentinelAddressSwitch); n > 2 || v.version > 10 {
		t.Errorf("the sentinel has moved %d times, and %d states were saved", n, v.version)
	}
	if p := v.meet(repl.NodeID{50}, "s", "127.0.0.1:9", now); p.addr != "127.0.0.1:9" {
		t.Errorf("the sentinel was met at 127.0.0.1:9, and is said to be at %s", p.addr)
	}
}

// A sentinel that was never reached counts for as long as others tell of it, and ForgetAfter more; one
// that has answered counts for ever, and is remembered.
func TestForgetStrangers(t *testing.T) {
	now := time.Now()
	v := watched(now, reportOf(1, repl.RoleMaster, epochOf(1, 1), 1))
	v.foundPeer(repl.NodeID{50}, "", "s", now)
	v.meet(repl.NodeID{50}, "s", "s", now)
	for i := range 5 {
		v.foundPeer(repl.NodeID{60, byte(i)}, "", fmt.Sprint("nowhere", i), now)
	}
	if v.sentinels() != 7 {
		t.Fatalf("%d sentinels", v.sentinels())
	}
	now = now.Add(30 * time.Minute)
	v.foundPeer(repl.NodeID{60}, "", "nowhere0", now)
	v.judge(now)
	if next := v.forgetPeers(now); v.sentinels() != 7 || !next.Equal(now.Add(30*time.Minute)) {
		t.Errorf("%d sentinels after half an hour; the next look is %v after", v.sentinels(), next.Sub(now))
	}
	now = now.Add(30 * time.Minute)
	if next := v.forgetPeers(now); v.sentinels() != 3 || !next.Equal(now.Add(30*time.Minute)) {
		t.Errorf("%d sentinels after an hour, want those of whom was told; the next look is %v after", v.sentinels(), next.Sub(now))
	}
	now = now.Add(1000 * time.Hour)
	if next := v.forgetPeers(now); v.sentinels() != 2 || v.peers[repl.NodeID{50}] == nil || !next.IsZero() {
		t.Errorf("%d sentinels in the end, want those who have answered", v.sentinels())
	}
}

// Another sentinel at the address of one replaces it, but not if that has only moved.
func TestMeetAnother(t *testing.T) {
	for _, moves := range []bool{false, true} {
		now := time.Now()
		v := watched(now, reportOf(1, repl.RoleMaster, epochOf(1, 1), 1))
		one, other := repl.NodeID{50}, repl.NodeID{51}
		v.meet(one, "one", "s", now).silentSince = now // it does not answer there any more
		v.meet(other, "other", "s", now)
		if v.sentinels() != 3 || v.peers[other].addr != "s" || v.peers[one].addr != "" || v.saw(EventSentinelInvalidAddr) != 1 {
			t.Fatalf("another was met: %d sentinels, %+v, %+v", v.sentinels(), v.peers[one], v.peers[other])
		}
		v.foundPeer(one, "", "s", now) // from one who does not know yet
		if moves {
			v.foundPeer(one, "", "elsewhere", now)
		}
		v.judge(now.Add(v.opts.DownAfter - 1))
		if v.forgetPeers(now.Add(v.opts.DownAfter - 1)); v.sentinels() != 3 {
			t.Errorf("it was forgotten before it could be found elsewhere")
		}
		v.judge(now.Add(v.opts.DownAfter))
		v.forgetPeers(now.Add(v.opts.DownAfter))
		if p := v.peers[one]; moves != (p != nil) || moves && p.addr != "elsewhere" {
			t.Errorf("moved %v: %+v", moves, p)
		}
	}
}

// A master that was never reached is presumed to be there, and not to be gone, while a replica streams from it.
func TestPresume(t *testing.T) {
	now := time.Now()
	r := reportOf(2, repl.RoleReplica, epochOf(3, 1), 1)
	r.Ready = true
	r.Upstream = repl.UpstreamReport{ID: repl.NodeID{1}, Addr: "one", State: repl.LinkStreaming}
	v := newView(repl.NodeID{99}, &Options{Quorum: 2, DownAfter: time.Second, ForgetAfter: time.Hour})
	v.heard(r, "two", now, now)
	v.nodes[r.ID].linked = true
	now = now.Add(time.Minute)
	if next := v.presume(now); !v.reign.IsZero() || !next.IsZero() {
		t.Fatalf("a master from which a replica streams is presumed gone: %+v", v.reign)
	}
	lost := *r
	lost.Upstream.State = repl.LinkDown
	v.heard(&lost, "two", now, now)
	if v.presume(now); v.reign.ID != (repl.NodeID{1}) || v.reign.Epoch != epochOf(3, 1) {
		t.Errorf("presumed %+v", v.reign)
	}
}

// A sentinel that moves to the address of another replaces nobody: the other may have moved, too, and
// counts for the majority, also after a restart, until it is found.
func TestSentinelsThatMoveCount(t *testing.T) {
	now := time.Now()
	v := watched(now, reportOf(1, repl.RoleMaster, epochOf(1, 1), 1))
	one, other := repl.NodeID{50}, repl.NodeID{51}
	v.meet(one, "one", "s", now).silentSince = now
	v.meet(other, "other", "r", now).silentSince = now
	now = now.Add(time.Minute)
	v.judge(now) // both are away for long
	v.meet(other, "other", "s", now)
	v.forgetPeers(now)
	if p := v.peers[one]; p == nil || p.addr != "" || v.sentinels() != 3 || v.majority() != 2 {
		t.Fatalf("one has moved to the address of the other: %d sentinels, %+v", v.sentinels(), p)
	}

	s := &Sentinel{opts: &Options{DownAfter: time.Second, Monitor: []string{"a"}, Store: new(MemoryStore)}}
	s.opts, _ = s.opts.normalize()
	d := newDesk(s, &memory{id: v.self}, now)
	defer d.cancel()
	d.view.peers = v.peers
	if !d.save(now) {
		t.Fatal("not saved")
	}
	m, err := recall(s.opts.Store, "", v.self)
	if err != nil {
		t.Fatal(err)
	}
	again := newDesk(s, m, now)
	defer again.cancel()
	v = again.view
	if p := v.peers[one]; p == nil || !p.met || p.addr != "" || v.sentinels() != 3 {
		t.Fatalf("after a restart: %d sentinels, %+v", v.sentinels(), p)
	}
	now = now.Add(time.Hour)
	v.judge(now)
	v.forgetPeers(now)
	if v.foundPeer(one, "", "elsewhere", now); v.sentinels() != 3 || v.peers[one].addr != "elsewhere" {
		t.Errorf("it is found: %d sentinels, %+v", v.sentinels(), v.peers[one])
	}
}
