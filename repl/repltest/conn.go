package repltest

import (
	"fmt"
	"slices"
)

// A Conn is a connection as the network sees it: a handle, from [Link.Conns],
// to break only this one. The nodes hold its two ends.
type Conn struct {
	network   *Network
	out, back *stream   // from the host that dialed; to it
	near, far *endpoint // of the host that dialed; of the one that listens
	addr      string

	// Guarded by network.mu.
	open    bool // neither reset nor closed by both ends
	reset   bool
	stalled bool
}

func newConn(n *Network, out, back *stream, addr string) *Conn {
	c := &Conn{network: n, out: out, back: back, addr: addr}
	out.conn, back.conn = c, c
	local := networkAddr(fmt.Sprintf("%s#%d", out.direction.from.name, out.turn/2))
	c.near = &endpoint{conn: c, in: back, out: out, local: local, remote: networkAddr(addr)}
	c.far = &endpoint{conn: c, in: out, out: back, local: networkAddr(addr), remote: local}
	return c
}

// Dialer returns the name of the host that dialed.
func (c *Conn) Dialer() string { return c.out.direction.from.name }

// Listener returns the name of the host that was dialed.
func (c *Conn) Listener() string { return c.out.direction.to.name }

// Cut resets the connection; see [Link.Cut].
func (c *Conn) Cut() {
	c.network.mu.Lock()
	defer c.network.mu.Unlock()
	c.cutLocked()
}

// HalfOpen silences the connection for good, both ways; see [Link.HalfOpen].
func (c *Conn) HalfOpen() {
	c.network.mu.Lock()
	defer c.network.mu.Unlock()
	c.out.lost, c.back.lost = true, true
}

// Stall holds what is under way and what is sent on this connection until
// [Conn.Resume], while the host may make others: so that bytes of an old
// connection arrive after those of a new one.
func (c *Conn) Stall() { c.setStalled(true) }

// Resume ends Stall: what was held arrives now.
func (c *Conn) Resume() { c.setStalled(false) }

func (c *Conn) setStalled(on bool) {
	c.network.mu.Lock()
	defer c.network.mu.Unlock()
	c.stalled = on
	c.settleLocked()
}

// openLocked enters the connection into the network's books and gives it what
// was planned for the next one.
func (c *Conn) openLocked() {
	n := c.network
	c.open = true
	n.mu.conns = append(n.mu.conns, c)
	c.out.direction.stats.Open++
	rec := n.mu.recorder.begin(c)
	for i, s := range []*stream{c.out, c.back} {
		s.direction.streams = append(s.direction.streams, s)
		s.wasHeld = s.heldLocked()
		s.mangler.plan = s.direction.takePlanLocked()
		if rec != nil {
			s.recording = &rec.sent[i]
		}
	}
	if c.out.mangler.cut == 0 || c.back.mangler.cut == 0 {
		c.cutLocked()
	}
}

// finishLocked takes the connection out of the books.
func (c *Conn) finishLocked() {
	if !c.open {
		return
	}
	n := c.network
	c.open = false
	n.mu.conns = slices.DeleteFunc(n.mu.conns, func(x *Conn) bool { return x == c })
	c.out.direction.stats.Open--
	for _, s := range []*stream{c.out, c.back} {
		s.direction.removeLocked(s)
		s.dropLocked()
		s.stopLocked()
	}
}

// cutLocked resets the connection unless it is no longer open.
func (c *Conn) cutLocked() {
	if !c.open {
		return
	}
	c.reset = true
	c.finishLocked()
	c.wakeLocked()
}

// settleLocked makes both ends look at the connection anew.
func (c *Conn) settleLocked() {
	c.out.settleLocked()
	c.back.settleLocked()
	c.wakeLocked()
}

func (c *Conn) wakeLocked() {
	for _, s := range []*stream{c.out, c.back} {
		s.readable.Broadcast()
		s.writable.Broadcast()
	}
}
