package repl

import (
	"fmt"
	"log/slog"
	"time"
)

// The roster of a node are its feeds, one for each follower, at most
// Options.MaxFollowers.

// enlist makes f the feed of its follower. An older one of the same node counts no more, and ends: it
// tells whoever is at its other end, which is another node with the same id if anybody is, and does
// so in closeGrace, or not at all.
func (n *Node) enlist(f *feed) error {
	n.mu.Lock()
	if n.isLeaving() {
		n.mu.Unlock()
		return ErrClosed
	}
	if n.isFullLocked(f.link.peer.ID) { // others have come since the handshake
		n.mu.Unlock()
		return ErrBusy
	}
	old := n.mu.feeds[f.link.peer.ID]
	if old != nil {
		n.acks.retire(old) // before the new one counts
		why := fmt.Errorf("%w: from %s", ErrReplaced, f.link.peer.known())
		old.replacedBy = why
		close(old.replaced) // only once: it is not on the roster any more
		old.grace = time.AfterFunc(closeGrace, func() { old.link.close(why) })
	}
	n.mu.feeds[f.link.peer.ID] = f
	n.mu.Unlock()
	n.welcomed()
	return nil
}

// fewFollowers is up to how many a node takes back at one instant without noticing.
const fewFollowers = 8

// hasFew reports whether all who follow the node may come back at once; see reconnectDelay.
func (n *Node) hasFew() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.mu.feeds) <= fewFollowers
}

// isFull reports whether there is no room for a follower with this id.
func (n *Node) isFull(id NodeID) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.isFullLocked(id)
}

func (n *Node) isFullLocked(id NodeID) bool {
	return n.mu.feeds[id] == nil && len(n.mu.feeds) >= n.opts.MaxFollowers
}

// delist ends what enlist began, and notes why. It returns at which level that is to be told:
// a follower that refuses what it is offered comes again and again.
func (n *Node) delist(f *feed, why error) slog.Level {
	n.acks.retire(f)
	lost, inVain, level := f.lost(why), f.account() == nil, slog.LevelInfo
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.mu.counters.LinksLost++; lost.Left {
		n.mu.counters.LinksLeft++
	}
	if n.mu.lastLost = lost; inVain {
		level = n.tellVainLocked(f.link.peer.ID, why)
	}
	if n.mu.feeds[f.link.peer.ID] == f {
		delete(n.mu.feeds, f.link.peer.ID)
	}
	if f.grace != nil {
		f.grace.Stop()
	}
	return level
}

// maxVain bounds the followers whose vain links are told once.
const maxVain = 64

// tellVainLocked returns at which level it is to be told that a follower has gone that got to
// no sync.
func (n *Node) tellVainLocked(id NodeID, why error) slog.Level {
	told, known := n.mu.vain[id]
	if !known && len(n.mu.vain) >= maxVain {
		clear(n.mu.vain)
	}
	level := tellOnce(&told, why)
	n.mu.vain[id] = told
	return level
}
