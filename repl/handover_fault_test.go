package repl_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/repl"
	"github.com/emberkv/ember/repl/repltest"
)

// A couple is a master a and its replica b, with one who writes to whichever takes it and
// notes who did.
type couple struct {
	net  *repltest.Network
	a, b *member

	mu    sync.Mutex
	acked map[string]string
	took  []string // who took a write, each change of it
	stop  context.CancelFunc
	wg    sync.WaitGroup
}

func newCouple(t testing.TB) *couple {
	p := &couple{net: repltest.NewNetwork(1), acked: make(map[string]string)}
	p.net.SetDelay(time.Millisecond, 0)
	quick := func(o *repl.Options) { o.Heartbeat = 20 * time.Millisecond }
	p.a, p.b = newMember(t, p.net.Host("a"), "a", "", quick), newMember(t, p.net.Host("b"), "b", "a", quick)
	fill(t, p.a.ledger, "k", 10)
	level(t, p.a, p.b)
	time.Sleep(50 * time.Millisecond)
	ctx, stop := context.WithCancel(t.Context())
	p.stop = stop
	for i, m := range []*member{p.a, p.b} {
		p.wg.Go(func() { p.write(ctx, i, m) })
	}
	time.Sleep(2 * time.Millisecond)
	return p
}

// write writes to m all the while. A write is recorded at the moment in which it is let
// in: the log asks the gate under the same lock.
func (p *couple) write(ctx context.Context, id int, m *member) {
	for n := 0; ctx.Err() == nil; n++ {
		key, value := fmt.Sprintf("w%d-%d", id, n%20), fmt.Sprint(n)
		if _, err := m.put(key, value); err == nil {
			p.mu.Lock()
			p.acked[key] = value
			if l := len(p.took); l == 0 || p.took[l-1] != m.node.Name() {
				p.took = append(p.took, m.node.Name())
			}
			p.mu.Unlock()
		}
		select {
		case <-time.After(500 * time.Microsecond):
		case <-ctx.Done():
		}
	}
}

// TestHandoverFaults has something go wrong at each step of a handover, 0.5 ms
// apart where each message takes one: the link breaks, hangs or loses one
// direction, either side is closed, or somebody changes a role at that moment. However it
// ends, it does so before the deadline; never do both take writes; what was acknowledged
// is where writes go on; and nobody takes a full copy.
func TestHandoverFaults(t *testing.T) {
	outcomes := make(map[string]int)
	for name, fault := range map[string]func(t *testing.T, p *couple){
		"cut":         func(t *testing.T, p *couple) { p.net.Link("a", "b").Cut() },
		"cut, refuse": func(t *testing.T, p *couple) { p.net.Link("a", "b").Cut(); p.net.Link("a", "b").Refuse() },
		"stall":       func(t *testing.T, p *couple) { p.net.Link("a", "b").Stall() },
		"no way up":   func(t *testing.T, p *couple) { p.net.Link("b", "a").OneWay().Stall() },
		"no way down": func(t *testing.T, p *couple) { p.net.Link("a", "b").OneWay().Stall() },
		"blip": func(t *testing.T, p *couple) {
			p.net.Link("a", "b").Stall()
			time.Sleep(30 * time.Millisecond)
			p.net.HealAll()
		},
		"a is closed": func(t *testing.T, p *couple) { p.a.node.Close() },
		"b is closed": func(t *testing.T, p *couple) { p.b.node.Close() },
		"b follows another": func(t *testing.T, p *couple) {
			if r, err := p.b.node.Replica(); err == nil {
				r.Follow("nobody")
			}
		},
		"a is demoted": func(t *testing.T, p *couple) {
			if m, err := p.a.node.Master(); err == nil {
				m.Demote("b")
			}
		},
	} {
		for step := range 12 {
			if everyNth > 1 && (step+len(name))%3 != 0 {
				continue // a third of them, not the same steps for each fault
			}
			t.Run(fmt.Sprint(name, step), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					outcome := handoverWith(t, fault, time.Duration(step)*500*time.Microsecond)
					outcomes[outcome]++
				})
			})
		}
	}
	for _, outcome := range []string{"done", "aborted", "in doubt"} {
		if outcomes[outcome] < 5 {
			t.Errorf("%s: %d times; all: %v", outcome, outcomes[outcome], outcomes)
		}
	}
}

func handoverWith(t *testing.T, fault func(*testing.T, *couple), at time.Duration) (outcome string) {
	p := newCouple(t)
	master, _ := p.a.node.Master()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	var hurt sync.WaitGroup
	hurt.Go(func() { time.Sleep(at); fault(t, p) })
	begun := time.Now()
	_, err := master.Handover(ctx, "b")
	if took := time.Since(begun); took > 1010*time.Millisecond {
		t.Errorf("returned after %v with %v", took, err)
	}
	hurt.Wait()
	switch {
	case err == nil:
		outcome = "done"
	case errors.Is(err, repl.ErrInDoubt):
		outcome = "in doubt"
	default:
		outcome = "aborted"
	}
	if outcome == "aborted" && p.b.node.Role() == repl.RoleMaster && p.a.node.Role() == repl.RoleMaster {
		t.Errorf("aborted with %v, and both are masters", err)
	}
	time.Sleep(20 * time.Millisecond)
	p.net.HealAll()
	time.Sleep(time.Second)
	p.stop()
	p.wg.Wait()
	if len(p.took) > 2 || len(p.took) == 2 && p.took[0] != "a" {
		t.Errorf("%s (%v): writes were taken by %v in turn", outcome, err, p.took)
	}
	// Whoever took the last write has them all.
	last := p.a
	if p.took[len(p.took)-1] == "b" {
		last = p.b
	}
	state := last.state()
	for k, v := range p.acked {
		if state[k] != v {
			t.Errorf("%s (%v): %s has %s = %q, acknowledged was %q", outcome, err, last.node.Name(), k, state[k], v)
			break
		}
	}
	for _, m := range []*member{p.a, p.b} {
		if s := m.node.Status(); s.Counters.LostTails > 0 || s.Upstream != nil && s.Upstream.Fulls > 1 {
			t.Errorf("%s (%v): %s lost %d tails, %d full copies", outcome, err, m.node.Name(), s.Counters.LostTails, s.Upstream.Fulls)
		}
	}
	return outcome
}

// A slowReader reads from each of the connections that its listeners accept only some time after
// it could, as a process does that is seldom run.
type slowReader struct {
	repl.Transport
	pause time.Duration
}

type slowListener struct {
	net.Listener
	pause time.Duration
}

type slowConn struct {
	net.Conn
	pause time.Duration
}

func (s slowReader) Listen(addr string) (net.Listener, error) {
	ln, err := s.Transport.Listen(addr)
	return slowListener{ln, s.pause}, err
}

func (s slowListener) Accept() (net.Conn, error) {
	conn, err := s.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return slowConn{conn, s.pause}, nil
}

func (s slowConn) Read(b []byte) (int, error) {
	time.Sleep(s.pause)
	return s.Conn.Read(b)
}

// TestHandoverIsAnsweredLate: a master that finds the link closed when it writes a heartbeat, by the replica that has
// taken over, reads what that has said before.
func TestHandoverIsAnsweredLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := repl.NewMemory()
		quick := func(o *repl.Options) { o.Heartbeat, o.Timeout = 5*time.Millisecond, time.Second }
		a := newMember(t, slowReader{memory, 30 * time.Millisecond}, "a", "", quick)
		b := newMember(t, memory, "b", "a", quick)
		level(t, a, b)
		begun := time.Now()
		if _, err := a.handover(t, "b", 4*time.Second); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took > 500*time.Millisecond {
			t.Errorf("it took %v", took)
		}
		level(t, b, a)
	})
}
