package sentinel

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/emberkv/ember/repl"
)

// missing says why no master is known, as far as this sentinel can tell, and "" if one is: whom it has
// not found at the addresses that it was told, or what those say that it found there.
func (d *desk) missing() string {
	if !d.view.reign.IsZero() {
		return ""
	}
	heard, ready := false, false
	upstreams := make(map[string]bool)
	for _, n := range d.view.nodes {
		if n.report == nil || n.down() {
			continue
		}
		heard = true
		ready = ready || n.report.Ready
		if addr := n.report.Upstream.Addr; addr != "" {
			upstreams[addr] = true
		}
	}
	switch {
	case !heard:
		return d.unheard()
	case !ready:
		return "no node that answers is a master, or has data of one"
	}
	return fmt.Sprintf("no node that answers is a master; the one that they follow (%s) is taken for it after %v, though it is not heard",
		strings.Join(slices.Sorted(maps.Keys(upstreams)), ", "), presumeAfter*d.opts.DownAfter)
}

// unheard says what has become of the addresses at which somebody was to be found.
func (d *desk) unheard() string {
	var all []string
	for _, addr := range slices.Sorted(maps.Keys(d.hints)) {
		why := "nobody has answered yet"
		if l := d.lines[addr]; l != nil && l.failed != "" {
			why = strings.Replace(strings.TrimPrefix(l.failed, "repl: "), " "+addr, "", 1)
		} else if id := d.hints[addr]; id != (repl.NodeID{}) && d.view.peers[id] != nil {
			why = "a sentinel is there, and no node"
		}
		all = append(all, fmt.Sprintf("%s: %s", addr, why))
	}
	return "no node answers: " + strings.Join(all, "; ")
}
