package repl

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"sync/atomic"
)

// A ControlServer answers on control links without being a node: a sentinel listens with it,
// for other sentinels and for whoever asks. See [Control.Call] for the other end.
type ControlServer struct {
	opts   *ControlOptions
	handle CallHandler
	ctx    context.Context // ends with Close
	cancel context.CancelFunc

	entrance

	links atomic.Int64 // that have a place
}

// A CallHandler answers a call of the peer from: with at most MaxCallBytes, which it may not change
// afterwards, or with an error, whose text the peer gets. The body is the handler's own. Handlers are called
// concurrently, up to MaxRequests for each link, and may take their time: ctx ends with the link and with the
// server, whose Close waits for handlers.
type CallHandler func(ctx context.Context, from Peer, body []byte) ([]byte, error)

// NewControlServer returns a server that has no listener yet, or an [*OptionError].
func NewControlServer(opts *ControlOptions, handle CallHandler) (*ControlServer, error) {
	o, err := opts.normalize()
	if err != nil {
		return nil, err
	}
	if handle == nil {
		return nil, &OptionError{Field: "handle", Value: nil, Want: "a function"}
	}
	s := &ControlServer{opts: o, handle: handle}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.furnish(o.HandshakeTimeout, o.MaxHandshakes, o.Logger, o.Secrets)
	s.takes, s.greet = kindsOf(kindChallenge, kindControl), s.greeted
	return s, nil
}

// Serve accepts control links on ln, as [Node.Serve] does.
func (s *ControlServer) Serve(ln net.Listener) error { return s.take(ln) }

// SetSecrets replaces the secrets, as [Node.SetSecrets] does.
func (s *ControlServer) SetSecrets(secrets []Secret) error { return s.setSecrets(secrets) }

// Announced returns where peers are told to reach the server: what the options say, or the
// address of the first listener that is served.
func (s *ControlServer) Announced() string {
	if s.opts.Announce != "" {
		return s.opts.Announce
	}
	return s.firstListener()
}

// Close closes every listener and link, and waits for what is under way. It may be called
// more than once, and returns nil.
func (s *ControlServer) Close() error {
	s.shut()
	s.cancel()
	s.cut()
	s.wg.Wait()
	return nil
}

// greeted is the server's half of the handshake.
func (s *ControlServer) greeted(l *link) (serve func() error, err error) {
	k, body, err := s.hear(l)
	if err != nil {
		return nil, err
	}
	if k != kindControl {
		return nil, fmt.Errorf("%w: %v out of place", ErrProtocol, k)
	}
	own, entered := s.opts.introduction(), false
	own.announce = s.Announced()
	err = l.meet(body, own, func(*introduction) error {
		err := s.enter()
		entered = err == nil
		return err
	})
	if err != nil {
		if entered {
			s.links.Add(-1)
		}
		return nil, err
	}
	return func() error { return s.answer(l) }, nil
}

// enter takes one of MaxLinks places.
func (s *ControlServer) enter() error {
	if s.links.Add(1) > int64(s.opts.MaxLinks) {
		s.links.Add(-1)
		return ErrBusy
	}
	return nil
}

// answer answers until the link ends.
func (s *ControlServer) answer(l *link) error {
	defer s.links.Add(-1)
	s.welcomed()
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	a := newAnswerer(l, s.leaving, nil)
	calls := make(chan struct{}, MaxRequests)
	err := a.run(func(r request) error {
		if r.what != askCall {
			a.answer(reply{number: r.number, err: ErrNotAsked})
			return nil
		}
		select {
		case calls <- struct{}{}:
		case <-l.closed:
			return l.cause
		}
		body := bytes.Clone(r.body)
		s.start(func() {
			a.answer(s.call(ctx, r.number, l.peer, body))
			<-calls // only now: an answer that is not taken counts, too
		})
		return nil
	})
	s.opts.Logger.Info("control link ended", "peer", l.peer.Name, "addr", l.peer.Addr, "err", err)
	return err
}

func (s *ControlServer) call(ctx context.Context, number uint64, from Peer, body []byte) reply {
	answer, err := s.handle(ctx, from, body)
	if err == nil && len(answer) > MaxCallBytes {
		err = fmt.Errorf("%w: answer of %d bytes, limit %d", ErrLimit, len(answer), MaxCallBytes)
	}
	if err != nil {
		return reply{number: number, err: err}
	}
	return reply{number: number, body: answer}
}
