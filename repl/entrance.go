package repl

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// An entrance is by which connections come in: its listeners, the door behind them, and all
// the goroutines of whose it is, a [Node] or a [ControlServer].
type entrance struct {
	timeout time.Duration // for a handshake
	takes   kindSet       // what a stranger may send
	logger  *slog.Logger
	secrets atomic.Pointer[[]Secret] // what is pointed to does not change

	// greet shakes hands on a link, and returns what is to be done on it, until it ends.
	greet func(*link) (serve func() error, err error)
	// refused is called for those that are turned away; it may be nil.
	refused func(Peer, error)

	leaving chan struct{}  // closed when the end begins
	wg      sync.WaitGroup // every goroutine; added to under mu while not closed

	mu struct {
		sync.Mutex
		closed    bool
		listeners []*served          // in the order of Serve
		accepted  map[*link]struct{} // whatever their state
		door      door               // those of them that are in their handshake
		told      string             // why the log's last line about a handshake says that it failed
		turned    turnedAway
	}
}

// turnedAway counts as [Counters] does.
type turnedAway struct{ handshakes, unproved, unheard int64 }

func (e *entrance) furnish(timeout time.Duration, places int, logger *slog.Logger, secrets []Secret) {
	e.timeout, e.logger, e.leaving = timeout, logger, make(chan struct{})
	e.secrets.Store(&secrets)
	e.mu.door.room = places
	e.mu.accepted = make(map[*link]struct{})
}

// start runs f in a goroutine that the end waits for. It returns false, and does
// nothing, when the entrance is closed.
func (e *entrance) start(f func()) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.mu.closed {
		return false
	}
	e.wg.Add(1)
	go func() {
		defer e.wg.Done()
		f()
	}()
	return true
}

// isLeaving reports whether the end has begun.
func (e *entrance) isLeaving() bool {
	select {
	case <-e.leaving:
		return true
	default:
		return false
	}
}

// shut closes the listeners and lets nobody in any more.
func (e *entrance) shut() {
	e.mu.Lock()
	if !e.mu.closed {
		close(e.leaving)
	}
	e.mu.closed = true // from here on nothing is added to what is recorded
	listeners := slices.Clone(e.mu.listeners)
	e.mu.Unlock()
	for _, ln := range listeners {
		ln.Close()
	}
}

// cut closes all the links that came in.
func (e *entrance) cut() {
	e.mu.Lock()
	links := make([]*link, 0, len(e.mu.accepted))
	for l := range e.mu.accepted {
		links = append(links, l)
	}
	e.mu.Unlock()
	for _, l := range links {
		l.close(ErrClosed)
	}
}

// take accepts connections on ln until the end, or that of ln, and returns [ErrClosed] or
// ln's error.
func (e *entrance) take(ln net.Listener) error {
	defer ln.Close()
	s := &served{ln, ln.Addr().String()}
	if !e.addListener(s) {
		return ErrClosed
	}
	defer e.removeListener(s)
	var pause time.Duration
	for {
		conn, err := ln.Accept()
		switch {
		case err == nil:
			pause = 0
			e.accept(conn)
		case e.isLeaving():
			return ErrClosed
		case errors.Is(err, net.ErrClosed):
			return err
		default:
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			e.logger.Warn("accept failed", "addr", s.addr, "err", err, "retry", pause)
			select {
			case <-time.After(pause):
			case <-e.leaving:
				return ErrClosed
			}
		}
	}
}

// A served listener, by a pointer of our own: a program's may be of a type that no map
// takes for a key, nor == for an operand.
type served struct {
	net.Listener
	addr string
}

func (e *entrance) addListener(s *served) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.mu.closed {
		return false
	}
	e.mu.listeners = append(e.mu.listeners, s)
	e.wg.Add(1)
	return true
}

func (e *entrance) removeListener(s *served) {
	e.mu.Lock()
	defer e.mu.Unlock()
	i := slices.Index(e.mu.listeners, s)
	e.mu.listeners = slices.Delete(e.mu.listeners, i, i+1)
	e.wg.Done()
}

// errCrowded is why a connection is closed before it was heard to the end.
var errCrowded = errors.New("repl: too many others are in their handshake")

// accept takes a connection, if there is a place for it at the door.
func (e *entrance) accept(conn net.Conn) {
	l := newLink(conn, e.timeout, e.takes)
	e.mu.Lock()
	goes := e.mu.door.admit(l)
	if goes != nil {
		e.mu.turned.unheard++
	}
	e.mu.Unlock()
	if goes != nil {
		goes.close(errCrowded)
	}
	if goes != l && !e.start(func() { e.serve(l) }) {
		l.close(ErrClosed)
	}
}

// serve runs one accepted connection from its first byte to its end.
func (e *entrance) serve(l *link) {
	l.peer.Addr = remote(l.conn)
	e.mu.Lock()
	e.mu.accepted[l] = struct{}{}
	closed := e.mu.closed
	e.mu.Unlock()
	if closed { // before the end could find the link
		l.close(ErrClosed)
	}
	// One bound for the whole handshake; the frames' own would add up.
	limit := time.AfterFunc(e.timeout, func() { l.close(ErrTimeout) })
	serve, err := e.greet(l)
	if err != nil {
		err = l.because(err) // not the reason for which a penalty ends
	}
	if wrong := (*AuthError)(nil); errors.As(err, &wrong) && wrong.Reason == AuthWrongSecret {
		e.penalize(l)
	}
	limit.Stop()

	e.mu.Lock()
	e.mu.door.leave(l)
	e.mu.Unlock()
	if err == nil {
		err = serve()
	} else {
		err = linkError("handshake", l.peer, err)
		e.turnAway(l.peer, err)
	}
	l.close(err)
	e.mu.Lock()
	delete(e.mu.accepted, l)
	e.mu.Unlock()
}

// turnAway notes that the handshake with p has failed, and tells the program.
func (e *entrance) turnAway(p Peer, err error) {
	if errors.Is(err, errCrowded) {
		return // it is counted, and there may be thousands
	}
	e.mu.Lock()
	e.mu.turned.handshakes++
	if errors.Is(err, ErrAuth) {
		e.mu.turned.unproved++
	}
	level := tellOnce(&e.mu.told, err)
	e.mu.Unlock()
	e.logger.Log(context.Background(), level, "handshake failed", "peer", p.Addr, "err", err)
	if e.refused != nil {
		e.refused(p, err)
	}
}

// welcomed notes that a handshake was good: the next that fails is news again.
func (e *entrance) welcomed() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.mu.told = ""
}

// turnedAway returns the counts of those who were not let in.
func (e *entrance) turnedAway() turnedAway {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.mu.turned
}

// hear reads the first message of a link, after its proof if there are secrets. What is
// not one that a stranger may send gets no answer. Of versions that are not spoken here it returns
// ErrVersion, which may be told.
func (e *entrance) hear(l *link) (kind, []byte, error) {
	if err := l.r.readMagic(); err != nil {
		return 0, nil, err
	}
	k, body, err := l.r.next()
	secrets := e.presentSecrets()
	switch {
	case err != nil:
		return 0, nil, err
	case k != kindChallenge && len(secrets) > 0:
		return 0, nil, &AuthError{Reason: AuthNoProof}
	case k != kindChallenge:
		return k, body, nil
	case len(secrets) == 0:
		return 0, nil, &AuthError{Reason: AuthNoSecret}
	}
	if err := l.examine(secrets, body); err != nil {
		return 0, nil, err
	}
	l.r.takes = e.takes &^ kindsOf(kindChallenge)
	return l.r.next()
}

// presentSecrets returns the secrets of a handshake that begins now.
func (e *entrance) presentSecrets() []Secret { return *e.secrets.Load() }

func (e *entrance) setSecrets(secrets []Secret) error {
	if len(secrets) == 0 {
		return &OptionError{Field: "len(Secrets)", Value: 0, Want: "1 to 4: the last cannot be taken away"}
	}
	if err := checkSecrets(secrets); err != nil {
		return err
	}
	own := slices.Clone(secrets)
	e.secrets.Store(&own)
	return nil
}

// penalize waits until the penalty is over, or the link is closed.
func (e *entrance) penalize(l *link) {
	timer := time.NewTimer(authPenalty)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-l.closed:
	case <-e.leaving:
	}
}

// firstListener returns the address of the listener that is served longest, or "" if that is
// too long to be told.
func (e *entrance) firstListener() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.mu.listeners) == 0 || len(e.mu.listeners[0].addr) > MaxAnnounceBytes {
		return ""
	}
	return e.mu.listeners[0].addr
}
