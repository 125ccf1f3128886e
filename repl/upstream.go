package repl

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// An upstream is a replica's side of the link to the node that it follows: what
// outlives a single connection.
type upstream struct {
	node *Node

	// orphan is why the node follows nobody, as long as it was not told whom: what
	// its writers get.
	orphan error

	// turn holds one token: Run's while it runs, and then that of the promotion
	// which ends the tenure.
	turn chan struct{}

	// load is the full copy under way, or broken and waiting to be resumed.
	// It belongs to whoever has the turn.
	load *loading

	// unrepaired is why the newest repair failed, after which the next copy is a full one.
	// It belongs to the same.
	unrepaired error

	fresh freshness

	mu struct {
		sync.Mutex
		target  *target
		state   LinkState
		synced  bool          // has what the target had when the link came up
		ready   bool          // holds data of the group: one sync was completed, or it came with a history
		changed chan struct{} // closed and renewed when synced becomes true
		link    linkInfo
		tries   tries
		syncs   syncs
	}
}

func newUpstream(n *Node, addr string, allow Allow) *upstream {
	u := &upstream{node: n, turn: make(chan struct{}, 1)}
	u.mu.target = newTarget(addr, allow)
	u.mu.changed = make(chan struct{})
	u.mu.tries.downSince = time.Now()
	u.mu.ready = n.log.End() > 0
	u.fresh.node = n
	return u
}

// again returns an upstream for the next tenure that follows the same node.
func (u *upstream) again() *upstream {
	u.mu.Lock()
	addr, allow := u.mu.target.addr, u.mu.target.allow
	u.mu.Unlock()
	next := newUpstream(u.node, addr, allow)
	next.orphan = u.orphan
	return next
}

// hasData reports whether there is something to serve to followers.
func (n *Node) hasData() bool {
	u := n.tenure().up
	if u == nil {
		return true
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.mu.ready
}

// clock returns the writer's clock.
func (u *upstream) clock() int64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.mu.link.now()
}

// heard notes what every frame of the log and every heartbeat says.
func (u *upstream) heard(clock, end int64, r *frameReader) {
	now := time.Now()
	u.mu.Lock()
	u.mu.link.tick(clock, now)
	u.mu.link.bytes(r, now)
	u.mu.link.theirEnd = max(u.mu.link.theirEnd, end)
	u.mu.Unlock()
	u.node.setClock(clock)
}

// heardCrowd notes whether so few follow the upstream, to, that they may come back at once.
func (u *upstream) heardCrowd(to *target, few bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.mu.target == to {
		u.mu.link.few = few
	}
}

// hasFew reports what heardCrowd noted of the present target; false before.
func (u *upstream) hasFew() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.mu.link.few
}

// heardPath notes whom the upstream at the other end of l follows. It returns
// ErrCycle if that is this node.
func (u *upstream) heardPath(l *link, further []NodeID) error {
	path := append([]NodeID{l.peer.ID}, further...)
	if slices.Contains(path, u.node.opts.ID) {
		return fmt.Errorf("%w: %d nodes on the way", ErrCycle, slices.Index(path, u.node.opts.ID))
	}
	if len(path) > maxPath {
		return fmt.Errorf("%w: chain of more than %d nodes", ErrLimit, maxPath)
	}
	u.setPath(path)
	return nil
}

func (u *upstream) setPath(path []NodeID) {
	u.mu.Lock()
	changed := !slices.Equal(path, u.mu.link.path)
	u.mu.link.path = path
	u.mu.Unlock()
	if changed {
		u.node.pathChanged()
	}
}

// freshen changes what is known of the data's age, and lets the followers know if the node
// is linked now and was not before, or the other way round.
func (u *upstream) freshen(change func()) {
	was := u.fresh.linked()
	if change(); u.fresh.linked() != was {
		u.node.pathChanged()
	}
}

// outage returns for how long the replica has been without a link that worked.
func (u *upstream) outage() time.Duration { return time.Since(u.lastWorked()) }

func (u *upstream) lastWorked() time.Time {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.mu.tries.downSince
}

// wasted notes that what the link did since was thrown away: an upstream
// whose copies never fit must not be asked for one after the other.
func (u *upstream) wasted(since time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.mu.tries.downSince = since
}

// working notes that the link has done its work up to now, so that an
// outage, if one follows, begins here. A link that comes up and breaks at once,
// again and again, is an outage.
func (u *upstream) working() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.mu.tries.downSince = time.Now()
}

func (u *upstream) setPlace(place int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.mu.syncs.place = place
}

func (u *upstream) setState(s LinkState) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.mu.state = s; s == LinkStreaming {
		u.mu.tries.outages.end(time.Now())
	}
}

// down notes that a session has ended, to whom its link was up, if it was, and why it ended.
func (u *upstream) down(up *target, err error) {
	u.freshen(u.fresh.down)
	u.setPath(nil)
	now := time.Now()
	u.mu.Lock()
	defer u.mu.Unlock()
	switch t := &u.mu.tries; {
	case u.mu.synced:
		t.vain = nil
	case up != nil:
		t.vain = up
	}
	if u.mu.state == LinkStreaming {
		u.mu.tries.outages.begin(now, err)
	}
	u.mu.state, u.mu.synced, u.mu.syncs.place = LinkDown, false, 0
	u.mu.tries.last = failure{err, now}
}

// retry tells the program that the link ended for reason err, and is tried again
// after pause.
func (u *upstream) retry(addr string, err error, pause time.Duration) {
	outage := u.outage()
	u.mu.Lock()
	u.mu.tries.retryAt = time.Now().Add(pause)
	attempts := u.mu.tries.attempts
	level := tellOnce(&u.mu.tries.told, err)
	u.mu.Unlock()
	o := u.node.opts
	o.Logger.Log(context.Background(), level, "link down", "upstream", addr, "err", err, "retry", pause)
	call(o.Events.Retry, Retry{Addr: addr, Err: err, Attempts: attempts, Outage: outage, Pause: pause})
}

// newsOfLink returns at which level it is to be told that the link to an upstream is up: one
// that comes up in vain does so again and again.
func (u *upstream) newsOfLink(to *target) slog.Level {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.mu.tries.vain == to {
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

// caughtUp notes that the replica has what its upstream, to, had when the
// link came up. It reports whether that is news. From
// now on they share a history, and nothing special is allowed.
func (u *upstream) caughtUp(to *target) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.mu.ready = true
	if u.mu.synced || u.mu.target != to {
		return false
	}
	u.mu.synced = true
	u.mu.tries.told = ""
	to.allow = 0
	close(u.mu.changed)
	u.mu.changed = make(chan struct{})
	return true
}

func (u *upstream) isSynced() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.mu.synced
}

func (u *upstream) waitSynced(ctx context.Context, t *tenure) error {
	for {
		u.mu.Lock()
		synced, changed := u.mu.synced, u.mu.changed
		u.mu.Unlock()
		if synced {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			if last := u.lastErr(); last != nil { // that of now, not of when the wait began
				return fmt.Errorf("%w; the last link ended: %w", ctx.Err(), last)
			}
			return ctx.Err()
		case <-t.ctx.Done():
			return t.valid()
		}
	}
}

func (u *upstream) lastErr() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.mu.tries.last.err
}

func (u *upstream) status(end int64) *UpstreamStatus {
	u.mu.Lock()
	defer u.mu.Unlock()
	s := &UpstreamStatus{Addr: u.mu.target.addr, State: u.mu.state, Synced: u.mu.synced}
	u.mu.link.status(s)
	u.mu.tries.status(s, time.Now())
	u.mu.syncs.status(s)
	if s.State == LinkStreaming {
		s.Behind = max(u.mu.link.theirEnd-end, 0)
	}
	return s
}
