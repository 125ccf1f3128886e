package repl

import (
	"bytes"
	"fmt"
	"time"
)

// listen reads what the follower says until the link ends.
func (f *feed) listen() error {
	for {
		k, body, err := f.link.r.next()
		if err != nil {
			return err
		}
		if f.isReplaced() {
			continue // what was under way is of no link any more; run is about to end this one
		}
		switch k {
		case kindAck:
			err = f.acked(body)
		case kindSyncStart:
			var s *syncStart
			if s, err = parseSyncStart(body); err == nil {
				select {
				case f.started <- s: // run takes it, if it is waiting for one
				default:
					err = fmt.Errorf("%w: a second %v", ErrProtocol, k)
				}
			}
		case kindReady, kindPromoted:
			err = f.answered(k, body)
		case kindTail:
			var t *tail
			if t, err = parseTail(bytes.Clone(body)); err == nil {
				select {
				case f.tails <- t:
				default:
					err = fmt.Errorf("%w: a second %v", ErrProtocol, k)
				}
			}
		case kindRefuse:
			err = parseRefuse(body)
		default:
			err = fmt.Errorf("%w: %v from a follower", ErrProtocol, k)
		}
		if err != nil {
			return err
		}
	}
}

// acked checks an ack and records it.
func (f *feed) acked(body []byte) error {
	a, err := parseAck(body)
	if err != nil {
		return err
	}
	f.mu.Lock()
	before, rttOf := f.mu.last, f.mu.sentAt
	switch sent := f.mu.sent; {
	case a.echo > f.seq.Load() || a.echo < before.echo:
		err = fmt.Errorf("%w: ack echoes heartbeat %d", ErrProtocol, a.echo)
	case !a.loading && f.mu.state != FollowerStreaming:
		err = fmt.Errorf("%w: a follower that is being copied to says that it streams", ErrProtocol)
	case !a.loading && (a.received > sent || a.applied > a.received || a.durable > a.applied):
		err = fmt.Errorf("%w: ack of %d, %d and %d, sent up to %d", ErrProtocol, a.received, a.applied, a.durable, sent)
	case !a.loading && !before.loading && (a.received < before.received || a.applied < before.applied):
		err = fmt.Errorf("%w: ack of %d after one of %d", ErrProtocol, a.applied, before.applied)
	case a.loading && f.online.Load():
		err = fmt.Errorf("%w: a streaming follower says that it loads", ErrProtocol)
	}
	if err == nil {
		if a.echo == f.seq.Load() && a.echo != before.echo {
			f.mu.rtt = time.Since(rttOf)
		}
		f.mu.last, f.mu.lastAt = a, time.Now()
		if !a.loading {
			f.mu.asOf = max(f.mu.asOf, f.mu.asked.answer(a))
		}
	}
	asOf := f.mu.asOf
	reached := err == nil && !a.loading && !f.mu.reached && a.applied >= f.mu.goal
	f.mu.reached = f.mu.reached || reached
	f.mu.Unlock()
	if err == nil {
		err = f.heard(a)
	}
	if err != nil || a.loading {
		return err
	}
	if reached {
		f.account().end(nil)
		f.caughtUp <- a.applied
	}
	f.online.Store(true)
	f.n.acks.update(f, &a, asOf)
	return nil
}

// heard records the highest epoch that the follower has heard of, if it is of this
// node's group: the same log has been applied at both ends, if nothing was in common
// before.
func (f *feed) heard(a ack) error {
	f.n.replicaIsBack(f, a)
	f.link.related = f.link.related || !a.loading
	if !f.link.related {
		return nil
	}
	n := f.n
	known := n.heard.Load() // before the log is looked at: session.share forgets it when that was replaced
	if !f.isRelated() || a.heard.above(n.standing()) && !n.heard.CompareAndSwap(known, &a.heard) {
		return nil // the next ack says it again
	}
	if err := n.obey(f.link.peer.Name); err != ErrBusy {
		return err
	}
	return nil
}

// isRelated reports whether the follower, which was of this node's group, is so still. The
// node may have gone over to another group, while a follower that hangs says what it has
// heard in the old one.
func (f *feed) isRelated() bool {
	if r := f.reads.Load(); r != nil {
		return !r.Outdated()
	}
	return f.n.relates(f.link.with)
}
