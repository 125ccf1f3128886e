package repl

import (
	"fmt"
	"time"
)

// resume begins to stream from where this node stands.
func (s *session) resume(body []byte) error {
	if len(body) != 8 {
		return fmt.Errorf("%w: continue of %d bytes", ErrProtocol, len(body))
	}
	at, err := offset(body)
	if err != nil {
		return err
	}
	if end := s.up.node.log.End(); at != end {
		return fmt.Errorf("%w: continue at %d, log ends at %d", ErrProtocol, at, end)
	}
	if err := s.extend(); err != nil {
		return err
	}
	s.up.dropLoad()
	s.beginPartial(SyncStatus{Peer: s.link.peer, From: s.at})
	return s.stream(false)
}

// beginPartial begins the account of a sync by the log alone, or nearly so.
func (s *session) beginPartial(status SyncStatus) {
	lacking := max(s.goal-s.at.Offset, 0)
	s.sync = newSync(status)
	s.sync.resume(lacking)
	s.from, s.lacking = s.at.Offset, lacking > 0
	s.up.mu.Lock()
	s.up.mu.syncs.partials++
	s.up.mu.syncs.lastPartial = s.sync
	s.up.mu.Unlock()
	s.up.node.tellPartialSync(PartialSync{Peer: s.link.peer, From: s.at, Bytes: lacking})
}

// extend takes over the upstream's lineage as far as this node has come along
// it. An upstream that has begun a new history sends the end of the old one
// first; until then an offset still belongs to that.
func (s *session) extend() error {
	log := s.up.node.log
	if err := log.Extend(s.link.with.lineage.At(log.End())); err != nil {
		return fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	s.at = log.Position()
	return nil
}

// learn takes the lineage of an upstream that has begun a new history, where this
// node stands now.
func (s *session) learn(body []byte) error {
	lineage, err := parseHistory(body)
	if err != nil {
		return err
	}
	s.link.with.lineage = lineage
	if told := (standing{epoch: lineage.Epoch}); told.above(s.link.theirs) {
		s.link.theirs = told // before the log is of that epoch
	}
	return s.extend()
}

// stream goes over to streaming at s.at, perhaps with other data than before.
func (s *session) stream(replaced bool) error {
	s.phase = phaseStreaming
	s.said.applied = -1
	s.up.setState(LinkStreaming)
	s.up.freshen(func() { s.up.fresh.stream(s.at.Offset, replaced) })
	s.checkSynced()
	return nil
}

func (s *session) checkSynced() {
	if s.at.Offset < s.goal {
		return
	}
	s.sync.end(nil) // before those who wait for it are woken
	if s.up.caughtUp(s.to) {
		s.up.node.tellCaughtUp(CaughtUp{
			Peer: s.link.peer, Position: s.at, Bytes: s.at.Offset - s.from, Took: time.Since(s.began),
		})
	}
}

// apply takes a run of records. The machine refuses what does not follow on
// what it has, and then has changed nothing.
func (s *session) apply(body []byte) error {
	at, clock, records, err := parseLog(body)
	if err != nil {
		return err
	}
	if at != s.at.Offset {
		return fmt.Errorf("%w: log at %d where %d was due", ErrProtocol, at, s.at.Offset)
	}
	s.up.heard(clock, at+int64(len(records)), s.link.r)
	for len(records) > 0 {
		now := records
		fork, crosses := s.link.with.lineage.NextFork(s.at.Offset)
		if crosses && fork < s.at.Offset+int64(len(records)) {
			now = records[:fork-s.at.Offset]
		}
		if err := s.up.node.machine.Apply(s.at, now); err != nil {
			return linkError("apply", s.link.peer, fmt.Errorf("records at %s: %w", s.at, err))
		}
		s.at.Offset += int64(len(now))
		records = records[len(now):]
		if crosses && s.at.Offset == fork {
			if err := s.extend(); err != nil {
				return err
			}
		}
	}
	s.up.fresh.applied(s.at.Offset)
	s.up.working()
	s.progress()
	s.checkSynced()
	return nil
}

// progress notes how far a partial resync is.
func (s *session) progress() {
	if !s.lacking {
		return
	}
	report, all := s.sync.brought(s.at.Offset - s.from)
	s.lacking = !all
	if report != nil {
		call(s.up.node.opts.Events.Progress, *report)
	}
}

// ackEvery is how many bytes are read without an ack while more are waiting.
const ackEvery = 256 << 10

// ack answers a heartbeat, and says what was applied when nothing more is waiting
// to be read. When much has been read it acks in any case: heartbeats wait behind
// the data in the connection's buffers, for seconds if it is slow, and the
// upstream must not take that for silence.
func (s *session) ack() error {
	a := ack{echo: s.echo, received: s.at.Offset, applied: s.at.Offset}
	if s.phase != phaseStreaming {
		a = ack{echo: s.echo, loading: true}
	}
	switch {
	case s.echo != s.said.echo:
	case s.link.r.plain-s.said.read >= ackEvery: // it is the plain bytes that take time
	case a.loading || a.applied == s.said.applied || !s.link.r.idle():
		return nil
	}
	return s.send(a)
}

// sayApplied acks what is applied, even if more is waiting to be read.
func (s *session) sayApplied() error {
	return s.send(ack{echo: s.echo, received: s.at.Offset, applied: s.at.Offset})
}

func (s *session) send(a ack) error {
	s.said.applied, s.said.echo, s.said.read = a.applied, s.echo, s.link.r.plain
	if a.loading {
		a.heard = s.up.node.standing()
		return s.link.say(kindAck, a.append(nil))
	}
	return s.sendKept(a)
}
