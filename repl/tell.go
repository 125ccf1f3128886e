package repl

// What syncs do is told by a line of the log, and by an Event. A link that comes to none, as of a
// follower that refuses what it is offered and comes again, is not worth a line each time.

// end names the other end of a link in the log.
func (p *Peer) end() string {
	if p.Upstream {
		return "upstream"
	}
	return "peer"
}

func (n *Node) tellPartialSync(e PartialSync) {
	n.opts.Logger.Info("partial sync", e.Peer.end(), e.Peer.Name, "from", e.From, "bytes", e.Bytes)
	call(n.opts.Events.PartialSync, e)
}

func (n *Node) tellFullSync(e FullSync) {
	n.opts.Logger.Info("full sync", e.Peer.end(), e.Peer.Name, "reason", e.Reason, "resumed", e.Resumed, "keys", e.Keys, "bytes", e.Bytes)
	call(n.opts.Events.FullSync, e)
}

func (n *Node) tellSynced(e Synced) {
	n.opts.Logger.Info("full sync complete", e.Peer.end(), e.Peer.Name, "position", e.Position, "keys", e.Keys, "bytes", e.Bytes, "took", e.Took)
	call(n.opts.Events.Synced, e)
}

func (n *Node) tellCaughtUp(e CaughtUp) {
	n.opts.Logger.Info("caught up", e.Peer.end(), e.Peer.Name, "position", e.Position, "took", e.Took)
	call(n.opts.Events.CaughtUp, e)
}
