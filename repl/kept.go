package repl

import (
	"errors"
	"os"
	"sync"

	"github.com/emberkv/ember/backlog"
)

// Kept is implemented by a machine that may be kept on disk. Followers use it to say what
// they would not lose in a power failure; see [Master.WaitDurable] and Safety.AckDurable.
type Kept interface {
	// Synced returns the position up to which the machine is on disk; the zero Position if
	// nothing is known to be.
	Synced() backlog.Position

	// SyncedChanged returns a channel that is closed when Synced has changed since, and
	// perhaps sooner. It is nil if Synced never will: the machine is in memory only.
	SyncedChanged() <-chan struct{}
}

// kept returns m as a Kept, if it is one that is kept.
func kept(m Machine) (Kept, bool) {
	k, ok := m.(Kept)
	return k, ok && k.SyncedChanged() != nil
}

// synced returns up to which offset of its log m is on disk, 0 for not at all.
func synced(m Machine) int64 {
	k, ok := m.(Kept)
	if !ok {
		return 0
	}
	pos := k.Synced()
	if pos.IsZero() || onLineage(m.Log(), pos) != nil {
		return 0
	}
	return pos.Offset
}

// A telling is what the goroutines of a session have told of what was applied, by turns: that
// which applies, and one that tells when more of it is on disk.
type telling struct {
	sync.WaitGroup
	begun bool // of the session's goroutine
	last  ack  // of whoever has the link's turn
	buf   []byte
}

// sendKept sends an ack of a follower that streams.
func (s *session) sendKept(a ack) error {
	err := s.tell(func(last *ack) bool {
		*last = a
		return true
	})
	if k, ok := kept(s.up.node.machine); ok && !s.telling.begun && err == nil {
		s.telling.begun = true
		s.telling.Go(func() { s.tellKept(k) })
	}
	return err
}

// tellKept tells the upstream how much of what was applied is on disk, each time that there is
// more, until the link ends. Else it would hear of it with the next heartbeat.
func (s *session) tellKept(k Kept) {
	for {
		changed := k.SyncedChanged()
		err := s.tell(func(last *ack) bool {
			return min(synced(s.up.node.machine), last.applied) != last.durable
		})
		if err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				s.link.close(err) // half a frame may have gone out
			}
			return // whoever reads finds out what became of the link
		}
		select {
		case <-changed:
		case <-s.link.closed:
			return
		}
	}
}

// tell sends the last ack again, as change has changed it, with what is on disk now, unless
// change says that there is no need to.
func (s *session) tell(change func(last *ack) bool) error {
	s.link.turn <- struct{}{}
	defer func() { <-s.link.turn }()
	t, n := &s.telling, s.up.node
	if !change(&t.last) {
		return nil
	}
	t.last.durable = min(synced(n.machine), t.last.applied)
	t.last.heard = n.standing()
	t.buf = t.last.append(t.buf[:0])
	return s.link.w.write(kindAck, t.buf, nil)
}
