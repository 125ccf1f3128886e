package main

import (
	"errors"
	"log/slog"
	"sync"

	"github.com/emberkv/ember/repl"
)

// A narrator writes what happens to links into the log. A link that fails again and
// again for the same reason, as one to a dead master does many times a second, gets one
// line for that.
type narrator struct {
	log *slog.Logger
	mu  struct {
		sync.Mutex
		told map[repl.Peer]string // by peer, why its link last failed; at most maxTold
	}
}

const maxTold = 256

// events returns the functions that tell of a node's links.
func events(log *slog.Logger) repl.Events {
	n := &narrator{log: log}
	n.mu.told = make(map[repl.Peer]string)
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
		return "promote one of the ring, or let it follow another"
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
	n.log.Info("caught up", who(c.Peer), "at", c.Position, "took", c.Took)
}

func (n *narrator) disconnected(p repl.Peer, err error) {
	ended := errors.Is(err, repl.ErrClosed) // by this node itself
	if ended || !n.news(p, cause(err)) {
		return
	}
	if todo := remedy(err); p.Upstream && todo != "" {
		n.log.Warn("link is down", who(p), "err", err, "remedy", todo)
	} else {
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
	if p.Upstream {
		p = repl.Peer{Upstream: true} // there is one, whether or not it has said who it is
	} else {
		p = repl.Peer{Name: p.Name}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if told, ok := n.mu.told[p]; ok && told == text {
		return false
	}
	if len(n.mu.told) >= maxTold {
		clear(n.mu.told)
	}
	n.mu.told[p] = text
	return true
}

// cause returns the reason in err without the addresses around it, of which one is
// another each time.
func cause(err error) string {
	if link := (*repl.LinkError)(nil); errors.As(err, &link) {
		err = link.Err
	}
	return err.Error()
}
