package sentinel

import (
	"time"

	"github.com/emberkv/ember/repl"
)

// A life is what is known of a node since it was started. A master that is started again as one, and
// writes by a lease alone, has not written since: so before its first lease it is compared with
// the others. Its disk may have lost what replicas have, or an older state was put in its place; then
// one of those goes on.
type life struct {
	began  time.Time // when it was first heard
	leased bool      // it was seen to hold the lease
	vetted bool      // as of its newest report: all who are there have said since then how far they are
	short  bool      // as of its newest report: a replica has more, that might be the master

	// displaced says that before it was started it followed the master itself, and was not told since whom to
	// follow: at its start it was to follow one that was the master once, perhaps.
	// Nor was one told that was not there when there came another master.
	displaced bool
}

// mayBeLeased reports whether a master that has said r may be given the lease.
func (l *life) mayBeLeased(r *repl.Report) bool {
	return l.leased || !onTrial(r) || l.vetted && !l.short
}

// onTrial reports whether a master has been nothing else since it was started, and cannot write.
func onTrial(r *repl.Report) bool {
	return r.Role == repl.RoleMaster && r.Initial && r.Lease.Armed && r.Lease.Remaining == 0
}

// sayings are what nodes had said when another was asked.
type sayings map[repl.NodeID]saying

type saying struct {
	report *repl.Report
	at     time.Time // when it came
}

// saidBefore returns what the others have said by now, if the node id, which is about to be asked, is the
// master and may be on trial, as far as is known; else nil.
func (v *view) saidBefore(id repl.NodeID) sayings {
	n := v.nodes[id]
	if id != v.reign.ID || n == nil || n.life.leased {
		return nil
	}
	said := make(sayings, len(v.nodes))
	for _, other := range v.nodes {
		if other != n && other.report != nil {
			said[other.id] = saying{other.report, other.gotAt}
		}
	}
	return said
}

// vet compares the node id with the others, if it is the master and on trial. What they had said before it was
// asked was the master's before it was theirs: if a part of it is not there, it was lost. What they say
// afterwards may be news, from a master to whom others have leased meanwhile.
// One that is known and not there just now may be about to come, as when all were started at once; but the
// group does not wait for it longer than for one that hangs.
func (v *view) vet(id repl.NodeID, said sayings, now time.Time) {
	n := v.nodes[id]
	if n == nil {
		return
	}
	l := &n.life
	l.leased = l.leased || n.report.Lease.Remaining > 0
	l.vetted, l.short = false, false
	if l.leased || id != v.reign.ID || !onTrial(n.report) {
		return
	}
	l.vetted = said != nil
	for _, other := range v.nodes {
		switch {
		case other == n || other.isStranger():
			continue
		case other.down() || !other.linked:
			l.vetted = l.vetted && now.Sub(l.began) >= v.opts.DownAfter
			continue
		}
		s, known := said[other.id]
		l.vetted = l.vetted && known && !s.at.Before(l.began)
		l.short = l.short || known && hasMore(s.report, n.report)
	}
}

// hasMore reports whether a is of a replica that may be promoted, and whose log goes on from the end of b's.
func hasMore(a, b *repl.Report) bool {
	if a.Role != repl.RoleReplica || !a.Supervised || a.Priority == 0 || !a.Ready || !a.HasData {
		return false
	}
	common, ok := b.Lineage.Common(b.Position.Offset, a.Lineage, a.Position.Offset)
	return ok && common == b.Position.Offset && common < a.Position.Offset
}
