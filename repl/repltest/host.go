package repltest

import (
	"context"
	"fmt"
	"net"
	"syscall"

	"github.com/emberkv/ember/internal/pipe"
	"github.com/emberkv/ember/repl"
)

var _ repl.Transport = (*Host)(nil)

// A Host is one node's view of a [Network]: the repl.Transport to give to that
// node. Addresses are names, usually the host's own. The host that is dialed
// decides over which [Link] the connection goes.
type Host struct {
	network *Network
	name    string
	number  int

	stalled bool // guarded by network.mu
}

// Name returns the name that the host was made with.
func (h *Host) Name() string { return h.name }

// Stall holds everything that the host sends and that is sent to it, dials
// included, until [Host.Resume]: as the others see it, its process was stopped.
// Nothing is lost. It comes on top of the links' own faults.
func (h *Host) Stall() { h.setStalled(true) }

// Resume ends Stall: what was held arrives now.
func (h *Host) Resume() { h.setStalled(false) }

func (h *Host) setStalled(on bool) {
	h.network.mu.Lock()
	defer h.network.mu.Unlock()
	h.stalled = on
	h.network.changedLocked()
}

// Listen takes addr, which must not be empty, until the listener is closed.
// Errors are those of repl.Memory, and [net.ErrClosed] after the network's Close.
func (h *Host) Listen(addr string) (net.Listener, error) {
	n := h.network
	at := networkAddr(addr)
	n.mu.Lock()
	defer n.mu.Unlock()
	a := n.mu.addrs[addr]
	switch {
	case n.mu.closed:
		return nil, pipe.OpError("listen", nil, at, net.ErrClosed)
	case addr == "":
		return nil, pipe.OpError("listen", nil, at, syscall.EINVAL)
	case a == nil:
		a = &address{}
		n.mu.addrs[addr] = a
	case a.listener != nil:
		return nil, pipe.OpError("listen", nil, at, syscall.EADDRINUSE)
	}
	a.host = h
	a.listener = pipe.NewListener(at, func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		a.listener = nil
	})
	return a.listener, nil
}

// Dial connects to the host that listens on addr. It takes the delays of both
// directions, and blocks while the link between the hosts is stalled, hangs or
// is a black hole, or the listener's queue is full, until ctx ends.
//
// Errors are a [*net.OpError] around syscall.ECONNREFUSED when nobody listens or
// the link refuses, [net.ErrClosed] after the network's Close, or ctx.Err.
func (h *Host) Dial(ctx context.Context, addr string) (net.Conn, error) {
	d := &dial{from: h, addr: addr}
	c, err := d.run(ctx)
	if err != nil {
		return nil, pipe.OpError("dial", nil, networkAddr(addr), err)
	}
	return c, nil
}

// A dial is a connection in the making.
type dial struct {
	from *Host
	addr string

	// Set by start.
	out, back *stream
}

func (d *dial) run(ctx context.Context) (near *endpoint, err error) {
	n := d.from.network
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := d.start(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			n.mu.Lock()
			d.out.direction.stats.Failed++
			n.mu.Unlock()
		}
	}()
	if _, err := d.passage(ctx); err != nil {
		return nil, err
	}
	if err := d.travel(ctx, d.out); err != nil {
		return nil, err
	}
	// The link may have changed on the way, and the listener too.
	l, err := d.passage(ctx)
	if err != nil {
		return nil, err
	}
	near, far, err := d.establish()
	if err != nil {
		return nil, err
	}
	if err = l.Offer(ctx, far); err != nil {
		far.Close()
	} else {
		err = d.travel(ctx, d.back)
	}
	if err != nil {
		near.Close()
		return nil, err
	}
	return near, nil
}

// start numbers the dial, which decides what is random about its connection.
func (d *dial) start() error {
	n := d.from.network
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.mu.closed {
		return net.ErrClosed
	}
	a := n.mu.addrs[d.addr]
	if a == nil {
		return syscall.ECONNREFUSED
	}
	there, back := n.directionLocked(d.from, a.host), n.directionLocked(a.host, d.from)
	number := there.stats.Dials
	there.stats.Dials++
	id := mix(n.seed, fmt.Sprintf("%s>%s#%d", d.from.name, a.host.name, number))
	d.out = newStream(n, there, mix(id, "out"), 2*number)
	d.back = newStream(n, back, mix(id, "back"), 2*number+1)
	return nil
}

// passage waits until the link lets the dial pass and returns who listens.
func (d *dial) passage(ctx context.Context) (*pipe.Listener, error) {
	n := d.from.network
	for {
		n.mu.Lock()
		closed, changed := n.mu.closed, n.mu.changed
		there, back := d.out.direction, d.back.direction
		blocked := there.hang || there.blackhole || back.blackhole || there.heldLocked() || back.heldLocked()
		refused := there.refuse
		l := n.mu.addrs[d.addr].listener
		n.mu.Unlock()
		switch {
		case closed:
			return nil, net.ErrClosed
		case !blocked && (refused || l == nil):
			return nil, syscall.ECONNREFUSED
		case !blocked:
			return l, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// travel waits for as long as an empty packet takes in the stream's direction.
func (d *dial) travel(ctx context.Context, s *stream) error {
	n := d.from.network
	n.mu.Lock()
	wait := s.dueLocked(0) - n.now()
	n.mu.Unlock()
	return sleep(ctx, wait)
}

// establish makes the connection known to the network.
func (d *dial) establish() (near, far *endpoint, err error) {
	n := d.from.network
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.mu.closed {
		return nil, nil, net.ErrClosed
	}
	c := newConn(n, d.out, d.back, d.addr)
	c.openLocked()
	return c.near, c.far, nil
}

func networkAddr(name string) net.Addr { return pipe.Addr{Net: "repltest", Name: name} }
