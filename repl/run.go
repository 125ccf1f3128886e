package repl

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

// A target is the node that an upstream is to be.
type target struct {
	addr  string
	allow Allow // until the first sync is complete; guarded by upstream.mu

	gone context.Context // ends when another target takes its place
	drop context.CancelFunc
}

func newTarget(addr string, allow Allow) *target {
	t := &target{addr: addr, allow: allow}
	t.gone, t.drop = context.WithCancel(context.Background())
	return t
}

// retarget makes the node at addr the one to follow, and ends the link to the one
// before. It returns false when that is the same.
func (u *upstream) retarget(addr string, allow Allow) bool {
	u.mu.Lock()
	old := u.mu.target
	if old.addr == addr && allow == 0 {
		u.mu.Unlock()
		return false
	}
	u.mu.target = newTarget(addr, allow)
	u.mu.synced, u.mu.link.few = false, false
	u.mu.tries.last, u.mu.tries.downSince = failure{}, time.Now()
	u.mu.Unlock()
	old.drop() // not under the lock: it closes a connection
	return true
}

func (u *upstream) target() *target {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.mu.target
}

// readOnly returns what a write gets here, in the name of the node that takes them.
func (u *upstream) readOnly() error {
	to := u.target()
	if to.addr == "" {
		return u.orphan
	}
	return &ReadOnlyError{Master: to.addr}
}

// run follows the target until ctx or t ends. One call at a time has the turn.
func (u *upstream) run(ctx context.Context, t *tenure) error {
	select {
	case u.turn <- struct{}{}:
	default:
		if err := t.valid(); err != nil {
			return err
		}
		return ErrRunning
	}
	done := make(chan error, 1)
	if !u.node.start(func() { err := u.follow(ctx, t); <-u.turn; done <- err }) {
		<-u.turn
		return ErrClosed
	}
	return <-done
}

// follow makes one link after the other.
func (u *upstream) follow(ctx context.Context, t *tenure) error {
	defer u.dropLoad()
	jitter := rand.New(rand.NewPCG(seeds(u.node.opts.ID)))
	for {
		switch {
		case t.valid() != nil:
			return t.valid()
		case ctx.Err() != nil:
			return ctx.Err()
		}
		u.followTarget(ctx, t, jitter)
	}
}

// followTarget makes one link after the other to the present target, until there
// is another, or ctx or t ends.
func (u *upstream) followTarget(ctx context.Context, t *tenure, jitter *rand.Rand) {
	to := u.target()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(t.ctx, func() { cancel(t.valid()) })()
	defer context.AfterFunc(to.gone, func() { cancel(ErrRepointed) })()
	if to.addr == "" {
		<-ctx.Done() // nobody to follow, until the program says whom
	}
	// ctx hears of the end of the others a moment later, which would be enough to dial once more.
	over := func() bool { return ctx.Err() != nil || t.ctx.Err() != nil || to.gone.Err() != nil }
	for !over() {
		began := time.Now()
		err := u.session(ctx, to)
		if over() {
			return
		}
		pause := reconnectDelay(u.outage(), u.hasFew() && neverUp(err), jitter.Float64())
		if u.lastWorked().Sub(began) >= minReconnect {
			pause = 0 // there is no outage yet, only a link that broke
		}
		u.retry(to.addr, err, pause)
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
}

// Bounds of the pause before the next try.
const (
	minReconnect = 5 * time.Millisecond
	maxReconnect = 5 * time.Second
)

// A spread is the time over which the followers of one node come back to it.
type spread struct {
	least time.Duration // after they have lost it at one instant
	share int           // of the outage so far: one in so many
}

var (
	spreadOfCrowd = spread{least: 25 * time.Millisecond, share: 20}
	spreadOfFew   = spread{least: 10 * time.Millisecond, share: 100}
)

// reconnectDelay returns how long to wait after an outage that has lasted so
// long. It grows with the outage, so a blip costs milliseconds and a dead
// master is not hammered; random is in [0, 1), so a crowd does not come at once. Where the
// upstream has said that there is none, only few followers, and cannot be connected to, they are
// back five times sooner: such a try costs it nothing, or half of a TLS handshake, unlike one
// that it turns away.
func reconnectDelay(outage time.Duration, few bool, random float64) time.Duration {
	s := spreadOfCrowd
	if few {
		s = spreadOfFew
	}
	limit := max(min(outage/time.Duration(s.share), maxReconnect), s.least)
	return minReconnect + time.Duration(random*float64(limit-minReconnect))
}

// neverUp reports whether a session ended with err before there was a connection.
func neverUp(err error) bool {
	var link *LinkError
	return errors.As(err, &link) && link.Op == "dial"
}

// seeds turns a node id into the seed of its jitter, so that a simulation with
// fixed ids repeats.
func seeds(id NodeID) (a, b uint64) {
	for i := range 8 {
		a, b = a<<8|uint64(id[i]), b<<8|uint64(id[8+i])
	}
	return a, b
}
