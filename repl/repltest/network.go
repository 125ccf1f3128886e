package repltest

import (
	"net"
	"slices"
	"sync"
	"time"

	"github.com/emberkv/ember/internal/hash"
	"github.com/emberkv/ember/internal/pipe"
)

// DefaultWindowBytes is how much a direction of a connection holds between a
// Write and the Read that takes it, unless [Link.SetWindow] says otherwise: the
// sender's buffer, the wire and the receiver's buffer together.
const DefaultWindowBytes = 256 << 10

// A Network connects named hosts and breaks on command. Make one with
// [NewNetwork], give each node its [Network.Host], and find what to break with
// [Network.Link], [Network.Between], [Network.Around] and [Network.All].
//
// All methods, and those of the values it returns, may be called concurrently.
// None blocks, unless it says so. A Network has no goroutine of its own.
type Network struct {
	seed  uint64
	start time.Time // every instant inside is a duration since then

	// One lock for everything, connections included. A test network moves
	// little, and a fault that changes twenty connections at once is one
	// moment for all of them. It is never held during a wait.
	mu struct {
		sync.Mutex
		closed    bool
		changed   chan struct{} // closed and replaced when a waiting dial should look again
		hosts     map[string]*Host
		order     []*Host             // as they were named first
		addrs     map[string]*address // every one that was ever listened on
		config    config              // of the directions made later
		pairs     map[pair]*direction
		all       []*direction // as they were made
		conns     []*Conn      // open ones, oldest first
		recorder  recorder
		trace     uint64
		swizzlers uint64
	}
}

// A pair names a direction by the numbers of its hosts.
type pair struct{ from, to int }

// An address is a name that some host listens on, or did. It stays known when
// the listener is gone, because a dial through a dead link has to hang even
// then: it cannot know that it would be refused.
type address struct {
	host     *Host
	listener *pipe.Listener // nil when nobody listens
}

// NewNetwork returns a network without faults or delays. Everything random in it
// comes from seed. Inside a testing/synctest bubble it must be made in the
// bubble.
func NewNetwork(seed uint64) *Network {
	n := &Network{seed: seed, start: time.Now()}
	n.mu.changed = make(chan struct{})
	n.mu.hosts = make(map[string]*Host)
	n.mu.addrs = make(map[string]*address)
	n.mu.pairs = make(map[pair]*direction)
	n.mu.config.window = DefaultWindowBytes
	return n
}

// now is the network's clock.
func (n *Network) now() time.Duration { return time.Since(n.start) }

// Host returns the host of that name, a new one if there is none. The order in
// which hosts are first named is part of what makes a run repeat.
func (n *Network) Host(name string) *Host {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.hostLocked(name)
}

func (n *Network) hostLocked(name string) *Host {
	if h := n.mu.hosts[name]; h != nil {
		return h
	}
	h := &Host{network: n, name: name, number: len(n.mu.order)}
	n.mu.hosts[name] = h
	n.mu.order = append(n.mu.order, h)
	return h
}

// directionLocked returns the direction between two hosts. Directions are made
// as they are needed: a thousand hosts that all talk to one have few.
func (n *Network) directionLocked(from, to *Host) *direction {
	key := pair{from.number, to.number}
	d := n.mu.pairs[key]
	if d == nil {
		d = &direction{config: n.mu.config, from: from, to: to}
		d.next.cut = never
		n.mu.pairs[key] = d
		n.mu.all = append(n.mu.all, d)
	}
	return d
}

// SetDelay is [Link.SetDelay] for all links. A network whose runs should repeat
// needs a delay on all of them.
func (n *Network) SetDelay(d, jitter time.Duration) { n.All().SetDelay(d, jitter) }

// PauseAll holds everything that is under way, everywhere, until [Network.HealAll].
func (n *Network) PauseAll() { n.All().Stall() }

// HealAll ends every fault of every link, host and connection; see [Link.Heal]
// for what that does not bring back.
func (n *Network) HealAll() {
	n.mu.Lock()
	for _, h := range n.mu.order {
		h.stalled = false
	}
	for _, c := range n.mu.conns {
		c.stalled = false
	}
	n.mu.Unlock()
	n.All().Heal()
}

// Stats returns the sums over all links.
func (n *Network) Stats() Stats { return n.All().Stats() }

// Trace returns a number that stands for all that was sent and when it was due:
// it is equal for two runs that did the same at the same instants. It does not
// depend on the order in which goroutines ran within an instant, as long as
// each connection's writes do not.
func (n *Network) Trace() uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.mu.trace
}

// changedLocked makes every connection and every waiting dial look at the
// network anew.
func (n *Network) changedLocked() {
	close(n.mu.changed)
	n.mu.changed = make(chan struct{})
	for _, c := range n.mu.conns {
		c.settleLocked()
	}
}

// Close closes all listeners, resets all connections and fails every dial, now
// and later, with [net.ErrClosed]. It waits for nothing and may be called twice.
func (n *Network) Close() error {
	n.mu.Lock()
	n.mu.closed = true
	var listeners []net.Listener
	for _, a := range n.mu.addrs {
		if a.listener != nil {
			listeners = append(listeners, a.listener)
		}
	}
	for _, c := range slices.Clone(n.mu.conns) {
		c.cutLocked()
	}
	n.changedLocked()
	n.mu.Unlock()
	for _, l := range listeners {
		l.Close() // takes the lock to give its name back
	}
	return nil
}

// mix derives a number from another and a name.
func mix(seed uint64, name string) uint64 { return hash.String(seed, name) }
