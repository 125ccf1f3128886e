package sentinel

import (
	"fmt"
	"time"

	"github.com/emberkv/ember/repl"
)

// minOpinion is for how long a peer's opinion counts at least.
const minOpinion = 2 * time.Second

// judge finds out who is down at now, and returns when it wants to look again; zero if
// nothing of that depends on time.
func (v *view) judge(now time.Time) (next time.Time) {
	for _, n := range v.inOrder() {
		is, at := v.silent(n.silentSince, now)
		if n.id == v.reign.ID && !is {
			var look time.Time
			is, look = v.useless(n, now)
			at = earlier(at, look)
		}
		next = earlier(next, at)
		switch {
		case is && !n.down():
			n.downSince = now
			v.tell(EventSDown, v.instance(n), "")
		case !is && n.down():
			n.downSince = time.Time{}
			v.tell(EventSDownEnd, v.instance(n), "")
		}
	}
	for _, p := range v.peers {
		is, at := v.silent(p.silentSince, now)
		next = earlier(next, at)
		switch {
		case is && p.downSince.IsZero():
			p.downSince = now
			v.tell(EventSDown, p.instance(), "")
		case !is && !p.downSince.IsZero():
			p.downSince = time.Time{}
			v.tell(EventSDownEnd, p.instance(), "")
		}
	}
	return earlier(next, v.count(now))
}

// silent reports whether one that has been silent since then is down, and otherwise
// when it will be.
func (v *view) silent(since, now time.Time) (bool, time.Time) {
	if since.IsZero() {
		return false, time.Time{}
	}
	if at := since.Add(v.opts.DownAfter); at.After(now) {
		return false, at
	}
	return true, time.Time{}
}

// useless reports whether the master answers, and is nevertheless no master any more: it has
// been a replica for DownAfter, and nobody has taken its place; or it was started anew without
// its data, or a part of them, while another node has them, or nobody has.
func (v *view) useless(n *node, now time.Time) (bool, time.Time) {
	if n.report == nil {
		return false, time.Time{}
	}
	if n.report.Role != repl.RoleMaster {
		return v.silent(n.wrongSince, now)
	}
	return n.life.short || v.hasLost(n) || v.extinct(), time.Time{}
}

// hasLost reports whether n lacks what the reign began with, and another node has it.
func (v *view) hasLost(n *node) bool {
	if n.report.Lineage.Knows(v.reign.History) {
		return false
	}
	for _, other := range v.nodes {
		if other != n && !other.down() && other.report != nil && other.report.Lineage.Knows(v.reign.History) {
			return true
		}
	}
	return false
}

// extinct reports whether nobody has any more what the reign began with, as when all nodes of a group
// that keeps nothing on disk were started anew. Every node that is known must have said so: one that is down
// may come back with it. But not one in whose place, at its address, another has come. Then those who
// are there begin again, in an epoch above.
func (v *view) extinct() bool {
	there := 0
	for _, n := range v.nodes {
		if n.addr == "" && n.down() {
			continue
		}
		if n.report == nil || n.down() && n.id != v.reign.ID || !n.linked || n.report.Lineage.Knows(v.reign.History) {
			return false
		}
		there++
	}
	return there > 0
}

// count finds out whether the master is objectively down: as many as the quorum find it
// down, though not necessarily at the same instant.
func (v *view) count(now time.Time) (next time.Time) {
	votes := 0
	if m := v.master(); m != nil && m.down() {
		votes++
		for _, p := range v.peers {
			ends := p.gotAt.Add(max(minOpinion, 2*v.opts.DownAfter))
			if p.state == nil || !p.state.Down || p.state.Reign.Epoch != v.reign.Epoch || !ends.After(now) {
				continue
			}
			votes++
			next = earlier(next, ends)
		}
	}
	switch is := votes >= v.opts.Quorum; {
	case is && v.downSince.IsZero():
		v.downSince = now
		v.tell(EventODown, v.reign.instance(), fmt.Sprintf("#quorum %d/%d", votes, v.opts.Quorum))
	case !is && !v.downSince.IsZero():
		v.downSince = time.Time{}
		v.tell(EventODownEnd, v.reign.instance(), "")
	}
	return next
}

// earlier returns the earlier of two times, of which zero is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
