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
	vetted bool      // all who are there have said since then how far they are
	short  bool      // as of its newest report: a replica has more, that might be the master

	// displaced says that before it was started it followed the master itself, and not yet since: it was
	// told at its start to follow one that was the master once, perhaps.
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

// vet compares n with the others, if it is the master and on trial. They must have answered before n
// was asked: what they have was the master's before.
func (v *view) vet(n *node) {
	l := &n.life
	if l.leased = l.leased || n.report.Lease.Remaining > 0; l.leased || n.id != v.reign.ID || !onTrial(n.report) {
		l.short = false
		return
	}
	l.short = false
	vetted := true
	for _, other := range v.nodes {
		if other == n || other.down() || !other.linked {
			continue
		}
		r, at := other.saidBy(n.sentAt)
		vetted = vetted && r != nil && !at.Before(l.began)
		l.short = l.short || r != nil && hasMore(r, n.report)
	}
	l.vetted = l.vetted || vetted
}

// saidBy returns the newest report that had come by t, and when; nil if it is not known any more. When all
// are asked at once, that is not the newest one.
func (n *node) saidBy(t time.Time) (*repl.Report, time.Time) {
	switch {
	case n.report != nil && !n.gotAt.After(t):
		return n.report, n.gotAt
	case n.before != nil && !n.beforeAt.After(t):
		return n.before, n.beforeAt
	}
	return nil, time.Time{}
}

// hasMore reports whether a is of a replica that may be promoted, and whose log goes on from the end of b's.
func hasMore(a, b *repl.Report) bool {
	if a.Role != repl.RoleReplica || !a.Supervised || a.Priority == 0 || !a.Ready || !a.HasData {
		return false
	}
	common, ok := b.Lineage.Common(b.Position.Offset, a.Lineage, a.Position.Offset)
	return ok && common == b.Position.Offset && common < a.Position.Offset
}
