package main

import (
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/emberkv/ember/repl"
)

// A narrator writes what happens to links into the log. A link that fails again and
// again for the same reason, as one to a dead master does many times a second, gets one
// line for that.
type narrator struct {
	log *slog.Logger
	mu  struct {
		sync.Mutex
		told   map[repl.Peer]outage // by peer, why its link last failed; at most maxTold
		rivals map[repl.Peer]rivals // by peer, whose place was taken; at most maxTold
	}
}

// An outage is why a link has failed, as it was told.
type outage struct {
	why      string
	since    time.Time
	remedied bool // and what to do was told when it had lasted
}

const maxTold = 256

// ringPause is for how long a ring is nobody's mistake: sentinels that have a master step down make one for a
// moment, as it follows who is about to take its place.
const ringPause = time.Second

// events returns the functions that tell of a node's links.
func events(log *slog.Logger) repl.Events {
	n := &narrator{log: log}
	n.mu.told, n.mu.rivals = make(map[repl.Peer]outage), make(map[repl.Peer]rivals)
	return repl.Events{
		Role:         n.role,
		Gate:         n.gate,
		PartialSync:  n.partialSync,
		FullSync:     n.fullSync,
		Synced:       n.synced,
		CaughtUp:     n.caughtUp,
		Disconnected: n.disconnected,
		Refused:      n.refused,
	}
}

// who returns how a peer is shown.
func who(p repl.Peer) slog.Attr {
	as := "replica"
	if p.Upstream {
		as = "upstream"
	}
	if p.Name == "" { // nobody has answered
		return slog.Group(as, "addr", p.Addr)
	}
	return slog.Group(as, "name", p.Name, "addr", p.Addr)
}

// remedy returns what somebody has to do about err, which will not pass by itself, or "".
func remedy(err error) string {
	switch {
	case errors.Is(err, repl.ErrEmptyMaster):
		return "promote a node that has the data; or follow with allow=empty, and lose them here"
	case errors.Is(err, repl.ErrForeign):
		return "promote a node whose data are to stay; or follow with allow=foreign, and lose those here"
	case errors.Is(err, repl.ErrCycle):
		return "if this -dir is a copy of another node's, stop this node, remove the folder node from it, and start it again; else promote one of the ring, or let it follow another"
	case errors.Is(err, repl.ErrReplaced):
		return "another node has this one's id: stop the one whose -dir is a copy, remove the folder node from that, and start it again"
	}
	return ""
}

func (n *narrator) role(c repl.RoleChange) {
	n.news(repl.Peer{Upstream: true}, "") // another one can fail for the same reason
	if c.Err != nil {
		n.log.Warn("this node takes no more writes", "err", c.Err, "of", c.Upstream, "at", c.Position,
			"remedy", "promote this node, or let it follow the one that is the master")
	} else if c.Role == repl.RoleMaster {
		n.log.Info("this node is a master", "at", c.Position)
	} else {
		n.log.Info("this node is a replica", "of", c.Upstream, "at", c.Position)
	}
}

// gate tells of replicas, or a lease, that a write lacks. What a change of role refuses, role tells.
func (n *narrator) gate(c repl.GateChange) {
	switch {
	case errors.Is(c.Err, repl.ErrNotEnoughReplicas), errors.Is(c.Err, repl.ErrNoLease):
		n.log.Warn("writes are refused", "err", c.Err, "near", c.Near, "at", c.Position)
	case c.Err == nil && (errors.Is(c.Was, repl.ErrNotEnoughReplicas) || errors.Is(c.Was, repl.ErrNoLease)):
		n.log.Info("writes are let in", "near", c.Near, "at", c.Position, "refused", c.Refused)
	}
}

func (n *narrator) partialSync(s repl.PartialSync) {
	if n.fights(s.Peer) {
		return
	}
	n.log.Info("partial resync", who(s.Peer), "from", s.From, "bytes", s.Bytes)
}

func (n *narrator) fullSync(s repl.FullSync) {
	n.log.Info("full copy begins", who(s.Peer), "because", s.Reason, "keys", s.Keys, "bytes", s.Bytes)
}

func (n *narrator) synced(s repl.Synced) {
	n.log.Info("full copy is complete", who(s.Peer), "at", s.Position, "keys", s.Keys, "took", s.Took)
}

func (n *narrator) caughtUp(c repl.CaughtUp) {
	n.news(c.Peer, "") // whatever comes next is another failure
	if n.fights(c.Peer) {
		return
	}
	n.log.Info("caught up", who(c.Peer), "at", c.Position, "took", c.Took)
}

func (n *narrator) disconnected(p repl.Peer, err error) {
	if errors.Is(err, repl.ErrClosed) { // by this node itself
		return
	}
	if errors.Is(err, repl.ErrReplaced) {
		if n.rival(p); n.fights(p) {
			return
		}
	}
	why, ring := cause(err), errors.Is(err, repl.ErrCycle)
	news := n.news(p, why)
	todo := remedy(err)
	switch {
	case p.Upstream && todo != "" && (news && !ring || ring && n.lasts(p, why)):
		n.log.Warn("link is down", who(p), "err", err, "remedy", todo)
	case news && errors.Is(err, repl.ErrReplaced):
		n.log.Info("link is down", who(p), "err", err,
			"hint", "it has come back; or another node has its id: a copy of a -dir must not have the folder node")
	case news:
		n.log.Info("link is down", who(p), "err", err)
	}
}

func (n *narrator) refused(p repl.Peer, err error) {
	why := cause(err)
	if errors.Is(err, repl.ErrProtocol) {
		why = repl.ErrProtocol.Error() // the rest is the stranger's words, new ones each time
	}
	if n.news(repl.Peer{}, why) {
		n.log.Info("somebody was refused", who(p), "err", err)
	}
}

// news reports whether text is not what was last told of p.
func (n *narrator) news(p repl.Peer, text string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	p = told(p)
	if last, ok := n.mu.told[p]; ok && last.why == text {
		return false
	}
	if len(n.mu.told) >= maxTold {
		clear(n.mu.told)
	}
	n.mu.told[p] = outage{why: text, since: time.Now()}
	return true
}

// lasts reports, once, that what was last told of p has lasted for ringPause.
func (n *narrator) lasts(p repl.Peer, text string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	p = told(p)
	last := n.mu.told[p]
	if last.why != text || last.remedied || time.Since(last.since) < ringPause {
		return false
	}
	last.remedied = true
	n.mu.told[p] = last
	return true
}

// told returns by what a peer is remembered.
func told(p repl.Peer) repl.Peer {
	if p.Upstream {
		return repl.Peer{Upstream: true} // there is one, whether or not it has said who it is
	}
	return repl.Peer{Name: p.Name}
}

// cause returns the reason in err without the addresses around it, of which one is
// another each time.
func cause(err error) string {
	if link := (*repl.LinkError)(nil); errors.As(err, &link) {
		err = link.Err
	}
	return err.Error()
}
