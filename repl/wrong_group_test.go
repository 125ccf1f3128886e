package repl_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/repl"
)

// TestAnotherGroup: a node of another group is not followed, whatever is allowed, though it
// should hold nothing, or share the history; the data stay and are served, and a master of
// the own group is followed again without a copy.
func TestAnotherGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repl.NewMemory()
		node := func(addr, upstream, group string) (*ledger, *repl.Node, *diary) {
			l := newLedger(nil)
			o := &repl.Options{Name: addr, Group: group, Transport: net}
			d := keep(o)
			var n *repl.Node
			if upstream == "" {
				n = must1(repl.NewMaster(l, seeded(t, o))).Node()
			} else {
				n = must1(repl.NewReplica(l, upstream, seeded(t, o))).Node()
			}
			t.Cleanup(func() { n.Close() })
			serve(t, n, net, addr)
			go n.Run(t.Context())
			return l, n, d
		}
		a, _, _ := node("a", "", "ours")
		b, bn, bd := node("b", "a", "ours")
		fill(t, a, "k", 10)
		eventually(t, func() bool { return b.Len() == 10 }, func() string { return "no copy" })
		x, xn, _ := node("x", "", "theirs")
		empty, _, _ := node("empty", "", "")
		fill(t, x, "x", 5)
		r := must1(bn.Replica())
		for _, addr := range []string{"x", "empty"} {
			before := bn.Status().Upstream.Attempts
			if err := r.Follow(addr, repl.AllowEmpty, repl.AllowForeign); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			if u := bn.Status().Upstream; !errors.Is(bd.last(), repl.ErrGroup) || u.Attempts < before+2 || u.State == repl.LinkStreaming {
				t.Errorf("%s: %v; %+v", addr, bd.last(), u)
			}
			same(t, a, b)
		}
		if n := xn.Status().Counters.Handshakes; n < 2 || x.Len() != 5 || empty.Len() != 0 {
			t.Errorf("the other end: %d failed handshakes, %d and %d keys", n, x.Len(), empty.Len())
		}
		fill(t, a, "more", 5)
		if err := r.Follow("a"); err != nil {
			t.Fatal(err)
		}
		eventually(t, func() bool { return b.Log().Position() == a.Log().Position() }, func() string { return "not back" })
		same(t, a, b)
		if fulls, _ := bd.count(); fulls != 1 {
			t.Errorf("%d full copies, want the first", fulls)
		}
	})
}
