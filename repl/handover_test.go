package repl_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/repl"
	"github.com/emberkv/ember/repl/repltest"
)

// handover hands a's role over to the node called to.
func (m *member) handover(t testing.TB, to string, timeout time.Duration) (*repl.Replica, error) {
	t.Helper()
	master, err := m.node.Master()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	return master.Handover(ctx, to)
}

// writers write to group all the while, each to whichever node takes it, and record
// what was acknowledged and how long the longest write took.
type writers struct {
	mu      sync.Mutex
	acked   map[string]string
	longest time.Duration
	refused map[string]int // writes by the error that they got
	ctx     context.Context
	stop    context.CancelFunc
	wg      sync.WaitGroup
}

func writing(t testing.TB, group ...*member) *writers {
	w := &writers{acked: make(map[string]string), refused: make(map[string]int)}
	w.ctx, w.stop = context.WithCancel(t.Context())
	for i := range 4 {
		w.wg.Go(func() { w.run(i, group) })
	}
	return w
}

func (w *writers) run(id int, group []*member) {
	for n, at := 0, 0; ; n++ {
		select {
		case <-w.ctx.Done():
			return
		case <-time.After(100 * time.Microsecond):
		}
		key, value := fmt.Sprintf("w%d-%d", id, n%50), fmt.Sprint(n)
		begun := time.Now()
		_, err := group[at].put(key, value)
		w.mu.Lock()
		if err == nil {
			w.acked[key] = value
			w.longest = max(w.longest, time.Since(begun))
		} else {
			w.refused[err.Error()]++
			at = (at + 1) % len(group)
		}
		w.mu.Unlock()
	}
}

// end stops the writers and checks that m has all that was acknowledged.
func (w *writers) end(t testing.TB, m *member) {
	t.Helper()
	w.stop()
	w.wg.Wait()
	state := m.state()
	for k, v := range w.acked {
		if state[k] != v {
			t.Errorf("%s has %s = %q, acknowledged was %q", m.node.Name(), k, state[k], v)
		}
	}
	if len(w.acked) == 0 {
		t.Error("nothing was written")
	}
}

// TestHandover: the roles change places while four write. Nothing acknowledged is lost,
// nobody takes a full copy, no writer waits for 10 ms, and what it gets then names the
// new master. The other followers go on, through the old one, chains and all.
func TestHandover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repltest.NewNetwork(1)
		net.SetDelay(500*time.Microsecond, 100*time.Microsecond)
		a, b := newMember(t, net.Host("a"), "a", ""), newMember(t, net.Host("b"), "b", "a")
		c, d := newMember(t, net.Host("c"), "c", "a"), newMember(t, net.Host("d"), "d", "b")
		fill(t, a.ledger, "k", 50)
		level(t, a, b, c, d)
		w := writing(t, a, b)
		time.Sleep(100 * time.Millisecond)
		first, history := epochOf(a), a.Log().Position().History

		r, err := a.handover(t, "b", time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if a.node.Role() != repl.RoleReplica || b.node.Role() != repl.RoleMaster || a.node.Status().Upstream.Addr != "b" {
			t.Errorf("a is a %s of %s, b a %s", a.node.Role(), a.node.Status().Upstream.Addr, b.node.Role())
		}
		if err := r.WaitSynced(t.Context()); err != nil {
			t.Error(err)
		}
		time.Sleep(100 * time.Millisecond)
		w.end(t, b)
		level(t, b, a, c, d)
		for _, m := range []*member{a, b, c, d} {
			if fulls, _ := m.diary.count(); fulls > 1+len(m.node.Status().Followers) || m.node.Status().Counters.LostTails > 0 {
				t.Errorf("%s saw %d full copies, lost %d tails", m.node.Name(), fulls, m.node.Status().Counters.LostTails)
			}
			if f := m.node.Status(); f.Upstream != nil && f.Upstream.Fulls > 1 {
				t.Errorf("%s took %d full copies", m.node.Name(), f.Upstream.Fulls)
			}
		}
		if w.longest >= 10*time.Millisecond {
			t.Errorf("a writer waited %v", w.longest)
		}
		if len(w.refused) != 1 || w.refused[(&repl.ReadOnlyError{Master: "b"}).Error()] == 0 {
			t.Errorf("writers were refused with %v", w.refused)
		}
		if e := epochOf(b); e.Compare(first) <= 0 || !slices.ContainsFunc(b.Log().Lineage().Earlier, func(f backlog.Fork) bool { return f.History == history }) {
			t.Errorf("b is of %s, in %v", e, b.Log().Lineage())
		}
		if got, err := a.node.Master(); !errors.Is(err, repl.ErrRoleChanged) {
			t.Errorf("Node.Master: %v, %v", got, err)
		}
	})
}

// TestHandoverToAndFro: again and again, by name and by id, and never a full copy.
func TestHandoverToAndFro(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repl.NewMemory()
		group := []*member{newMember(t, net, "a", ""), newMember(t, net, "b", "a"), newMember(t, net, "c", "a")}
		fill(t, group[0].ledger, "k", 10)
		level(t, group[0], group[1:]...)
		w := writing(t, group...)
		at := 0
		for round := range 40 {
			master, err := group[at].node.Master()
			if err != nil {
				t.Fatal(err)
			}
			var next string // one that follows it directly
			eventually(t, func() bool {
				followers := master.Status().Followers
				next = ""
				if len(followers) > 0 && followers[round%len(followers)].Online {
					next = followers[round%len(followers)].Peer.Name
				}
				return next != ""
			}, func() string { return "nobody follows " + master.Node().Name() })
			to := slices.IndexFunc(group, func(m *member) bool { return m.node.Name() == next })
			if round%2 == 1 {
				next = group[to].node.ID().String()
			}
			if _, err := group[at].handover(t, next, time.Second); err != nil {
				t.Fatalf("round %d, to %s: %v", round, next, err)
			}
			at = to
		}
		w.end(t, group[at])
		level(t, group[at], group...)
		if w.longest >= 10*time.Millisecond {
			t.Errorf("a writer waited %v", w.longest)
		}
		for _, m := range group[1:] {
			if u := m.node.Status().Upstream; u != nil && u.Fulls > 1 {
				t.Errorf("%s took %d full copies", m.node.Name(), u.Fulls)
			}
		}
		for _, m := range group {
			if n := m.node.Status().Counters.Handshakes; n > 0 {
				t.Errorf("%s was dialled %d times by one that had just taken over", m.node.Name(), n)
			}
		}
	})
}

// TestHandoverIsShown, step by step, while it is under way.
func TestHandoverIsShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repltest.NewNetwork(1)
		net.SetDelay(50*time.Millisecond, 0)
		a, b := newMember(t, net.Host("a"), "a", ""), newMember(t, net.Host("b"), "b", "a")
		fill(t, a.ledger, "k", 10)
		level(t, a, b)
		var seen []string
		look := func() {
			s, said := a.node.Status(), "none"
			if h := s.Handover; h != nil {
				said = h.To + " " + h.Step.String()
			}
			state := fields(s.Info())["master_failover_state"]
			if line := said + ": " + state + " " + s.Refusing; len(seen) == 0 || seen[len(seen)-1] != line {
				seen = append(seen, line)
			}
		}
		look()
		done := make(chan error, 1)
		net.Link("a", "b").Stall()
		a.put("big", strings.Repeat("v", 1<<20)) // b is not near
		go func() {
			_, err := a.handover(t, "b", 10*time.Second)
			done <- err
		}()
		for i := 0; len(done) == 0; i++ {
			time.Sleep(10 * time.Millisecond)
			if look(); i == 10 {
				net.HealAll()
			}
		}
		look()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		want := []string{
			"none: no-failover ",
			"b near: waiting-for-sync ",
			"b prepare: waiting-for-sync ",
			"b commit: failover-in-progress ",
			"none: no-failover repl: READONLY: writes go to the master; this node follows b",
		}
		if !slices.Equal(seen, want) {
			t.Errorf("it was\n%s\nwant\n%s", strings.Join(seen, "\n"), strings.Join(want, "\n"))
		}
	})
}

// TestHandoverIsRefused: what cannot be done is said at once, and nobody waits for it.
func TestHandoverIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repl.NewMemory()
		a, b := newMember(t, net, "a", ""), newMember(t, net, "b", "a")
		dumb := replica(t, newLedger(nil), net, "a", &repl.Options{Name: "nowhere"}) // serves nobody
		newMember(t, net, "c1", "a", func(o *repl.Options) { o.Name = "twin" })
		newMember(t, net, "c2", "a", func(o *repl.Options) { o.Name = "twin" })
		eventually(t, func() bool { return len(a.node.Status().Followers) == 4 }, func() string { return "followers are missing" })
		time.Sleep(time.Second)
		master, _ := a.node.Master()
		if _, err := master.Handover(t.Context(), "b"); !errors.Is(err, repl.ErrNoDeadline) {
			t.Errorf("without a deadline: %v", err)
		}
		for _, to := range []string{"", "nobody", "twin", "a", "nowhere", repl.NewNodeID().String()} {
			if _, err := a.handover(t, to, time.Second); !errors.Is(err, repl.ErrNoFollower) {
				t.Errorf("to %q: %v", to, err)
			}
		}
		if _, err := a.put("k", "v"); err != nil || a.node.Role() != repl.RoleMaster {
			t.Errorf("afterwards a is a %s; %v", a.node.Role(), err)
		}
		if _, err := a.handover(t, "b", time.Second); err != nil {
			t.Error(err)
		}
		if _, err := master.Handover(t.Context(), "b"); !errors.Is(err, repl.ErrNoDeadline) && !errors.Is(err, repl.ErrRoleChanged) {
			t.Errorf("of a handle whose role has passed: %v", err)
		}
		b.node.Close()
		dumb.Close()
	})
}

// TestHandoverToASlowReplica: one that does not come near until the deadline holds up no
// writer; the old master goes on.
func TestHandoverToASlowReplica(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repltest.NewNetwork(1)
		a, b := newMember(t, net.Host("a"), "a", ""), newMember(t, net.Host("b"), "b", "a")
		fill(t, a.ledger, "k", 10)
		level(t, a, b)
		net.Link("a", "b").SetBandwidth(10 << 10)
		big := strings.Repeat("x", 100<<10)
		for i := range 20 {
			a.put(fmt.Sprint("big", i), big)
		}
		w := writing(t, a)
		_, err := a.handover(t, "b", time.Second)
		var failed *repl.HandoverError
		if !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &failed) || failed.Step != repl.StepNear || failed.To != "b" {
			t.Errorf("to a replica that is 2 MB behind: %v", err)
		}
		w.end(t, a)
		if w.longest > time.Millisecond || len(w.refused) > 0 {
			t.Errorf("a writer waited %v; refused: %v", w.longest, w.refused)
		}
		net.Link("a", "b").SetBandwidth(0)
		level(t, a, b)
		if _, err := a.handover(t, "b", time.Second); err != nil {
			t.Error(err)
		}
	})
}

// TestHandoverLetsWritersGo: a program that waits for its writers, when it hears that the
// node has changed its role, is not waited for by them.
func TestHandoverLetsWritersGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repltest.NewNetwork(1)
		net.SetDelay(5*time.Millisecond, 0)
		s, writers, held := kv.New(nil), new(sync.WaitGroup), time.Duration(-1)
		defer s.Close()
		a, err := repl.NewMaster(s, seeded(t, &repl.Options{Name: "a", Transport: net.Host("a"), Events: repl.Events{Role: func(repl.RoleChange) {
			begun, done := time.Now(), make(chan struct{})
			go func() { writers.Wait(); close(done) }()
			select {
			case <-done:
			case <-time.After(time.Second):
			}
			held = time.Since(begun)
		}}}))
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		serve(t, a, net.Host("a"), "a")
		b := newMember(t, net.Host("b"), "b", "a")
		eventually(t, func() bool { f := a.Status().Followers; return len(f) == 1 && f[0].Online }, func() string { return "b does not follow" })
		writers.Go(func() {
			for n := 0; ; n++ {
				if err := s.Set("k", fmt.Append(nil, n)); err != nil {
					if !errors.Is(err, repl.ErrReadOnly) {
						t.Error(err)
					}
					return
				}
				time.Sleep(time.Millisecond)
			}
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := a.Handover(ctx, "b"); err != nil {
			t.Fatal(err)
		}
		writers.Wait()
		if held != 0 {
			t.Errorf("the program waited %v for writers that were held up", held)
		}
		b.node.Close()
	})
}
