package sentinel

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/emberkv/ember/repl"
)

// A contest is the choice of the node that is to be the next master. It is decided on
// reports of one moment, all asked for after the old master had lost its lease: what any of its writers was
// told about the replicas, those have by then.
type contest struct {
	now   time.Time
	since time.Time     // reports count that were asked for at this time or later
	epoch uint64        // in which the chosen one is to be promoted
	not   []repl.NodeID // who are not to be chosen: they were tried, or are to be replaced
	last  repl.NodeID   // who is chosen only for want of another; zero for nobody
	view  *view
}

// A refusal says why a node cannot be chosen.
type refusal struct {
	name   string
	reason string
}

// refusals are told in the order of the names.
type refusals []refusal

func (r refusals) String() string {
	words := make([]string, len(r))
	for i, one := range r {
		words[i] = one.name + ": " + one.reason
	}
	slices.Sort(words)
	return strings.Join(words, "; ")
}

// A class says how much is wrong with a node that may be chosen, if there is none with less.
type class int

const (
	good   class = iota
	stale        // it had been cut off from its upstream for long before the master went down
	ousted       // it is the one that is to be replaced
	stray        // it is a master that nobody has made one
	empty        // it has no data, but belongs to the group
)

// staleAfter is the number of DownAfter for which a replica may have been cut off before the
// master was found down. Redis does not promote it then; here it comes last but one.
const staleAfter = 10

// choose returns the node to promote, or nil and why not: in the order of class,
// priority, position, of having been the master, and of the id.
func (c *contest) choose() (*node, refusals) {
	var fit []*node
	var out refusals
	for _, n := range c.view.inOrder() {
		if reason := c.refuses(n); reason != "" {
			out = append(out, refusal{n.name, reason})
			continue
		}
		fit = append(fit, n)
	}
	if heard, least := len(c.heard()), c.view.opts.MinHeard; heard < least && least > 1 {
		return nil, append(out, refusal{"all", fmt.Sprintf("%d replicas were heard, MinHeard is %d", heard, least)})
	}
	if len(fit) == 0 {
		return nil, out
	}
	return slices.MinFunc(fit, c.compare), out
}

// heard returns the nodes of this group that have told where they stand, except for the old master:
// those that may not be promoted, too, as they can hand on what they have.
func (c *contest) heard() (heard []*node) {
	for _, n := range c.view.inOrder() {
		if c.fresh(n) && c.belongs(n) && n.id != c.view.reign.ID {
			heard = append(heard, n)
		}
	}
	return heard
}

// ahead returns the node that has more of the log than the chosen one, among those heard:
// the one that has most, or nil. It may have been passed over for its priority.
func (c *contest) ahead(chosen *node) *node {
	most := chosen
	for _, n := range c.view.inOrder() {
		if c.fresh(n) && c.belongs(n) && n.report.Role == repl.RoleReplica && further(n.report, most.report) < 0 {
			most = n
		}
	}
	if most == chosen {
		return nil
	}
	return most
}

// fresh reports whether n has answered what it was asked since the contest began.
func (c *contest) fresh(n *node) bool {
	return n.report != nil && !n.sentAt.Before(c.since) && !n.down()
}

// refuses returns why n cannot be chosen, or "".
func (c *contest) refuses(n *node) string {
	switch {
	case slices.Contains(c.not, n.id):
		return "is not wanted"
	case n.down():
		return "is down"
	case !c.fresh(n):
		return "was not heard"
	case n.addr == "":
		return "has no address"
	case n.report.Priority == 0:
		return "has priority 0"
	case !n.report.Supervised:
		return "takes no orders"
	case n.report.Heard.Counter > c.epoch, n.report.Heard.Counter == c.epoch && n.report.Heard.Node != n.id:
		return "has heard of epoch " + n.report.Heard.String()
	case !n.report.Ready:
		return "was never synced"
	case !c.belongs(n):
		return "is of another history"
	}
	return ""
}

// belongs reports whether n's log is of the group's history: if it knows that of the last
// reign, shares one with what is known of its master, or with another node that knows it. Replicas
// that have fallen behind the beginning of the reign do not know it yet.
func (c *contest) belongs(n *node) bool {
	reign := c.view.reign.History
	if n.report == nil || !n.report.Ready {
		return false
	}
	if n.report.Lineage.Knows(reign) || c.view.extinct() {
		return true
	}
	for _, other := range c.view.inOrder() {
		if r := other.report; r != nil && r.Lineage.Knows(reign) {
			if _, ok := n.report.Lineage.Common(n.report.Position.Offset, r.Lineage, r.Position.Offset); ok {
				return true
			}
		}
	}
	return false
}

// class returns how much is wrong with n.
func (c *contest) class(n *node) class {
	if !n.report.HasData {
		return empty
	}
	if n.id == c.last {
		return ousted
	}
	if n.report.Role == repl.RoleMaster && n.id != c.view.reign.ID {
		return stray
	}
	var down time.Duration // for how long the master is
	if m := c.view.master(); m != nil && m.down() {
		down = c.now.Sub(m.downSince)
	}
	up := n.report.Upstream
	if up.State != repl.LinkStreaming && up.Down > down+staleAfter*c.view.opts.DownAfter {
		return stale
	}
	return good
}

// compare returns a negative number if a is rather chosen than b.
func (c *contest) compare(a, b *node) int {
	return cmp.Or(
		cmp.Compare(c.class(a), c.class(b)),
		cmp.Compare(a.report.Priority, b.report.Priority),
		further(a.report, b.report),
		-bools(a.id == c.view.reign.ID, b.id == c.view.reign.ID),
		bytes.Compare(a.id[:], b.id[:]),
	)
}

func bools(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// further returns a negative number if a's log has more than b's. If one holds all of the
// other, it is the one; if both have gone their own ways since they parted, it is the one of
// the higher epoch, however long the other is, for its master was replaced.
func further(a, b *repl.Report) int {
	at, bt := a.Position.Offset, b.Position.Offset
	if common, ok := a.Lineage.Common(at, b.Lineage, bt); ok && (common == at || common == bt) {
		return cmp.Compare(bt, at)
	}
	return cmp.Or(b.Lineage.Epoch.Compare(a.Lineage.Epoch), cmp.Compare(bt, at))
}
