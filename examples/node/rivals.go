package main

import (
	"time"

	"github.com/emberkv/ember/repl"
)

// A rivals counts how often within a minute the place of a peer, or this node's with it, was taken by another link
// of the same id. A node does so itself when it comes back; two of them do it again and again.
type rivals struct {
	since time.Time
	seen  int
}

// maxRivals is up to how many of them are told in a minute, with what the links in between did.
const maxRivals = 3

// rival notes that another link has taken the place of p's.
func (n *narrator) rival(p repl.Peer) {
	n.mu.Lock()
	defer n.mu.Unlock()
	p = told(p)
	r, known := n.mu.rivals[p]
	if !known && len(n.mu.rivals) >= maxTold {
		clear(n.mu.rivals)
	}
	if time.Since(r.since) > time.Minute {
		r = rivals{since: time.Now()}
	}
	r.seen++
	n.mu.rivals[p] = r
}

// fights reports whether that has been told often enough for now.
func (n *narrator) fights(p repl.Peer) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	r := n.mu.rivals[told(p)]
	return r.seen > maxRivals && time.Since(r.since) <= time.Minute
}
