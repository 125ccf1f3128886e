package repl

import (
	"cmp"
	"slices"
	"time"
)

// A node that is asked: its end of a control link.
type asked struct {
	n *Node
	*answerer
	orders chan struct{} // a token for each that is being carried out or answered

	number uint64  // of the newest report
	stamps []stamp // of those that a grant may answer, the oldest first
}

// A stamp is a report that a grant may answer: a grant counts from before the report was sent.
type stamp struct {
	number uint64
	at     time.Duration // of the lease's clock
	tenure *tenure       // as a master
}

const (
	// maxAskers is how many control links a node has at once, each of another id.
	maxAskers = 64
	// maxStamps is how many reports of a link wait for a grant.
	maxStamps = MaxRequests
)

// beAsked is the node's half of a control link's handshake, and returns what there is to be done
// behind it.
func (n *Node) beAsked(l *link, body []byte) (serve func() error, err error) {
	own := &introduction{
		seat: seatNode, id: n.opts.ID, patience: n.opts.Timeout,
		name: n.opts.Name, group: n.opts.Group, announce: n.announced(),
	}
	own.patience = min(own.patience, maxHeartbeat)
	err = l.meet(body, own, func(them *introduction) error { return n.roomFor(them.id) })
	if err != nil {
		return nil, err
	}
	a := &asked{n: n, answerer: newAnswerer(l, n.leaving, n.news), orders: make(chan struct{}, MaxRequests)}
	return a.serve, nil
}

// roomFor returns ErrBusy if there is no room for an asker with this id.
func (n *Node) roomFor(id NodeID) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.mu.askers[id] == nil && len(n.mu.askers) >= maxAskers {
		return ErrBusy
	}
	return nil
}

// serve answers until the link ends, and returns why it did.
func (a *asked) serve() error {
	n, log := a.n, a.n.opts.Logger
	if err := n.enter(a.answerer); err != nil {
		a.link.refuse(err)
		return err
	}
	log.Info("control link", "peer", a.link.peer.Name, "addr", a.link.peer.Addr)
	err := a.run(a.handle)
	n.board.leave(a.link)
	n.exit(a.answerer)
	log.Info("control link ended", "peer", a.link.peer.Name, "addr", a.link.peer.Addr, "err", err)
	return err
}

// enter makes a that of its peer. An older one of the same id is told, as in Node.enlist.
func (n *Node) enter(a *answerer) error {
	n.mu.Lock()
	id := a.link.peer.ID
	old := n.mu.askers[id]
	if n.isLeaving() || old == nil && len(n.mu.askers) >= maxAskers { // others have come since the handshake
		n.mu.Unlock()
		if n.isLeaving() {
			return ErrClosed
		}
		return ErrBusy
	}
	if old != nil {
		old.replace(a.link.peer)
	}
	n.mu.askers[id] = a
	n.mu.Unlock()
	n.welcomed()
	return nil
}

func (n *Node) exit(a *answerer) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.mu.askers[a.link.peer.ID] == a {
		delete(n.mu.askers, a.link.peer.ID)
	}
	if a.grace != nil {
		a.grace.Stop()
	}
}

// askers returns who has a control link to the node, by name.
func (n *Node) askers() []Peer {
	n.mu.Lock()
	defer n.mu.Unlock()
	peers := make([]Peer, 0, len(n.mu.askers))
	for _, a := range n.mu.askers {
		peers = append(peers, a.link.peer)
	}
	slices.SortFunc(peers, func(a, b Peer) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), slices.Compare(a.ID[:], b.ID[:]))
	})
	return peers
}

// handle does what a request says.
func (a *asked) handle(r request) error {
	switch r.what {
	case askPoll:
		p, err := parsePoll(r.body)
		if err != nil {
			return err
		}
		a.answer(reply{number: r.number, body: a.poll(p).append(nil)})
	case askOrder:
		o, err := parseOrder(r.body)
		if err != nil {
			return err
		}
		a.order(r.number, o)
	default:
		a.answer(reply{number: r.number, err: ErrNotAsked})
	}
	return nil
}

// poll takes what a poll brings and reports.
func (a *asked) poll(p *Poll) *Report {
	n := a.n
	if p.Notice != nil {
		n.board.post(a.link, p.Notice)
	}
	if n.opts.Supervised {
		n.lease.watched()
		if p.Grant != nil {
			a.granted(p.Grant)
		}
	}
	// The moment and the tenure are of before what is said.
	a.number++
	at, t := n.lease.now(), n.tenure()
	if n.opts.Supervised && t.role == RoleMaster {
		if len(a.stamps) == maxStamps {
			a.stamps = slices.Delete(a.stamps, 0, 1)
		}
		a.stamps = append(a.stamps, stamp{a.number, at, t})
	}
	r := n.report()
	r.Stamp, r.Notices = a.number, n.board.read(a.link.peer.ID)
	return r
}

// granted records a grant, if it answers a report that no grant has answered yet.
func (a *asked) granted(g *Grant) {
	i := slices.IndexFunc(a.stamps, func(s stamp) bool { return s.number == g.Stamp })
	if i < 0 {
		return
	}
	s := a.stamps[i]
	a.stamps = slices.Delete(a.stamps, 0, i+1) // a grant that answers an older one comes too late
	a.n.lease.renew(a.link.peer.ID, s.tenure, s.at, g)
}

// order has an order carried out, unless one is being so.
func (a *asked) order(number uint64, o *Order) {
	n := a.n
	if !n.opts.Supervised {
		a.answer(reply{number: number, err: ErrNotSupervised})
		return
	}
	select {
	case a.orders <- struct{}{}:
	default: // the peer does not read the answers
		a.answer(reply{number: number, err: ErrBusy})
		return
	}
	if !n.obeying.CompareAndSwap(false, true) {
		<-a.orders
		a.answer(reply{number: number, err: ErrBusy})
		return
	}
	carry := func() {
		err := n.carryOut(o)
		n.opts.Logger.Info("order", "order", o.Kind, "epoch", o.Epoch, "by", a.link.peer.Name, "err", err)
		n.obeying.Store(false) // before the answer, behind which the next order may come
		a.answer(reply{number: number, err: err})
		<-a.orders
	}
	if !n.start(carry) {
		n.obeying.Store(false)
		a.answer(reply{number: number, err: ErrClosed})
	}
}

// report says how the node is.
func (n *Node) report() *Report {
	t := n.tenure()
	r := &Report{
		ID: n.opts.ID, Name: n.opts.Name, Life: n.life(), Role: t.role,
		Priority: max(n.opts.Priority, 0), Announce: n.announced(),
		Position: n.log.Position(), Lineage: n.log.Lineage(), HasData: !isEmpty(n.machine), Ready: n.hasData(),
		Initial: t.initial.Load(), Supervised: n.opts.Supervised, HandingOver: n.handing.Load() != nil, Lease: n.lease.report(),
	}
	if r.Lineage.Validate(r.Position.Offset) != nil { // the log was replaced in between
		r.Position.Offset = n.log.End()
	}
	r.Position.History = r.Lineage.Current
	r.Heard = n.standing().epoch // last: it is never below the lineage's
	if t.up != nil {
		r.Synced = t.up.isSynced()
		r.Upstream = t.up.report()
	}
	n.mu.Lock()
	feeds := make([]*feed, 0, len(n.mu.feeds))
	for _, f := range n.mu.feeds {
		feeds = append(feeds, f)
	}
	n.mu.Unlock()
	for _, f := range feeds {
		f.mu.Lock()
		applied := f.mu.last.applied
		f.mu.Unlock()
		p := f.link.peer
		r.Followers = append(r.Followers, FollowerReport{ID: p.ID, Name: p.Name, Addr: p.Listen, Online: f.online.Load(), Applied: applied})
	}
	return r
}

// report says how the link to the upstream is.
func (u *upstream) report() UpstreamReport {
	u.mu.Lock()
	defer u.mu.Unlock()
	r := UpstreamReport{ID: u.mu.link.peer.ID, Addr: u.mu.target.addr, State: u.mu.state}
	if r.State != LinkStreaming {
		r.Down = u.mu.tries.outages.down(time.Now())
	}
	return r
}
