package repl

import (
	"fmt"
	"time"
)

// A promise is a replica's Ready: for some time it will take over if it is told to, on the
// same link.
type promise struct {
	order
	since time.Time // from before it was given, so that it ends here first
}

// prepare answers the question whether this node will take over. What was received before
// is applied, as messages are handled one after the other.
func (s *session) prepare(body []byte) error {
	o, err := parsePrepare(body)
	if err != nil {
		return err
	}
	if o.end != s.at {
		return fmt.Errorf("%w: order at %s, log ends at %s", ErrProtocol, o.end, s.at)
	}
	s.promise = nil
	// Sentinels that lease to the master must find a node that needs their lease in its place: they may promote
	// another one, of which this one hears nothing.
	n := s.up.node
	yes := !n.isLeaving() && (!o.armed || n.opts.Supervised)
	if yes {
		s.promise = &promise{*o, time.Now()}
	}
	if err := s.sayApplied(); err != nil { // for writers who wait for that
		return err
	}
	return s.answer(kindReady, o.id, yes)
}

func (s *session) answer(k kind, id uint64, yes bool) error {
	return s.link.say(k, answer{k, id, yes, s.up.node.announced()}.append(nil))
}

// takeOver makes this node the master, if it has promised to and the promise still holds.
// It returns ErrRoleChanged then: this was the link's last message.
func (s *session) takeOver(body []byte) error {
	id, err := parseCommit(body)
	if err != nil {
		return err
	}
	p, n := s.promise, s.up.node
	if p == nil || p.id != id {
		return fmt.Errorf("%w: commit of order %d", ErrProtocol, id)
	}
	s.promise = nil
	promoted, err := n.takeOver(s, p)
	if !promoted && err == nil {
		return s.answer(kindPromoted, id, false)
	}
	return err
}

// takeOver is promote for the goroutine that has the turn of the upstream, which has
// nothing more to apply. It waits for nobody: whoever changes the role at the same moment
// has other plans.
func (n *Node) takeOver(s *session, p *promise) (promoted bool, err error) {
	select {
	case n.changing <- struct{}{}:
	default:
		return false, nil
	}
	defer func() { <-n.changing }()
	from := n.tenure()
	// No other than the one right above the master's: sentinels count on that.
	counter := n.log.Lineage().Epoch.Counter + 1
	if n.mayBegin(counter) != nil || from.up != s.up || s.up.target() != s.to || from.valid() != nil || n.isLeaving() || n.log.Position() != p.end || time.Since(p.since) >= p.valid {
		return false, nil
	}
	if p.armed {
		n.lease.arm() // though no sentinel may ever have come through to this node
	}
	n.beginEpoch(counter)
	next := n.newTenure(RoleMaster, nil)
	n.begin(next)
	n.pathChanged()
	// Only now, so that it is found a master when the old one dials; and before the link
	// ends of it. If this does not get through, the old master stays closed all the same.
	s.link.hurry(lastWordPatience)
	s.answer(kindPromoted, p.id, true)
	from.end(ErrRoleChanged)
	close(from.over)
	n.tell(RoleChange{Role: RoleMaster, Position: n.log.Position()})
	n.obey(n.opts.Name)
	return true, ErrRoleChanged
}
