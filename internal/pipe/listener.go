package pipe

import (
	"context"
	"net"
	"sync"
	"syscall"
)

// BacklogConns is how many connections wait in a [Listener] for Accept. A dial
// beyond it waits, as one does whose SYN a full kernel queue has dropped.
const BacklogConns = 128

// A Listener hands connections from those who dial to the one who accepts. All
// methods may be called concurrently.
type Listener struct {
	addr    net.Addr
	onClose func() // gives the name back; called once, without the lock

	mu struct {
		sync.Mutex
		changed sync.Cond // queue or closed
		queue   []net.Conn
		closed  bool
	}
}

// NewListener returns an open listener. onClose is called once, by the first
// Close, before that returns.
func NewListener(addr net.Addr, onClose func()) *Listener {
	l := &Listener{addr: addr, onClose: onClose}
	l.mu.changed.L = &l.mu
	return l
}

// Offer queues c for Accept. It blocks while the queue is full, until ctx ends.
// On an error c is still the caller's: [syscall.ECONNREFUSED] when the listener
// is closed, else ctx.Err.
func (l *Listener) Offer(ctx context.Context, c net.Conn) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.mu.queue) >= BacklogConns && !l.mu.closed {
		stop := context.AfterFunc(ctx, func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.mu.changed.Broadcast()
		})
		defer stop()
	}
	for {
		switch {
		case l.mu.closed:
			return syscall.ECONNREFUSED
		case ctx.Err() != nil:
			return ctx.Err()
		case len(l.mu.queue) < BacklogConns:
			l.mu.queue = append(l.mu.queue, c)
			l.mu.changed.Broadcast()
			return nil
		}
		l.mu.changed.Wait()
	}
}

// Accept returns the connection that waited longest. It blocks until there is
// one or the listener is closed; then it returns [net.ErrClosed].
func (l *Listener) Accept() (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.mu.queue) == 0 && !l.mu.closed {
		l.mu.changed.Wait()
	}
	if l.mu.closed {
		return nil, OpError("accept", nil, l.addr, net.ErrClosed)
	}
	c := l.mu.queue[0]
	l.mu.queue[0] = nil
	l.mu.queue = l.mu.queue[1:]
	l.mu.changed.Broadcast()
	return c, nil
}

// Close ends blocked and later calls and closes the connections that nobody has
// accepted: their dialers read io.EOF instead of waiting for an answer. A
// second Close returns [net.ErrClosed].
func (l *Listener) Close() error {
	l.mu.Lock()
	if l.mu.closed {
		l.mu.Unlock()
		return OpError("close", nil, l.addr, net.ErrClosed)
	}
	l.mu.closed = true
	queue := l.mu.queue
	l.mu.queue = nil
	l.mu.changed.Broadcast()
	l.mu.Unlock()

	l.onClose()
	for _, c := range queue {
		c.Close()
	}
	return nil
}

// Addr returns the address that the listener was made with.
func (l *Listener) Addr() net.Addr { return l.addr }
