package main

import (
	"maps"
	"slices"
	"time"

	"github.com/emberkv/ember/repl"
)

// drainLook is how often a node that closes looks whether its replicas are level.
const drainLook = 5 * time.Millisecond

// drain lets the replicas of a master have what was written last, those too that are being copied
// to. They get as long as -drain says, for one of them may hang. One that goes away is not waited
// for: all may have been told to end at once.
//
// It looks at what each has, and does not call Master.Wait, which counts no acks while another node
// may be writing: a master whose sentinels have gone before it has replicas as well.
func (n *node) drain() {
	over := time.NewTimer(n.patience)
	defer over.Stop()
	look := time.NewTicker(drainLook)
	defer look.Stop()
	lacking := make(map[repl.NodeID]string)
	for waits := true; waits; {
		behind := false
		for _, f := range n.followers() {
			if f.Online && f.Behind <= 0 {
				delete(lacking, f.Peer.ID)
			} else {
				lacking[f.Peer.ID], behind = f.Peer.Name, true
			}
		}
		if !behind {
			break
		}
		select {
		case <-look.C:
		case <-over.C:
			waits = false
		}
	}
	if len(lacking) > 0 {
		n.log.Warn("closing before every replica has everything", "lacking", slices.Sorted(maps.Values(lacking)))
	}
}

// followers returns the replicas of a master. Those of a replica have what it has been sent as soon as
// they find another upstream.
func (n *node) followers() []repl.FollowerStatus {
	if n.repl.Role() != repl.RoleMaster {
		return nil
	}
	return n.repl.Status().Followers
}
