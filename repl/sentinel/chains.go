package sentinel

import "github.com/emberkv/ember/repl"

// A chains knows who follows whom, for one look at all nodes: each is looked at once, however many follow
// it, and however long a chain is. It is of no use any more when the view has changed.
type chains struct {
	v    *view
	at   map[string]*node // who may be reached where; made when an address is looked for
	ends map[*node]bool   // whether the chain above a node comes to an end, of those that were asked for
}

func (v *view) chains() *chains { return &chains{v: v, ends: make(map[*node]bool)} }

// upstream returns the node that a replica follows, or tries to follow, as far as it is known.
func (c *chains) upstream(n *node) *node {
	up := n.report.Upstream
	if up.State == repl.LinkStreaming || up.State == repl.LinkCopying {
		return c.v.nodes[up.ID]
	}
	if up.Addr == "" {
		return nil
	}
	if c.at == nil {
		c.at = make(map[string]*node, 2*len(c.v.nodes))
		for _, other := range c.v.inOrder() {
			if c.at[other.at] == nil {
				c.at[other.at] = other
			}
		}
		for _, other := range c.v.inOrder() {
			c.at[other.addr] = other // where it is now counts more than where another was
		}
	}
	return c.at[up.Addr]
}

// leads reports whether a replica follows the master, or another replica that is there. If
// that one follows the wrong one it is told so itself, and n has all through it; but not if they go around
// in a ring.
func (c *chains) leads(n *node) bool {
	up := c.upstream(n)
	if up == nil || up.id != c.v.reign.ID && (up.report == nil || up.report.Role == repl.RoleMaster || up.down()) {
		return false
	}
	return c.end(up)
}

// end reports whether the chain from n upwards comes to a master, or to a node that is not known, and not
// to n again.
func (c *chains) end(n *node) bool {
	var passed []*node
	ends := true
	for ; n != nil && n.id != c.v.reign.ID && n.report != nil && n.report.Role != repl.RoleMaster; n = c.upstream(n) {
		known, met := c.ends[n]
		if met {
			ends = known
			break
		}
		c.ends[n] = false // if it is met again on this way it is a ring
		passed = append(passed, n)
	}
	for _, n := range passed {
		c.ends[n] = ends
	}
	return ends
}
