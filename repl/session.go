package repl

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/emberkv/ember/backlog"
)

// A session is one connection of a replica to its upstream. One goroutine
// dials, reads, applies and acks, so that what is acked as applied is applied.
type session struct {
	up   *upstream
	to   *target
	link *link

	phase       phase
	reason      backlog.Refusal  // agreeing: why a full copy is needed
	parted      bool             // the upstream has said where the two have parted
	repairing   *repairing       // of phaseRepairing
	notRepaired string           // why there is a full copy in its place
	sync        *syncRecord      // what this link brings; nil before that is agreed
	began       time.Time        // of the link
	from        int64            // where the log on it began
	lacking     bool             // a partial resync has not brought everything
	at          backlog.Position // streaming: the end of what was received and applied
	goal        int64            // the upstream's end when the link came up
	echo        uint64           // newest heartbeat
	promise     *promise         // to take over; nil for none
	telling     telling          // of the goroutine that tells what the disk has

	// said is what the last ack has said, and after how much had been read.
	said struct {
		applied int64
		echo    uint64
		read    int64
	}
}

// A phase says which messages a session takes.
type phase uint8

const (
	phaseDecision  phase = iota // Continue or FullSync is due
	phaseAgreement              // SyncStart is sent, SyncBegin is due
	phaseLoading                // blocks and log
	phaseRepairing              // Tail is sent: blocks, SyncEnd and log, or FullSync
	phaseStreaming              // log
)

// session runs one connection from the dial to its end, and says why it ended.
func (u *upstream) session(ctx context.Context, to *target) error {
	l, err := u.connect(ctx, to.addr)
	if err != nil && ctx.Err() != nil {
		err = linkError("dial", Peer{Addr: to.addr}, endOf(ctx))
	}
	if err != nil {
		u.down(nil, err)
		if f := u.node.opts.Events.Disconnected; f != nil {
			f(Peer{Addr: to.addr, Upstream: true}, err)
		}
		return err
	}
	l.turn = make(chan struct{}, 1)
	stop := context.AfterFunc(ctx, func() { l.leave(endOf(ctx)) })
	defer stop()
	o := u.node.opts
	o.Logger.Log(ctx, u.newsOfLink(to), "connected", "upstream", l.peer.Name, "addr", l.peer.Addr, "compression", l.compression())
	call(o.Events.Connected, l.peer)

	since := u.lastWorked()
	s := &session{up: u, to: to, link: l, began: time.Now(), goal: l.with.end}
	l.r.beat = func(body []byte) error {
		// Answered at once: a large message may take longer than the upstream
		// waits for a sign of life.
		if err := s.heartbeat(body); err != nil {
			return err
		}
		return s.ack()
	}
	err = s.receive()
	if err == ErrRoleChanged { // by the master's order; ctx may have heard of it first
		l.leave(err)
	}
	l.close(err)
	s.telling.Wait()
	l.release()
	err = linkError("follow", l.peer, l.because(err))
	s.sync.end(err)
	if u.load != nil {
		u.load.interrupted()
	} else if s.phase == phaseLoading {
		u.wasted(since)
	}
	if anyOf(err, ErrCycle, backlog.ErrTrimmed) || errors.Is(err, ErrReplaced) && time.Since(s.began) < 2*maxReconnect {
		// Else all of a ring would come again at once, and two nodes with one id in place of each
		// other, and one who is outrun for copy upon copy.
		u.wasted(since)
	}
	u.down(to, err)
	if f := o.Events.Disconnected; f != nil {
		f(l.peer, err)
	}
	return err
}

func anyOf(err error, those ...error) bool {
	return slices.ContainsFunc(those, func(e error) bool { return errors.Is(err, e) })
}

// endOf returns why a link whose context has ended is closed. A Run whose own
// context ends closes it as Close does.
func endOf(ctx context.Context) error {
	if cause := context.Cause(ctx); cause == ErrRepointed || cause == ErrRoleChanged {
		return cause
	}
	return ErrClosed
}

// receive reads and handles messages until something ends the link.
func (s *session) receive() error {
	for {
		k, body, err := s.link.r.next()
		if err == nil {
			// What had arrived before the link was closed can still be read, but must
			// not be applied: whoever has closed it counts on that.
			err = s.link.because(nil)
		}
		if err != nil {
			return err
		}
		if err := s.handle(k, body); err != nil {
			return err
		}
		if err := s.ack(); err != nil {
			return s.lastWord(err)
		}
	}
}

// lastWordPatience bounds the search for a refusal on a link that has failed.
const lastWordPatience = time.Second

// lastWord returns why the upstream has closed the link, if it said so, in place
// of the error that writing to a closed link gives: the refusal may have arrived
// and wait behind log that was not read yet. That log is sent again.
func (s *session) lastWord(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return err // it lives, but takes nothing
	}
	r := s.link.r
	r.timeout = lastWordPatience
	r.beat = func([]byte) error { return nil }
	for begun := time.Now(); time.Since(begun) < lastWordPatience; {
		k, body, readErr := r.next()
		switch {
		case readErr != nil:
			return err
		case k == kindRefuse:
			return parseRefuse(body)
		}
	}
	return err
}

// handle does what a message says, if its kind belongs into the phase.
func (s *session) handle(k kind, body []byte) error {
	if k == kindLog || k == kindBlock || k == kindSyncEnd {
		if err := s.ranks(); err != nil {
			return err
		}
	}
	if s.phase == phaseDecision && k != kindHeartbeat && k != kindPlace {
		s.up.setPlace(0)
	}
	switch {
	case k == kindHeartbeat:
		return s.heartbeat(body)
	case k == kindRefuse:
		return parseRefuse(body)
	case k == kindPlace && s.phase == phaseDecision:
		return s.heardTurn(body)
	case k == kindContinue && s.phase == phaseDecision:
		return s.resume(body)
	case k == kindParted && s.phase == phaseDecision:
		return s.considerRepair(body)
	case k == kindBlock && s.phase == phaseRepairing:
		return s.repairBlock(body)
	case k == kindSyncEnd && s.phase == phaseRepairing:
		return s.agreeRepair(body)
	case k == kindLog && s.phase == phaseRepairing:
		return s.repairLog(body)
	case k == kindFullSync && (s.phase == phaseDecision || s.phase == phaseRepairing):
		return s.considerCopy(body)
	case k == kindSyncBegin && s.phase == phaseAgreement:
		return s.beginCopy(body)
	case k == kindBlock && s.phase == phaseLoading:
		return s.loadBlock(body)
	case k == kindPlace && s.phase == phaseLoading:
		return s.heardPlace(body)
	case k == kindSyncEnd && s.phase == phaseLoading:
		return s.endCopy(body)
	case k == kindLog && s.phase == phaseLoading:
		return s.loadLog(body)
	case k == kindLog && s.phase == phaseStreaming:
		return s.apply(body)
	case k == kindHistory && s.phase == phaseStreaming:
		return s.learn(body)
	case k == kindPrepare && s.phase == phaseStreaming:
		return s.prepare(body)
	case k == kindCommit && s.phase == phaseStreaming:
		return s.takeOver(body)
	}
	err := fmt.Errorf("%w: %v out of place", ErrProtocol, k)
	s.link.refuse(err)
	return err
}

func (s *session) heartbeat(body []byte) error {
	h, err := parseHeartbeat(body)
	if err != nil {
		return err
	}
	if h.seq <= s.echo {
		return fmt.Errorf("%w: heartbeat %d after %d", ErrProtocol, h.seq, s.echo)
	}
	s.echo = h.seq
	s.up.heard(h.clock, h.end, s.link.r)
	s.up.heardCrowd(s.to, h.few)
	if err := s.up.heardPath(s.link, h.path); err != nil {
		s.link.refuse(err)
		return err
	}
	s.up.freshen(func() { s.up.fresh.beat(&h, s.at.Offset) })
	s.link.theirs = h.heard
	if err := s.ranks(); err != nil {
		return err
	}
	if s.phase == phaseStreaming {
		s.up.working()
	}
	return nil
}
