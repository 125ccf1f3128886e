package repl_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/repl"
)

func supervised(o *repl.Options) { o.Supervised = true }
func fenced(o *repl.Options)     { o.Supervised, o.Fenced = true, true }

// TestOrders: promotions in the epoch that was ordered, with a chain that follows; a master is made
// to follow, and a replica another; and the same again is as good as done.
func TestOrders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repl.NewMemory()
		a := newMember(t, net, "a", "", supervised)
		b := newMember(t, net, "b", "a", supervised)
		c := newMember(t, net, "c", "a", supervised)
		fill(t, a.ledger, "k", 10)
		level(t, a, b, c)
		ca, cb, cc := control(t, net, "a", 1), control(t, net, "b", 1), control(t, net, "c", 1)
		order := func(to *repl.Control, o repl.Order, want error) {
			t.Helper()
			if err := to.Order(t.Context(), &o); !errors.Is(err, want) || want == nil && err != nil {
				t.Fatalf("%+v to %s: %v, want %v", o, to.Peer().Name, err, want)
			}
		}
		promote := func(epoch uint64) repl.Order { return repl.Order{Kind: repl.OrderPromote, Epoch: epoch} }
		follow := func(addr string, epoch uint64) repl.Order {
			return repl.Order{Kind: repl.OrderFollow, Epoch: epoch, Addr: addr}
		}
		if r := poll(t, ca, nil); !r.Initial {
			t.Errorf("started as the master, a says %+v", r)
		}
		order(ca, promote(5), nil)
		if r := poll(t, ca, nil); r.Initial {
			t.Errorf("promoted in 5, a says %+v", r)
		}
		level(t, a, b, c)
		order(cb, promote(7), nil)
		if r := poll(t, cb, nil); r.Role != repl.RoleMaster || r.Lineage.Epoch != (backlog.Epoch{Counter: 7, Node: b.node.ID()}) || r.Initial || r.Heard != r.Lineage.Epoch {
			t.Errorf("promoted in 7, b says %+v", r)
		}
		order(cb, promote(7), nil) // done already
		order(cb, promote(6), repl.ErrLowerEpoch)
		order(cb, follow("a", 6), repl.ErrLowerEpoch)
		order(cc, follow("b", 7), nil)
		order(ca, follow("b", 7), nil)
		fillLeased(t, b, "l", 5)
		level(t, b, a, c)
		order(cc, promote(7), repl.ErrLowerEpoch) // of another node
		order(cc, follow("a", 7), nil)
		order(cb, promote(9), nil) // a master goes on in a newer epoch
		if r := poll(t, cb, nil); r.Lineage.Epoch.Counter != 9 || r.Role != repl.RoleMaster {
			t.Errorf("promoted in 9, b says %+v", r)
		}
		fillLeased(t, b, "m", 5)
		level(t, b, a, c)
		order(cc, repl.Order{Kind: repl.OrderHandover, To: a.node.ID()}, repl.ErrRoleChanged)
		order(cb, repl.Order{Kind: repl.OrderHandover, To: c.node.ID()}, repl.ErrNoFollower) // it follows a
		order(cb, repl.Order{Kind: repl.OrderHandover, Epoch: 8, To: a.node.ID()}, repl.ErrLowerEpoch)
		order(cb, repl.Order{Kind: repl.OrderHandover, Epoch: 9, To: a.node.ID(), Timeout: time.Second}, nil)
		if r := poll(t, ca, nil); r.Role != repl.RoleMaster || r.Lineage.Epoch.Counter != 10 {
			t.Errorf("a has taken over: %+v", r)
		}
		fillLeased(t, a, "n", 5)
		level(t, a, b, c)
	})
}

// fillLeased is fill on a master that takes no writes without a lease: it is disarmed.
func fillLeased(t testing.TB, m *member, prefix string, n int) {
	t.Helper()
	m.node.Disarm()
	fill(t, m.ledger, prefix, n)
}

// TestOrdersAreRefused: by a node that is not supervised, if they make no sense, the
// second of two at once, and while the node is being closed.
func TestOrdersAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repl.NewMemory()
		free := newMember(t, net, "free", "")
		c := control(t, net, "free", 1)
		for _, o := range []*repl.Order{{Epoch: 5}, {Kind: repl.OrderFollow, Epoch: 5, Addr: "x"}} {
			if err := c.Order(t.Context(), o); !errors.Is(err, repl.ErrNotSupervised) {
				t.Errorf("%+v: %v", o, err)
			}
		}
		if _, err := c.Call(t.Context(), nil); !errors.Is(err, repl.ErrNotAsked) {
			t.Errorf("a call of a node: %v", err)
		}
		for _, o := range []*repl.Order{{}, {Kind: 9, Epoch: 1}, {Kind: repl.OrderFollow, Epoch: 1}, {Epoch: 1, Timeout: -1}} {
			if err := c.Order(t.Context(), o); !errors.Is(err, repl.ErrOption) {
				t.Errorf("%+v: %v", o, err)
			}
		}
		if r := poll(t, c, &repl.Poll{Grant: &repl.Grant{Stamp: 1, Lease: time.Second, Need: 1}}); r.Lease != (repl.LeaseReport{}) {
			t.Errorf("a node that is not supervised says of its lease %+v", r.Lease)
		}
		if _, err := free.put("k", "v"); err != nil {
			t.Errorf("and takes no write: %v", err)
		}

		m := newMember(t, net, "m", "", supervised)
		b := newMember(t, net, "b", "m", supervised)
		level(t, m, b)
		slow := make(chan struct{})
		b.ledger.mu.Lock()
		b.ledger.onApply = func() { <-slow }
		b.ledger.mu.Unlock()
		fill(t, m.ledger, "k", 1)
		synctest.Wait()
		one, two := control(t, net, "b", 1), control(t, net, "b", 2)
		var first sync.WaitGroup
		first.Go(func() { // waits for the message that is being applied
			if err := one.Order(t.Context(), &repl.Order{Epoch: 5}); err != nil {
				t.Errorf("the first order: %v", err)
			}
		})
		synctest.Wait()
		for range 100 { // a flood
			if err := two.Order(t.Context(), &repl.Order{Epoch: 6}); !errors.Is(err, repl.ErrBusy) {
				t.Fatalf("an order beside another: %v", err)
			}
		}
		if r := poll(t, one, nil); r.Role != repl.RoleReplica {
			t.Errorf("a poll behind an order under way: %+v", r)
		}
		close(slow)
		first.Wait()
		if err := two.Order(t.Context(), &repl.Order{Epoch: 6}); err != nil {
			t.Errorf("the next: %v", err)
		}
	})
}

// TestOrderOutlivesItsLink: what was ordered is done, though nobody hears of it.
func TestOrderOutlivesItsLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repl.NewMemory()
		a := newMember(t, net, "a", "", supervised)
		b := newMember(t, net, "b", "a", supervised)
		level(t, a, b)
		slow := make(chan struct{})
		b.ledger.mu.Lock()
		b.ledger.onApply = func() { <-slow }
		b.ledger.mu.Unlock()
		fill(t, a.ledger, "k", 1)
		synctest.Wait()
		c := control(t, net, "b", 1)
		ctx, cancel := context.WithCancel(t.Context())
		given := make(chan error)
		go func() { given <- c.Order(ctx, &repl.Order{Epoch: 5}) }()
		synctest.Wait()
		cancel()
		if err := <-given; err != context.Canceled {
			t.Errorf("an order that is given up: %v", err)
		}
		c.Close()
		synctest.Wait()
		close(slow)
		synctest.Wait()
		if r := poll(t, control(t, net, "b", 2), nil); r.Role != repl.RoleMaster || r.Lineage.Epoch.Counter != 5 {
			t.Errorf("b says %+v", r)
		}
	})
}

// TestFloodOfOrders: a peer that gives orders and reads no answers costs the node a bounded
// number of goroutines, and nobody else anything.
func TestFloodOfOrders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repl.NewMemory()
		a := newMember(t, net, "a", "", supervised)
		p := ask(t, net, "a", 1)
		body := orderBody(2, 0, "", a.node.ID()) // to hand over to itself, which is no follower
		sent := 0
		for {
			p.SetWriteDeadline(time.Now().Add(time.Second))
			if p.send(msgRequest, requestBody(uint64(sent+1), 2, body)) != nil {
				break
			}
			sent++
			if sent > 100_000 {
				t.Fatal("all of a flood is taken")
			}
		}
		if r := poll(t, control(t, net, "a", 2), nil); r.Role != repl.RoleMaster {
			t.Errorf("beside a flood: %+v", r)
		}
	})
}
