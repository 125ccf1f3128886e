package repl_test

import (
	"net"
	"sync"
	"testing"
	"time"

	"github.com/emberkv/ember/repl"
)

// A turnstile counts those that come to a listener: when each is accepted, and how many
// are in their handshake at most.
type turnstile struct {
	net.Listener

	mu     sync.Mutex
	came   []time.Time
	inside map[string]bool // remote addresses, which are all different on repl.Memory
	peak   int
	conns  map[*turningConn]bool
}

type turningConn struct {
	net.Conn
	gate *turnstile
	once sync.Once
}

// handshakeTime is what the way of a Hello takes, so that there can be a crowd.
const handshakeTime = 2 * time.Millisecond

func (c *turningConn) Read(p []byte) (int, error) {
	c.once.Do(func() { time.Sleep(handshakeTime) })
	return c.Conn.Read(p)
}

func newTurnstile(t testing.TB, tr repl.Transport, addr string) *turnstile {
	t.Helper()
	ln, err := tr.Listen(addr)
	if err != nil {
		t.Fatal(err)
	}
	return &turnstile{Listener: ln, inside: make(map[string]bool), conns: make(map[*turningConn]bool)}
}

func (s *turnstile) Accept() (net.Conn, error) {
	c, err := s.Listener.Accept()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.came = append(s.came, time.Now())
	s.inside[c.RemoteAddr().String()] = true
	s.peak = max(s.peak, len(s.inside))
	tc := &turningConn{Conn: c, gate: s}
	s.conns[tc] = true
	return tc, nil
}

func (c *turningConn) Close() error {
	c.gate.mu.Lock()
	delete(c.gate.inside, c.RemoteAddr().String())
	delete(c.gate.conns, c)
	c.gate.mu.Unlock()
	return c.Conn.Close()
}

// most returns how many were in their handshake at once, at most.
func (s *turnstile) most() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.peak
}

// through notes that the handshake with p is over.
func (s *turnstile) through(p repl.Peer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.inside, p.Addr)
}

// cut breaks every connection at one instant.
func (s *turnstile) cut() {
	s.mu.Lock()
	var all []*turningConn
	for c := range s.conns {
		all = append(all, c)
	}
	s.mu.Unlock()
	for _, c := range all {
		c.Close()
	}
}

// since returns how long after that instant those who came later did so.
func (s *turnstile) since(began time.Time) (after []time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, at := range s.came {
		if d := at.Sub(began); d > 0 {
			after = append(after, d)
		}
	}
	return after
}

// checkSpread fails t if more than a share of those who came after something did so within
// one bin of time: if they come in waves.
func checkSpread(t testing.TB, after []time.Duration, bin time.Duration, share float64) {
	t.Helper()
	bins, most := make(map[time.Duration]int), 0
	for _, d := range after {
		bins[d/bin]++
		most = max(most, bins[d/bin])
	}
	t.Logf("%d came at %d different times of %v, %d at one", len(after), len(bins), bin, most)
	if float64(most) > share*float64(len(after)) {
		t.Errorf("%d of %d connections came within %v", most, len(after), bin)
	}
}
