package repl

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/rdb"
)

// A repairing is the repair of a follower's tail under way. It ends with its link: until
// all is there nothing has been changed.
type repairing struct {
	machine Repairer
	repair  rdb.Repair
	keys    int
	began   time.Time

	state   int // bytes of blocks so far
	entries int64
	sum     backlog.Sum // at the footer
	agreed  bool        // the footer has come
}

// heardTurn notes where in its upstream's line this node waits to leave its tail.
func (s *session) heardTurn(body []byte) error {
	place, err := parsePlace(body)
	if err != nil {
		return err
	}
	s.up.setPlace(place)
	call(s.up.node.opts.Events.Progress, Progress{Peer: s.link.peer, Place: place})
	return nil
}

// considerRepair answers Parted: with the keys of the tail, or with the reason why it takes
// a full copy.
func (s *session) considerRepair(body []byte) error {
	p, err := parseParted(body)
	if err != nil {
		return err
	}
	log, theirs := s.up.node.log, s.link.with
	common, ok := log.Lineage().Common(log.End(), theirs.lineage, theirs.end)
	if !ok || p.at > common || s.parted {
		return fmt.Errorf("%w: parted at %d", ErrProtocol, p.at)
	}
	s.parted = true
	answer := new(tail)
	s.repairing, answer.keys, err = s.up.tailKeys(p)
	if err != nil {
		s.notRepaired = err.Error()
		answer = &tail{why: s.notRepaired}
	} else {
		answer.count = uint32(s.repairing.keys)
		s.phase = phaseRepairing
	}
	return s.link.say(kindTail, answer.append(nil))
}

// tailKeys returns the keys of this node's tail behind p, and what a repair begins with.
func (u *upstream) tailKeys(p parted) (*repairing, []byte, error) {
	m, ok := u.node.machine.(Repairer)
	switch {
	case !ok || u.node.opts.MaxRepairKeys < 0:
		return nil, nil, errors.New("repairs are off")
	case u.unrepaired != nil:
		return nil, nil, fmt.Errorf("the last one failed: %w", u.unrepaired)
	case u.node.log.Confirm(p.at, p.sum) == backlog.Differs:
		return nil, nil, errors.New("other bytes before they have parted")
	}
	keys, n, end, err := m.Tail(p.at, u.node.opts.MaxRepairKeys, maxTailBytes-16)
	if err != nil {
		return nil, nil, err
	}
	return &repairing{
		machine: m, keys: n, began: time.Now(),
		repair: rdb.Repair{Tail: end, Fork: p.at, Keys: keys},
	}, keys, nil
}

// repairBlock takes some of the state.
func (s *session) repairBlock(body []byte) error {
	r := s.repairing
	b, err := rdb.ParseBlock(body)
	switch {
	case err != nil:
		return linkError("repair", s.link.peer, err)
	case r.agreed:
		return fmt.Errorf("%w: a block behind the end of the state", ErrProtocol)
	}
	if r.state += len(body); r.state > maxStateTaken {
		return fmt.Errorf("%w: state of more than %d bytes for %d keys", ErrLimit, maxStateTaken, r.keys)
	}
	r.entries += int64(b.Count)
	r.repair.Blocks = append(r.repair.Blocks, b)
	s.up.working()
	return nil
}

// agreeRepair takes what has to come out, and waits for the log up to there.
func (s *session) agreeRepair(body []byte) error {
	footer, sum, err := parseSyncEnd(body)
	r, theirs := s.repairing, s.link.with.lineage
	switch {
	case err != nil:
		return linkError("repair", s.link.peer, err)
	case r.agreed || footer.Position.History != theirs.Current || footer.Position.Offset < r.repair.Fork || theirs.Validate(footer.Position.Offset) != nil:
		return fmt.Errorf("%w: state of %s, parted at %d", ErrProtocol, footer.Position, r.repair.Fork)
	case footer.Position.Offset-r.repair.Fork > maxPartedTaken:
		return fmt.Errorf("%w: %d bytes of log to hold for a repair, limit %d", ErrLimit, footer.Position.Offset-r.repair.Fork, maxPartedTaken)
	}
	r.agreed, r.sum, r.repair.Footer = true, sum, footer
	r.repair.Lineage = theirs
	s.at = backlog.Position{History: theirs.At(r.repair.Fork).Current, Offset: r.repair.Fork}
	s.goal = max(s.goal, footer.Position.Offset)
	var bytes int64
	for _, b := range r.repair.Blocks {
		bytes += int64(len(b.Data))
	}
	s.beginPartial(SyncStatus{Peer: s.link.peer, From: s.at, RepairedKeys: int64(r.keys), RepairedBytes: bytes})
	return s.repairIfComplete(nil, 0)
}

// repairLog keeps a run of records up to the footer's offset, and then goes over.
func (s *session) repairLog(body []byte) error {
	at, clock, records, err := parseLog(body)
	r := s.repairing
	switch {
	case err != nil:
		return err
	case !r.agreed || at != s.at.Offset:
		return fmt.Errorf("%w: log at %d during a repair, where %d was due", ErrProtocol, at, s.at.Offset)
	}
	s.up.heard(clock, at+int64(len(records)), s.link.r)
	n := min(int64(len(records)), r.repair.Footer.Position.Offset-at)
	r.repair.Records = append(r.repair.Records, bytes.Clone(records[:n]))
	s.at.Offset += n
	s.up.working()
	return s.repairIfComplete(records[n:], clock)
}

// repairIfComplete goes over to the upstream's history when all is there, and applies what
// has come of the log beyond.
func (s *session) repairIfComplete(beyond []byte, clock int64) error {
	r := s.repairing
	if s.at.Offset < r.repair.Footer.Position.Offset {
		return nil
	}
	u := s.up
	lost := u.tail(r.repair.Lineage, s.at.Offset, backlog.Accepted)
	if err := s.busy(func() error { return r.machine.Repair(&r.repair) }); err != nil {
		u.unrepaired = err
		return linkError("repair", s.link.peer, fmt.Errorf("%w: %w", ErrDiverged, err))
	}
	u.dropLoad()
	log := u.node.log
	if log.Confirm(s.at.Offset, r.sum) == backlog.Unknown && r.sum.From < s.at.Offset {
		if err := log.SetSum(s.at.Offset, r.sum); err != nil {
			return linkError("repair", s.link.peer, err) // the log was replaced meanwhile
		}
	}
	status := s.sync.status()
	u.lost(lost)
	u.node.count(func(c *Counters) {
		c.Repairs++
		c.RepairedKeys += int64(r.keys)
		c.RepairedBytes += status.RepairedBytes
	})
	u.node.opts.Logger.Info("repaired", "upstream", s.link.peer.Name, "keys", r.keys, "bytes", status.RepairedBytes, "lost", lost)
	s.at, s.repairing = log.Position(), nil
	s.progress()
	call(u.node.opts.Events.Repaired, Repaired{
		Peer: s.link.peer, From: status.From, Position: s.at, Keys: int64(r.keys), Entries: r.entries,
		Bytes: status.RepairedBytes, Lost: lost, Took: time.Since(r.began),
	})
	if err := s.stream(true); err != nil || len(beyond) == 0 {
		return err
	}
	return s.apply(append(appendLogHead(nil, s.at.Offset, clock), beyond...))
}
