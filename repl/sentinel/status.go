package sentinel

import (
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/repl"
)

// A Status is what a sentinel knows at one moment. It marshals to JSON: durations are whole
// nanoseconds and say so in their names, times are RFC 3339.
type Status struct {
	Time     time.Time   `json:"time"` // when it was taken, by this sentinel's clock
	ID       repl.NodeID `json:"id"`
	Name     string      `json:"name"`
	Group    string      `json:"group,omitempty"`
	Announce string      `json:"announce"` // where peers are told to reach it; empty for nowhere

	Quorum    int           `json:"quorum"`
	Majority  int           `json:"majority"` // of all sentinels that are known
	DownAfter time.Duration `json:"down_after_ns"`

	Epoch    uint64      `json:"epoch"`    // the highest counter that it has heard of
	VotedIn  uint64      `json:"voted_in"` // the newest epoch in which it has voted; 0 for none
	VotedFor repl.NodeID `json:"voted_for"`

	Master   Reign  `json:"master"`            // zero before the first was found
	Missing  string `json:"missing,omitempty"` // why no master was found yet; empty when one is known
	ODown    bool   `json:"odown"`             // it is objectively down
	Failover string `json:"failover"`          // the phase of the one that this sentinel leads: none, select-slave, step-down, catch-up, promote or reconf-slaves

	Granted   repl.NodeID   `json:"granted"`       // the node that it last granted a lease, and that
	GrantEnds time.Duration `json:"grant_ends_ns"` // how long that still binds; 0 if it does not

	Nodes     []NodeStatus   `json:"nodes"`     // by id, including the master
	Sentinels []PeerStatus   `json:"sentinels"` // the others, by id
	Scripts   []ScriptStatus `json:"scripts"`
}

// A NodeStatus is what a sentinel knows of a node. What the node has said of itself is as old
// as Heard says.
type NodeStatus struct {
	ID     repl.NodeID   `json:"id"`
	Name   string        `json:"name"`
	Addr   string        `json:"addr"` // empty while another node is found at its last address
	Linked bool          `json:"linked"`
	SDown  bool          `json:"sdown"`     // it is subjectively down
	Wrong  bool          `json:"wrong"`     // it has another role or upstream than it should
	Silent time.Duration `json:"silent_ns"` // how long it has owed an answer; 0 when it owes none
	Heard  time.Duration `json:"heard_ns"`  // since its newest report; -1 for none, and then all that follows is zero

	Role      repl.Role        `json:"role"`
	Priority  int              `json:"priority"`
	Position  backlog.Position `json:"position"`
	Epoch     backlog.Epoch    `json:"epoch"`    // of its log
	Upstream  string           `json:"upstream"` // address that it follows
	Link      repl.LinkState   `json:"link"`     // to that
	Followers int              `json:"followers"`
	Lease     repl.LeaseReport `json:"lease"`

	Supervised bool `json:"supervised"` // it takes orders: one that does not is never promoted
}

// A PeerStatus is what a sentinel knows of another one.
type PeerStatus struct {
	ID     repl.NodeID   `json:"id"`
	Name   string        `json:"name"`
	Addr   string        `json:"addr"`
	Linked bool          `json:"linked"`
	SDown  bool          `json:"sdown"`
	Heard  time.Duration `json:"heard_ns"` // since it last told its state, -1 for never

	Epoch  uint64 `json:"epoch"`  // what it has said: the highest counter that it has heard of,
	Master Reign  `json:"master"` // whom it takes for the master,
	Down   bool   `json:"down"`   // and whether it finds that down
	Knows  int    `json:"knows"`  // how many sentinels it knows, itself included
}

// Status returns what the sentinel knows now, or, after Close, what it last knew.
func (s *Sentinel) Status() Status {
	var now Status
	if s.desk.ask(func(t time.Time) { now = s.desk.status(t) }) {
		now.Scripts = s.scripts.status()
		return now
	}
	<-s.ended
	s.mu.Lock()
	defer s.mu.Unlock()
	return *s.mu.status
}

func (d *desk) status(now time.Time) Status {
	v := d.view
	st := Status{
		Time: now.UTC().Round(0), ID: v.self, Name: d.opts.Name, Group: d.opts.Group, Announce: v.addr,
		Quorum: d.opts.Quorum, Majority: v.majority(), DownAfter: d.opts.DownAfter,
		Epoch: d.voter.ballot.epoch, VotedIn: d.voter.ballot.votedIn, VotedFor: d.voter.ballot.votedFor,
		Master: v.reign, Missing: d.missing(), ODown: !v.downSince.IsZero(), Failover: d.fail.phase.String(),
		Granted: d.promise.to, GrantEnds: d.promise.remaining(now),
		Nodes: make([]NodeStatus, 0, len(v.nodes)), Sentinels: make([]PeerStatus, 0, len(v.peers)),
	}
	for _, n := range v.inOrder() {
		st.Nodes = append(st.Nodes, n.status(now))
	}
	for _, id := range v.others() {
		st.Sentinels = append(st.Sentinels, v.peers[id].status(now))
	}
	return st
}

func (n *node) status(now time.Time) NodeStatus {
	s := NodeStatus{
		ID: n.id, Name: n.name, Addr: n.addr, Linked: n.linked,
		SDown: n.down(), Wrong: !n.wrongSince.IsZero(), Heard: -1,
	}
	if !n.silentSince.IsZero() {
		s.Silent = now.Sub(n.silentSince)
	}
	if r := n.report; r != nil {
		s.Heard = now.Sub(n.gotAt)
		s.Role, s.Priority, s.Position, s.Epoch = r.Role, r.Priority, r.Position, r.Lineage.Epoch
		s.Upstream, s.Link, s.Followers, s.Lease = r.Upstream.Addr, r.Upstream.State, len(r.Followers), r.Lease
		s.Supervised = r.Supervised
	}
	return s
}

func (p *peer) status(now time.Time) PeerStatus {
	s := PeerStatus{ID: p.id, Name: p.name, Addr: p.addr, Linked: p.linked, SDown: !p.downSince.IsZero(), Heard: -1}
	if p.state != nil {
		s.Heard = now.Sub(p.gotAt)
		s.Epoch, s.Master, s.Down, s.Knows = p.state.Epoch, p.state.Reign, p.state.Down, p.state.Known
	}
	return s
}

// publish tells the program and those who wait what has become of this turn.
func (d *desk) publish() {
	s := d.s
	s.mu.Lock()
	if reign := d.view.reign; reign != s.mu.reign {
		s.mu.reign = reign
		close(s.mu.changed)
		s.mu.changed = make(chan struct{})
	}
	s.mu.Unlock()
	events := d.view.told
	d.view.told = nil
	for i := range events {
		e := &events[i]
		e.Time = time.Now().UTC().Round(0)
		s.scripts.tell(*e, d.fail.busy() && e.Epoch == d.fail.epoch)
		d.log.Info(e.Kind.String(), "about", e.About.Name, "addr", e.About.Addr, "epoch", e.Epoch, "text", e.Text)
	}
	s.herald.put(events...)
}

// end publishes what there is to know at the end.
func (d *desk) end() {
	if !d.view.reign.IsZero() {
		d.view.tell(EventUnmonitor, d.view.reign.instance(), "")
	}
	d.publish()
	st := d.status(time.Now())
	st.Scripts = d.s.scripts.status()
	d.s.mu.Lock()
	d.s.mu.status = &st
	d.s.mu.Unlock()
}
