package repl

import (
	"sync"
	"time"
)

// A pacer spreads what full copies and repairs send, to all followers together, over time:
// Options.SyncRate bytes a second. Each block is given the moment at which it may go
// out, one behind the other. A feed that has to wait for that goes on with the log and
// the heartbeats, which are not held back; it sets a timer only then.
type pacer struct {
	rate int64                // bytes a second, 0 for no bound
	now  func() time.Duration // monotonic

	mu struct {
		sync.Mutex
		next time.Duration // when what is reserved so far will be sent
	}
}

// paceBurst is how much may go out at once after a pause, as a time of sending at the
// rate: what a timer that is late has to make up for.
const paceBurst = 50 * time.Millisecond

// reserve returns when n bytes may be sent: a moment that has passed, or is to come.
func (p *pacer) reserve(n int) time.Duration {
	if p.rate == 0 {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	at := max(p.mu.next, p.now()-paceBurst)
	p.mu.next = at + time.Duration(float64(n)/float64(p.rate)*float64(time.Second))
	return at
}

// take takes the next block off the queue, if there is one and it may be sent now.
func (f *feed) takeBlock() *blockBuffer {
	c := f.copy
	if c.held == nil {
		select {
		case buf := <-c.queue:
			f.hold(buf)
		default:
			return nil
		}
	}
	if c.held == nil || time.Duration(c.due.Load()) > f.n.acks.now() {
		return nil
	}
	buf := c.held
	c.held = nil
	return buf
}

// hold keeps a block that was taken off the queue until it may be sent.
func (f *feed) hold(buf *blockBuffer) {
	f.copy.held = buf
	if buf.footer == nil {
		f.copy.due.Store(int64(f.n.passes.pacer.reserve(buf.wireBytes(f.link.packs))))
	}
}

// paused returns a channel that delivers a value when the block that is held may be
// sent; nil if there is none.
func (f *feed) paused() <-chan time.Time {
	c := f.copy
	if c.held == nil {
		return nil
	}
	left := max(time.Duration(c.due.Load())-f.n.acks.now(), soonest)
	if c.timer == nil {
		c.timer = time.NewTimer(left)
	} else {
		c.timer.Reset(left)
	}
	return c.timer.C
}

// keepPace waits until n bytes of a repair may be sent, and goes on with the heartbeats
// meanwhile. The log has to wait, too: the follower takes it behind the state.
func (f *feed) keepPace(n int) error {
	at := f.n.passes.pacer.reserve(n)
	for {
		left := at - f.n.acks.now()
		if left <= 0 {
			return nil
		}
		if err := f.rest(left); err != nil {
			return err
		}
	}
}

// rest waits for d, or for less.
func (f *feed) rest(d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-f.beats.C:
		return f.beat()
	case <-f.n.leaving:
		return ErrClosed
	case <-f.replaced:
		return f.replacedBy
	case <-f.link.closed:
		return f.link.cause
	}
	return nil
}

// patience returns for how long the pass may still wait for c to take a block: a follower
// that is held back by the pace is not stuck.
func (c *copying) patience() time.Duration {
	n := c.feed.n
	return time.Duration(c.due.Load()) + n.opts.SyncTimeout - n.acks.now()
}

// letGo lets go of a block that is held, and of the timer.
func (c *copying) letGo() {
	if c.held != nil && c.held.footer == nil {
		c.feed.n.passes.release(c.held)
	}
	c.held = nil
	if c.timer != nil {
		c.timer.Stop()
	}
}
