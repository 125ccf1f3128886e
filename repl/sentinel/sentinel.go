package sentinel

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/emberkv/ember/repl"
)

// A Sentinel watches a group, together with others. Make one with [New]. Its methods may be
// called concurrently, and by Options.OnEvent, except Close, which waits for that.
type Sentinel struct {
	opts    *Options
	desk    *desk
	server  *repl.ControlServer
	herald  *herald
	scripts *scriptQueue
	ended   chan struct{} // closed when the desk has ended
	closing sync.Once

	// mu guards what the desk has published last.
	mu struct {
		sync.Mutex
		reign   Reign
		changed chan struct{} // closed and renewed with it
		status  *Status       // the last, when the desk has ended
	}
}

// New makes a sentinel, which begins to watch. It finds the master and everybody else by
// itself; peers find it when [Sentinel.Serve] is called. For DownAfter from its start, or for
// that of its last life if it was longer, it grants no lease and gives no vote, except to a
// sentinel that was told to fail over, as it cannot know what it has promised before.
//
// Errors are a [*repl.OptionError]; a [*ScriptError]; [ErrState], as a [*StateError], for a state in
// Options.Store that is damaged or another's; and what the store returns.
func New(opts *Options) (*Sentinel, error) {
	o, err := opts.normalize()
	if err != nil {
		return nil, err
	}
	m, err := recall(o.Store, o.Group, o.ID)
	if err != nil {
		return nil, err
	}
	if o.ID = m.id; o.Name == "" {
		o.Name = o.ID.String()[:8]
	}
	s := &Sentinel{opts: o, ended: make(chan struct{})}
	s.mu.changed = make(chan struct{})
	s.mu.reign = m.reign
	if s.server, err = repl.NewControlServer(o.control(), s.answer); err != nil {
		return nil, err
	}
	tell := o.OnEvent
	if tell == nil {
		tell = func(Event) {}
	}
	s.herald = newHerald(tell)
	s.scripts = newScriptQueue(o.Scripts, o.Logger, func(k EventKind, text string) {
		s.herald.put(Event{Kind: k, Time: time.Now(), Group: o.Group, Master: s.Master().instance(), Text: text})
	})
	s.desk = newDesk(s, m, time.Now())
	go func() {
		defer close(s.ended)
		s.desk.run()
	}()
	return s, nil
}

// Serve answers other sentinels and clients on ln until Close is called or ln is closed, and
// returns [ErrClosed] or ln's error. It closes ln. After its first call peers are told ln's
// address, unless Options.Announce says another.
func (s *Sentinel) Serve(ln net.Listener) error {
	addr := s.opts.Announce
	if addr == "" && ln.Addr() != nil {
		addr = ln.Addr().String()
	}
	if len(addr) <= repl.MaxAnnounceBytes {
		s.desk.post(func(now time.Time) { s.desk.announce(addr, now) })
	}
	err := s.server.Serve(ln)
	if errors.Is(err, repl.ErrClosed) {
		return ErrClosed
	}
	return err
}

// SetSecrets replaces Options.Secrets, for links that are made from now on. Links that are up stay
// up. See [repl.Node.SetSecrets] for how a group gets new ones without losing a link. Errors are a
// [*repl.OptionError] and ErrClosed.
func (s *Sentinel) SetSecrets(secrets []repl.Secret) error {
	secrets = slices.Clone(secrets)
	if err := s.server.SetSecrets(secrets); err != nil {
		return err
	}
	if !s.desk.ask(func(time.Time) {
		control := *s.desk.control.Load()
		control.Secrets = secrets
		s.desk.control.Store(&control)
	}) {
		return ErrClosed
	}
	return nil
}

// ID returns the sentinel's id.
func (s *Sentinel) ID() repl.NodeID { return s.opts.ID }

// Master returns the newest master that the sentinel knows of, whether or not it can be reached. It is
// the zero Reign before the first was found. Once another is promoted, it is that.
func (s *Sentinel) Master() Reign {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.reign
}

// Reset forgets all nodes but the master, and all other sentinels, and finds anew who is
// there: from Options.Monitor, the master and its followers, and from what sentinels post
// there, which takes some round trips. What it has voted, and promised to the master, stays;
// a failover or an election of its own that is under way is given up, with [ErrAborted]; and
// for DownAfter it stands in no other, as it does not know how many a majority is, and a
// call of Failover waits that long.
//
// It is for when sentinels or nodes were removed for good. A sentinel that has answered
// once, and does not any more, counts for the majority: here until Reset, or until a new one
// is found at its address; and in an election as long as the candidate, or a sentinel that
// votes for it, counts it. So close it, wait a minute, during which nodes still show what it
// has posted, and reset the others, one after the other, each when the one before has found
// the rest again, as [Sentinel.Status] says. One that was told of, but has never answered,
// is forgotten when nobody has told of it for Options.ForgetAfter, and with the next start.
// Reset returns [ErrClosed].
func (s *Sentinel) Reset() error {
	if !s.desk.ask(s.desk.reset) {
		return ErrClosed
	}
	return nil
}

// CheckQuorum returns how many sentinels can be reached, this one included. The error is
// [ErrNoQuorum] if there are fewer than Options.Quorum or than a majority: then no failover
// is possible now. Like Redis' SENTINEL CKQUORUM.
func (s *Sentinel) CheckQuorum() (usable int, err error) {
	if !s.desk.ask(func(time.Time) {
		v := s.desk.view
		usable = 1
		for _, p := range v.peers {
			if p.linked && p.downSince.IsZero() {
				usable++
			}
		}
		switch {
		case usable < v.opts.Quorum:
			err = fmt.Errorf("%w: %d of %d sentinels can be reached, the quorum is %d", ErrNoQuorum, usable, v.sentinels(), v.opts.Quorum)
		case usable < v.majority():
			err = fmt.Errorf("%w: %d of %d sentinels can be reached, which is no majority", ErrNoQuorum, usable, v.sentinels())
		}
	}) {
		return 0, ErrClosed
	}
	return usable, err
}

// Failover makes another node the master, although the present one may be there. No other sentinel has to find that
// down, but a majority has to vote for the failover, as the epoch must be nobody else's; leases see to it that two
// never write at once. The old master is told to step down first, if it can be reached, so that mostly nothing is
// lost. If it cannot be, it may go on writing under a lease of other sentinels; the failover waits for DownAfter,
// until that has run out, and Options.MinHeard says how much of what it wrote is kept. [Sentinel.Handover] is
// certain to lose nothing.
//
// It blocks until the new master is there, or until it is clear that there will be none, or
// ctx ends, after which the failover goes on. Errors are ctx's, [ErrInProgress], [ErrNoMaster], [ErrClosed],
// and those at [ErrNoGoodSlave].
func (s *Sentinel) Failover(ctx context.Context) error {
	result := make(chan error, 1)
	if !s.desk.post(func(now time.Time) { s.desk.demand(now, func(err error) { result <- err }) }) {
		return ErrClosed
	}
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-s.ended:
		return ErrClosed
	}
}

// Handover has the master hand over to the node to, one of its followers, as
// [repl.Master.Handover] does: writers wait for some milliseconds, and nothing is lost. It blocks
// until that is done, and this sentinel knows the new master. The context must have a
// deadline. Errors are ctx's, [ErrInProgress], [ErrNoMaster], [ErrClosed], [repl.ErrNoDeadline],
// and those of [repl.Control.Order]; after these the old master goes on, unless it is an
// [repl.ErrInDoubt].
func (s *Sentinel) Handover(ctx context.Context, to repl.NodeID) error {
	deadline, ok := ctx.Deadline()
	if !ok {
		return repl.ErrNoDeadline
	}
	result := make(chan error, 1)
	if !s.desk.post(func(now time.Time) {
		s.desk.handOver(to, deadline.Sub(now), func(err error) { result <- err })
	}) {
		return ErrClosed
	}
	select {
	case err := <-result:
		if err != nil {
			return err
		}
	case <-ctx.Done():
		return ctx.Err()
	case <-s.ended:
		return ErrClosed
	}
	for reign, changed := s.published(); reign.ID != to; reign, changed = s.published() {
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		case <-s.ended:
			return ErrClosed
		}
	}
	return nil
}

// published returns the master, and a channel that is closed when there is another, or it is
// elsewhere.
func (s *Sentinel) published() (Reign, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.reign, s.mu.changed
}

// Close ends the watch. It kills scripts, and waits for them, for Options.OnEvent and for
// everything else that runs. What was promised to the master runs out; others see that this
// sentinel is down. Options.Store stays open. Close may be called more than once, and returns
// nil.
func (s *Sentinel) Close() error {
	s.closing.Do(func() {
		s.desk.cancel()
		<-s.ended
		s.server.Close()
		s.scripts.close()
		s.herald.close()
	})
	return nil
}
