package repltest_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/repl/repltest"
)

// gossip runs nodes that all talk to each other for a simulated minute while
// links fail, and returns the trace. Each message makes its receiver send
// another, to a node that depends on what it has received before: if two
// messages ever came in another order, all that follows would differ.
func gossip(t *testing.T, seed uint64) (trace uint64) {
	t.Helper()
	const nodes = 5
	synctest.Test(t, func(t *testing.T) {
		n := repltest.NewNetwork(seed)
		for i := range nodes {
			n.Host(name(i))
		}
		n.SetDelay(2*time.Millisecond, 3*time.Millisecond)
		n.All().Flip(0.001)
		var all sync.WaitGroup
		for i := range nodes {
			node := &gossiper{peers: make([]net.Conn, nodes)}
			l, err := n.Host(name(i)).Listen(name(i))
			if err != nil {
				t.Fatal(err)
			}
			all.Go(func() { node.accept(l, &all) })
			// No two nodes start, or try again, at the same instant.
			all.Go(func() { node.dial(t, n.Host(name(i)), time.Duration(i+1)*time.Microsecond, &all) })
		}
		rng := rand.New(rand.NewPCG(seed, 7))
		for range 60 {
			time.Sleep(time.Second + 500*time.Nanosecond)
			link := n.Link(name(rng.IntN(nodes)), name(rng.IntN(nodes)))
			switch rng.IntN(4) {
			case 0:
				link.Cut()
			case 1:
				link.Stall()
			case 2:
				link.OneWay().SetBandwidth(500)
			case 3:
				n.HealAll()
			}
		}
		n.Close()
		all.Wait()
		trace = n.Trace()
		if s := n.Stats(); s.Bytes < 1000 || s.Dials < nodes {
			t.Errorf("little happened: %+v", s)
		}
	})
	return trace
}

func name(i int) string { return fmt.Sprint("node", i) }

type gossiper struct {
	mu    sync.Mutex
	heard uint64
	peers []net.Conn
}

func (g *gossiper) accept(l net.Listener, all *sync.WaitGroup) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		all.Go(func() { g.listen(c) })
	}
}

// dial keeps a connection to every other node and says something on each now
// and then.
func (g *gossiper) dial(t *testing.T, h *repltest.Host, skew time.Duration, all *sync.WaitGroup) {
	conns := make([]net.Conn, len(g.peers))
	for round := range 100 {
		time.Sleep(500*time.Millisecond + skew)
		for i := range conns {
			if conns[i] == nil {
				c, err := h.Dial(t.Context(), name(i))
				if err != nil {
					return
				}
				conns[i] = c
				g.setPeer(i, c)
				all.Go(func() { g.listen(c) })
			}
			conns[i].SetWriteDeadline(time.Now().Add(time.Second))
			if _, err := fmt.Fprintf(conns[i], "%7d\n", round); err != nil {
				conns[i].Close()
				conns[i] = nil
			}
		}
	}
}

func (g *gossiper) setPeer(i int, c net.Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.peers[i] = c
}

// listen answers some of what it hears, to anyone.
func (g *gossiper) listen(c net.Conn) {
	defer c.Close()
	p := make([]byte, 8)
	for {
		if _, err := io.ReadFull(c, p); err != nil {
			return
		}
		g.mu.Lock()
		for _, b := range p {
			g.heard = g.heard*1099511628211 + uint64(b)
		}
		heard, to := g.heard, g.peers[g.heard>>32%uint64(len(g.peers))]
		g.mu.Unlock()
		if to != nil && heard>>16%3 == 0 {
			to.SetWriteDeadline(time.Now().Add(time.Second))
			fmt.Fprintf(to, "%7d\n", heard%10_000_000)
		}
	}
}

func TestSameSeedSameTrace(t *testing.T) {
	seen := make(map[uint64]uint64)
	for seed := range uint64(3) {
		first := gossip(t, seed)
		for range 3 {
			if again := gossip(t, seed); again != first {
				t.Fatalf("seed %d: traces %x and %x", seed, first, again)
			}
		}
		if other, ok := seen[first]; ok {
			t.Errorf("seeds %d and %d have the same trace", seed, other)
		}
		seen[first] = seed
	}
}

// Whatever happens at once, nothing arrives at once: no two connections of a
// mesh deliver at the same instant.
func TestNoTwoArrivalsAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, n *repltest.Network) {
		const hosts = 8
		for i := range hosts {
			n.Host(name(i))
		}
		n.SetDelay(time.Millisecond, 0)
		var mu sync.Mutex
		arrivals := make(map[time.Time]string)
		var ends []net.Conn
		var all sync.WaitGroup
		for i := range hosts {
			for j := range hosts {
				near, far := connect(t, n, name(i), name(j))
				ends = append(ends, near, far)
			}
		}
		for k, c := range ends {
			all.Go(func() {
				for p := make([]byte, 8); ; {
					if _, err := io.ReadFull(c, p); err != nil {
						return
					}
					mu.Lock()
					who := fmt.Sprint(c.LocalAddr(), c.RemoteAddr(), k)
					if other, ok := arrivals[time.Now()]; ok && other != who {
						t.Errorf("%s and %s hear something at one instant", other, who)
					}
					arrivals[time.Now()] = who
					mu.Unlock()
				}
			})
		}
		for range 5 {
			n.PauseAll()
			for _, c := range ends {
				write(t, c, "together")
			}
			time.Sleep(time.Second)
			n.HealAll() // what was held is released at one moment
			time.Sleep(time.Second)
			for _, c := range ends {
				write(t, c, "together")
			}
			time.Sleep(time.Second)
		}
		n.Close()
		all.Wait()
		if len(arrivals) != 10*len(ends) {
			t.Errorf("%d arrivals at different instants, want %d", len(arrivals), 10*len(ends))
		}
	})
}
