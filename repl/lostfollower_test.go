package repl_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/repl"
	"github.com/emberkv/ember/repl/repltest"
)

// TestStatusTellsWhoHasLeft: a follower that goes for a reason of its own is told from one that is lost,
// whatever it is doing, and the operator reads the reason.
func TestStatusTellsWhoHasLeft(t *testing.T) {
	type town struct {
		net  *repltest.Network
		a, b *member
	}
	for name, c := range map[string]struct {
		goes func(t *testing.T, w *town)
		left bool
		why  string // the end of it
	}{
		"closed": {func(t *testing.T, w *town) { w.b.node.Close() }, true, "(b): peer is closed"},
		"stops to run": {func(t *testing.T, w *town) {
			ctx, cancel := context.WithCancel(t.Context())
			r, err := repl.NewReplica(newLedger(nil), "a", &repl.Options{Name: "c", Transport: w.net.Host("c")})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { r.Close() })
			go r.Run(ctx)
			if err := r.WaitSynced(ctx); err != nil {
				t.Error(err)
			}
			w.b.node.Close()
			cancel()
		}, true, "(c): peer is closed"},
		"another upstream": {func(t *testing.T, w *town) { w.b.follow(t, "elsewhere") }, true,
			"(b): peer has left, in its words: replica follows another upstream now"},
		"promoted": {func(t *testing.T, w *town) { w.b.promote(t) }, true,
			"(b): peer has left, in its words: the node has another role"},
		"handed over to": {func(t *testing.T, w *town) {
			if _, err := w.a.handover(t, "b", time.Minute); err != nil {
				t.Error(err)
			}
		}, true, "(b): peer has left, in its words: the node has another role"},
		"closed in mid-copy": {func(t *testing.T, w *town) {
			slowly(w.a.ledger, 10*time.Millisecond)
			w.b.node.Close()
			c := newMember(t, w.net.Host("c"), "c", "a")
			time.Sleep(35 * time.Millisecond)
			if s := c.node.Status().Upstream; s.State != repl.LinkCopying || s.Progress.Shards == 0 {
				t.Errorf("before: %+v", s)
			}
			c.node.Close()
		}, true, "(c): peer is closed"},
		"closed while much comes": {func(t *testing.T, w *town) {
			w.net.Link("a", "b").SetWindow(1000)
			fill(t, w.a.ledger, "more", 1000)
			time.Sleep(2 * time.Millisecond)
			w.b.node.Close()
		}, true, "(b): peer is closed"},
		"cut off": {func(t *testing.T, w *town) {
			w.net.Link("a", "b").Refuse()
			w.net.Link("a", "b").Cut()
		}, false, "(b): read: connection reset by peer"},
		"closed where nothing gets through": {func(t *testing.T, w *town) {
			w.net.Link("a", "b").Blackhole()
			w.b.node.Close()
		}, false, "(b): peer timed out: read: i/o timeout"},
		"closed where nothing is taken": {func(t *testing.T, w *town) {
			w.net.Link("b", "a").OneWay().SetWindow(1000)
			w.net.Link("b", "a").OneWay().Stall()
			for range 100 { // which b acks one by one
				fill(t, w.a.ledger, "more", 1)
				time.Sleep(time.Millisecond)
			}
			began := time.Now()
			w.b.node.Close()
			if took := time.Since(began); took == 0 || took > time.Second {
				t.Errorf("Close took %v", took)
			}
		}, false, "(b): peer timed out: read: i/o timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := town{net: repltest.NewNetwork(1)}
				w.net.SetDelay(time.Millisecond, 0)
				w.a = newMember(t, w.net.Host("a"), "a", "")
				fill(t, w.a.ledger, "k", 400)
				w.b = newMember(t, w.net.Host("b"), "b", "a")
				level(t, w.a, w.b)
				before := w.a.node.Status()
				c.goes(t, &w)
				time.Sleep(5 * time.Second)
				s := w.a.node.Status()
				l := s.LastLost
				if before.LastLost != nil || l == nil || s.Counters.LinksLost == 0 {
					t.Fatalf("%+v after %+v, of %d", l, before.LastLost, s.Counters.LinksLost)
				}
				if l.Left != c.left || (s.Counters.LinksLeft == s.Counters.LinksLost) != c.left || !strings.HasSuffix(l.Why, c.why) {
					t.Errorf("left: %v, %d of %d, because of\n%q, want\n%q", l.Left, s.Counters.LinksLeft, s.Counters.LinksLost, l.Why, c.why)
				}
				if told := fmt.Sprintf("left=%d", map[bool]int{true: 1}[c.left]); !strings.Contains(s.Info(), told) {
					t.Errorf("Info does not say %q", told)
				}
			})
		})
	}
}

// TestFarewellIsARefusal: an upstream that knows no more than the first codes of Refuse understands that a follower
// closes, and is told in words why it leaves.
func TestFarewellIsARefusal(t *testing.T) {
	for name, c := range map[string]struct {
		goes func(*repl.Replica) error
		want string
	}{
		"closes": {func(r *repl.Replica) error { return r.Close() }, "\x08"},
		"leaves": {func(r *repl.Replica) error { return r.Follow("elsewhere") }, "\x11repl: replica follows another upstream now"},
	} {
		synctest.Test(t, func(t *testing.T) {
			net, l, said := repl.NewMemory(), newLedger(nil), make(chan string, 1)
			fill(t, l, "k", 10)
			upstream(t, net, "a", func(_ int, p *peer) {
				p.welcome(someone(8).at(l))
				p.send(msgContinue, int64s(l.Log().End()))
				_, body, err := p.await(msgRefuse)
				if err != nil {
					t.Errorf("%s: %v", name, err)
				}
				said <- string(body)
			})
			r := replica(t, l, net, "a", nil)
			synctest.Wait()
			if err := c.goes(r); err != nil {
				t.Error(err)
			}
			if got := <-said; got != c.want {
				t.Errorf("one that %s says %q, want %q", name, got, c.want)
			}
		})
	}
}
