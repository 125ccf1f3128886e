package repl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/internal/pack"
	"github.com/emberkv/ember/rdb"
)

// A link is one connection after its two ends have found out about each other.
// Each direction belongs to one goroutine, or is used in turn; close may be called by any.
type link struct {
	conn net.Conn
	r    *frameReader
	w    *frameWriter
	peer Peer
	with *hello          // what the peer said of itself
	told backlog.History // the newest that a follower was told of

	// related says that both ends share a history, so that epochs mean the same at both,
	// and theirs is what a follower's upstream has told last. Each belongs to the goroutine
	// that reads.
	related bool
	theirs  standing

	// turn is held by whoever writes a message, where more than one goroutine does: at a
	// follower, one of which tells what its disk has. Nil elsewhere.
	turn chan struct{}

	packs pack.Algorithm // how the frames from the upstream are packed; agreed in the handshake

	secret int  // which of this node's secrets the peer has proved to know, from 1; 0 for none
	sealed bool // the frames are encrypted

	once   sync.Once
	closed chan struct{} // closed by close
	cause  error         // set before closed is closed
}

// newLink returns the link on conn before its handshake, in which the peer may
// send what takes says.
func newLink(conn net.Conn, timeout time.Duration, takes kindSet) *link {
	l := &link{
		conn:   conn,
		r:      newFrameReader(conn, timeout),
		w:      &frameWriter{conn: conn, timeout: timeout},
		closed: make(chan struct{}),
	}
	l.r.takes = takes
	return l
}

// close closes the connection, for reason err if it is the first to do so, and
// so ends whatever the link's goroutines are blocked in.
func (l *link) close(err error) {
	l.once.Do(func() {
		l.cause = err
		close(l.closed)
		l.conn.Close()
	})
}

// leave is close for a follower that goes for a reason of its own: the upstream is told, if it
// takes that at once.
func (l *link) leave(err error) {
	l.once.Do(func() {
		l.cause = err
		close(l.closed) // first: nothing that comes from now on is applied
		l.sayFarewell(err)
		l.conn.Close()
	})
}

func (l *link) sayFarewell(err error) {
	grace := time.NewTimer(closeGrace)
	defer grace.Stop()
	select {
	case l.turn <- struct{}{}:
	case <-grace.C: // the upstream takes nothing
		return
	}
	defer func() { <-l.turn }()
	l.w.timeout = closeGrace
	l.w.write(kindRefuse, appendRefuse(nil, err), nil)
}

// hurry bounds what a frame that is written from now on may take.
func (l *link) hurry(timeout time.Duration) {
	l.turn <- struct{}{}
	defer func() { <-l.turn }()
	l.w.timeout = timeout
}

// release lets go of the link's coders. It is called when the link is closed and
// both of its goroutines have ended.
func (l *link) release() {
	l.r.dec.Close()
	l.w.enc.Close()
}

// compression returns how what comes from the upstream is compressed.
func (l *link) compression() rdb.Compression { return rdb.Compression(l.packs) }

// because returns the reason for which the link was closed, in place of the
// error that closing has caused; or err, if it was not closed by us.
func (l *link) because(err error) error {
	select {
	case <-l.closed:
		return l.cause
	default:
		return err
	}
}

// refuse tells the peer why the link ends and closes it. The peer may not get
// to read it.
func (l *link) refuse(err error) {
	l.say(kindRefuse, appendRefuse(nil, err))
	l.close(err)
}

// say writes a short message, in its turn.
func (l *link) say(k kind, body []byte) error {
	if l.turn != nil {
		l.turn <- struct{}{} // for as long as a frame may take
		defer func() { <-l.turn }()
	}
	return l.w.write(k, body, nil)
}

// settle sets what holds after the handshake.
func (l *link) settle(o *Options, takes kindSet) {
	patience := max(o.Timeout, 3*l.with.heartbeat)
	l.w.timeout = patience
	l.r.trust(patience, takes)
}

// unexpected returns err, and for io.EOF what that is on a link.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// tellOnce returns the level at which the log is told of err: Info, or Debug if told,
// which is what it was told last, is the same except for the address. An end that cannot be
// talked to is tried, or tries, up to two hundred times a second.
func tellOnce(told *string, err error) slog.Level {
	text := err.Error()
	if link := (*LinkError)(nil); errors.As(err, &link) {
		text = link.reason()
	}
	if text == *told {
		return slog.LevelDebug
	}
	*told = text
	return slog.LevelInfo
}

// linkError wraps err, which ended a link while it did op, once.
func linkError(op string, p Peer, err error) error {
	var already *LinkError
	if err == nil || errors.As(err, &already) {
		return err
	}
	if late := errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded); late && !errors.Is(err, ErrTimeout) {
		err = fmt.Errorf("%w: %w", ErrTimeout, err)
	}
	err = unexpected(err)
	err = tlsReason(err)
	return &LinkError{Op: op, Peer: p.known(), Err: err}
}

// known returns what is known of a peer, for an error's text.
func (p *Peer) known() string {
	if p.Name == "" {
		return p.Addr
	}
	return fmt.Sprintf("%s (%s)", p.Addr, p.Name)
}
