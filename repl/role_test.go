package repl_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/repl"
)

// A member is a node of a group whose roles change: it serves and runs all the
// while.
type member struct {
	*ledger
	node  *repl.Node
	diary *diary

	mu      sync.Mutex
	roles   []string
	reasons []error // of changes that nobody has asked for
}

// errs returns why the role was changed when nobody has asked for it.
func (m *member) errs() []error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.reasons)
}

// newMember makes a node at addr, a master if upstream is empty.
func newMember(t testing.TB, net repl.Transport, addr, upstream string, change ...func(*repl.Options)) *member {
	t.Helper()
	return newMemberOf(t, net, addr, upstream, newLedger(nil), change...)
}

// newMemberOf is newMember of a ledger that holds something already.
func newMemberOf(t testing.TB, net repl.Transport, addr, upstream string, l *ledger, change ...func(*repl.Options)) *member {
	t.Helper()
	m := &member{ledger: l}
	o := repl.Options{Name: addr, Transport: net}
	for _, c := range change {
		c(&o)
	}
	m.diary = keep(&o)
	o.Events.Role = func(c repl.RoleChange) {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.roles = append(m.roles, c.Role.String()+" "+c.Upstream)
		if c.Err != nil {
			m.reasons = append(m.reasons, c.Err)
		}
	}
	if upstream == "" {
		m.node = master(t, m.ledger, net, addr, &o).Node()
	} else {
		r, err := repl.NewReplica(m.ledger, upstream, seeded(t, &o))
		if err != nil {
			t.Fatal(err)
		}
		m.node = r.Node()
		serve(t, r, net, addr)
		t.Cleanup(func() { r.Close() })
	}
	go m.node.Run(context.Background())
	return m
}

func (m *member) promote(t testing.TB) *repl.Master {
	t.Helper()
	r, err := m.node.Replica()
	if err != nil {
		t.Fatal(err)
	}
	master, err := r.Promote(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return master
}

// follow makes m a follower of the node at addr, whatever it was.
func (m *member) follow(t testing.TB, addr string, allow ...repl.Allow) *repl.Replica {
	t.Helper()
	r, err := m.node.Replica()
	if err == nil {
		err = r.Follow(addr, allow...)
	} else {
		var now *repl.Master
		if now, err = m.node.Master(); err == nil {
			r, err = now.Demote(addr, allow...)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// level waits until all hold what the first one holds.
func level(t testing.TB, first *member, others ...*member) {
	t.Helper()
	for _, m := range others {
		eventually(t, func() bool { return m.Log().Position() == first.Log().Position() }, func() string {
			return fmt.Sprintf("%s at %s, want %s; %+v", m.node.Name(), m.Log().Position(), first.Log().Position(), m.node.Status().Upstream)
		})
		same(t, first.ledger, m.ledger)
	}
}

// TestPromote: a replica becomes a master. It keeps its data and its followers,
// whose links stay and who hear of the new history, as do theirs; what the old
// master writes does not concern them any more.
func TestPromote(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repl.NewMemory()
		a, b := newMember(t, net, "a", ""), newMember(t, net, "b", "a")
		c, d := newMember(t, net, "c", "b"), newMember(t, net, "d", "c")
		fill(t, a.ledger, "k", 50)
		level(t, a, b, c, d)
		old, ends := a.Log().Position(), len(c.diary.ends)+len(d.diary.ends)

		r, _ := b.node.Replica()
		m := b.promote(t)
		if b.node.Role() != repl.RoleMaster || b.node.Status().Upstream != nil {
			t.Errorf("after Promote: %+v", b.node.Status())
		}
		synctest.Wait() // nothing was written: the news alone goes down the chain
		for _, l := range []*member{b, c, d} {
			lin := l.Log().Lineage()
			if len(lin.Earlier) == 0 || lin.Earlier[0] != (backlog.Fork{History: old.History, End: old.Offset}) {
				t.Errorf("%s: lineage %v, want a fork from %s", l.node.Name(), lin, old)
			}
		}
		fill(t, a.ledger, "lost", 20)
		fill(t, b.ledger, "new", 10)
		level(t, b, c, d)
		if n, err := m.Wait(t.Context(), b.Log().Position(), 1); n != 1 || err != nil {
			t.Errorf("Wait on the new master: %d, %v", n, err)
		}
		if now := len(c.diary.ends) + len(d.diary.ends); now != ends {
			t.Errorf("%d links of followers broke", now-ends)
		}
		for _, err := range []error{r.Run(t.Context()), r.Follow("a"), r.WaitSynced(t.Context()), second(r.Promote(t.Context()))} {
			if !errors.Is(err, repl.ErrRoleChanged) {
				t.Errorf("the handle of the replica: %v, want ErrRoleChanged", err)
			}
		}
		if _, err := b.node.Replica(); !errors.Is(err, repl.ErrRoleChanged) {
			t.Errorf("Node.Replica of a master: %v", err)
		}
	})
}

func second[T any](_ T, err error) error { return err }

// TestSwitches: master and replicas change places again and again, more often than
// a lineage remembers, and nobody ever needs a full copy.
func TestSwitches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, names := repl.NewMemory(), []string{"a", "b", "c"}
		group := []*member{newMember(t, net, "a", ""), newMember(t, net, "b", "a"), newMember(t, net, "c", "a")}
		fill(t, group[0].ledger, "k", 50)
		level(t, group[0], group[1:]...)
		rng := rand.New(rand.NewPCG(1, 2))
		for round := range 2 * backlog.MaxForks {
			was, is := round%3, (round+1)%3
			level(t, group[was], group[is]) // a handover by hand: no tail is lost
			group[is].promote(t)
			for _, i := range rng.Perm(3) {
				if i != is {
					group[i].follow(t, names[is])
				}
			}
			fill(t, group[is].ledger, fmt.Sprint("round", round, "-"), 1+rng.IntN(5))
			if round%5 == 0 {
				level(t, group[is], group...)
			}
		}
		level(t, group[2*backlog.MaxForks%3], group...)
		for _, m := range group[1:] {
			if fulls, partials := m.diary.count(); fulls != 1 || partials < backlog.MaxForks {
				t.Errorf("%s: %d full copies, %d partial ones", m.node.Name(), fulls, partials)
			}
		}
		if got, want := group[0].roles[:3], []string{"replica b", "replica c", "master "}; !slices.Equal(got, want) {
			t.Errorf("a was told of its roles %q, want %q", got, want)
		}
	})
}

// TestDemoteUnderWrites: whatever a master has accepted up to the moment of Demote
// is in its log, and after it nothing is accepted.
func TestDemoteUnderWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repl.NewMemory()
		a, b := newMember(t, net, "a", ""), newMember(t, net, "b", "a")
		fill(t, a.ledger, "k", 10)
		level(t, a, b)
		var wg sync.WaitGroup
		var mu sync.Mutex
		var last int64
		for w := range 4 {
			wg.Go(func() {
				for i := 0; ; i++ {
					if i == 1000 {
						t.Error("a demoted master takes writes still")
						return
					}
					end, err := a.put(fmt.Sprint(w, "-", i), "v")
					if err != nil {
						var ro *repl.ReadOnlyError
						if !errors.As(err, &ro) || ro.Master != "b" {
							t.Errorf("a write on the demoted node: %v", err)
						}
						return
					}
					mu.Lock()
					last = max(last, end)
					mu.Unlock()
					time.Sleep(time.Millisecond)
				}
			})
		}
		time.Sleep(50 * time.Millisecond)
		a.follow(t, "b")
		end := a.Log().End()
		wg.Wait()
		if last > end || a.Log().End() != end {
			t.Errorf("accepted up to %d, log ended at %d and ends at %d", last, end, a.Log().End())
		}
		// b goes on following a, which now follows b: whoever is promoted has all.
		eventually(t, func() bool { return b.Log().End() == end }, func() string { return b.Log().Position().String() })
		b.promote(t)
		fill(t, b.ledger, "after", 10)
		level(t, b, a)
		if fulls, _ := a.diary.count(); fulls != 1 { // b's, at the beginning
			t.Errorf("%d full copies", fulls)
		}
	})
}

// TestPromoteInMidCopy: the copy is given up, and what the replica had stays.
func TestPromoteInMidCopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repl.NewMemory()
		a, b, x := newMember(t, net, "a", ""), newMember(t, net, "b", "a"), newMember(t, net, "x", "")
		fill(t, a.ledger, "a", 50)
		fill(t, x.ledger, "x", 400)
		slowly(x.ledger, 10*time.Millisecond)
		level(t, a, b)
		b.follow(t, "x", repl.AllowForeign)
		time.Sleep(35 * time.Millisecond)
		if s := b.node.Status().Upstream; s.State != repl.LinkCopying || s.Progress.Shards == 0 {
			t.Fatalf("before: %+v", s)
		}
		b.promote(t)
		fill(t, x.ledger, "more", 10)
		time.Sleep(time.Second)
		if !slices.Equal(keys(b.ledger), keys(a.ledger)) {
			t.Errorf("%d keys, want the %d there were", b.Len(), a.Len())
		}
		fill(t, b.ledger, "own", 5)
		a.follow(t, "b")
		level(t, b, a)
	})
}

func keys(l *ledger) (all []string) {
	for k := range l.state() {
		all = append(all, k)
	}
	slices.Sort(all)
	return all
}

// TestWaitersOfARole: whoever waits for something of the role that ends is let go.
func TestWaitersOfARole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, l := repl.NewMemory(), newLedger(nil)
		m := master(t, l, net, "a", &repl.Options{
			Transport: net, Safety: repl.Safety{Ack: 1, AckTimeout: time.Hour},
		})
		ended := make(chan error, 2)
		go func() { ended <- second(m.Wait(t.Context(), l.Log().Position(), 1)) }()
		go func() { ended <- second(l.put("k", "value")) }()
		synctest.Wait()
		began := time.Now()
		r, err := m.Demote("nowhere")
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := <-ended; !errors.Is(err, repl.ErrRoleChanged) && !errors.Is(err, repl.ErrNotAcked) {
				t.Errorf("let go with %v", err)
			}
		}
		if time.Since(began) != 0 {
			t.Errorf("let go after %v", time.Since(began))
		}
		if _, err := m.Demote("elsewhere"); !errors.Is(err, repl.ErrRoleChanged) {
			t.Errorf("a second Demote: %v", err)
		}
		if _, err := m.Wait(t.Context(), l.Log().Position(), 0); !errors.Is(err, repl.ErrRoleChanged) {
			t.Errorf("Wait of a master that was demoted: %v", err)
		}

		waiting, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { ended <- r.WaitSynced(waiting) }()
		go func() { ended <- r.Run(waiting) }()
		synctest.Wait()
		if err := r.Node().Run(waiting); !errors.Is(err, repl.ErrRunning) {
			t.Errorf("Node.Run beside Replica.Run: %v", err)
		}
		if _, err := r.Promote(t.Context()); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := <-ended; !errors.Is(err, repl.ErrRoleChanged) {
				t.Errorf("the replica's waiters: %v", err)
			}
		}
		go l.put("again", "value") // Ack counts in the new tenure, too
		synctest.Wait()
		m.Close()
		for _, f := range []func() error{
			func() error { return second(r.Promote(t.Context())) },
			func() error { return r.Follow("b") },
			func() error { return r.Node().Run(t.Context()) },
		} {
			if err := f(); !errors.Is(err, repl.ErrClosed) && !errors.Is(err, repl.ErrRoleChanged) {
				t.Errorf("after Close: %v", err)
			}
		}
		if _, err := l.put("free", "value"); err != nil {
			t.Errorf("a write after Close: %v", err)
		}
	})
}

// TestRoleChangesAtOnce: changes of role, and at last Close, come from all sides. At
// each moment the node has one role, and its handles know whether it is theirs.
func TestRoleChangesAtOnce(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			net := repl.NewMemory()
			a, b := newMember(t, net, "a", ""), newMember(t, net, "b", "a")
			fill(t, a.ledger, "k", 20)
			var wg sync.WaitGroup
			for w := range uint64(4) {
				rng := rand.New(rand.NewPCG(seed, w))
				wg.Go(func() {
					for range 30 {
						time.Sleep(time.Duration(rng.IntN(3000)) * time.Microsecond)
						m := []*member{a, b}[rng.IntN(2)]
						var err error
						if now, e := m.node.Master(); e == nil {
							_, err = now.Demote([]string{"a", "b"}[rng.IntN(2)], repl.AllowForeign|repl.AllowEmpty)
						} else if r, e := m.node.Replica(); e != nil {
							continue // changed between the two
						} else if rng.IntN(2) == 0 {
							_, err = r.Promote(t.Context())
						} else {
							err = r.Follow([]string{"a", "b", "c"}[rng.IntN(3)])
						}
						if err != nil && !errors.Is(err, repl.ErrRoleChanged) && !errors.Is(err, repl.ErrClosed) {
							t.Errorf("a change of role: %v", err)
						}
						m.put(fmt.Sprint(w, rng.IntN(50)), "v")
					}
				})
			}
			if seed%2 == 0 {
				time.Sleep(20 * time.Millisecond)
				b.node.Close()
			}
			wg.Wait()
			if seed%2 == 0 {
				return
			}
			if m, err := a.node.Replica(); err == nil {
				m.Promote(t.Context())
			}
			b.follow(t, "a", repl.AllowForeign|repl.AllowEmpty)
			fill(t, a.ledger, "end", 5)
			level(t, a, b)
		})
	}
}
