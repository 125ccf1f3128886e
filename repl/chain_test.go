package repl_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/repl"
	"github.com/emberkv/ember/repl/repltest"
)

// content returns the bytes that a log holds from an offset on.
func content(t testing.TB, l *ledger, from int64) (b []byte) {
	t.Helper()
	r, err := l.Log().NewReader(from)
	if err != nil {
		t.Fatal(err)
	}
	for end := l.Log().End(); r.Offset() < end; {
		part, err := r.Next(end)
		if err != nil {
			t.Fatal(err)
		}
		b = append(b, part...)
	}
	return b
}

// TestChain: a replica of a replica of a replica holds the same bytes at the same
// offsets, and goes on from where it stands at another place in the chain.
func TestChain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, ledgers := repl.NewMemory(), []*ledger{newLedger(nil)}
		fill(t, ledgers[0], "k", 100)
		m := master(t, ledgers[0], net, "0", nil)
		var last *repl.Replica
		for i := 1; i < 4; i++ {
			l := newLedger(nil)
			ledgers = append(ledgers, l)
			last = replica(t, l, net, fmt.Sprint(i-1), nil)
			serve(t, last, net, fmt.Sprint(i))
		}
		caughtUp(t, last, ledgers[3], ledgers[0])
		from := ledgers[0].Log().End()
		stop := keepWriting(ledgers[0], time.Millisecond, 1)
		time.Sleep(time.Second)
		stop()
		caughtUp(t, last, ledgers[3], ledgers[0])
		want := string(content(t, ledgers[0], from))
		for i, l := range ledgers[1:] {
			same(t, ledgers[0], l)
			if string(content(t, l, from)) != want {
				t.Errorf("the log of replica %d has other bytes", i+1)
			}
		}
		if n := len(m.Status().Followers); n != 1 {
			t.Errorf("the master has %d followers, want its own one", n)
		}
		// The last one is re-pointed to the top: no second copy.
		last.Close()
		r := replica(t, ledgers[3], net, "0", nil)
		fill(t, ledgers[0], "after", 10)
		caughtUp(t, r, ledgers[3], ledgers[0])
		if s := r.Status().Upstream; s.Partials != 1 || s.Fulls != 0 {
			t.Errorf("%d partial and %d full syncs, want 1 and 0", s.Partials, s.Fulls)
		}
		// The clock of the node that writes has come all the way down.
		for i, l := range ledgers[1:] {
			l.mu.Lock()
			if l.clock == 0 {
				t.Errorf("replica %d has heard no clock", i+1)
			}
			l.mu.Unlock()
		}
	})
}

// TestNotReady: a replica without data refuses followers by name, and serves them
// as soon as it has its copy.
func TestNotReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, a, b, c := repl.NewMemory(), newLedger(nil), newLedger(nil), newLedger(nil)
		fill(t, a, "k", 10)
		middle := replica(t, b, net, "a", nil) // nobody listens there yet
		serve(t, middle, net, "b")
		var o repl.Options
		d := keep(&o)
		r := replica(t, c, net, "b", &o)
		time.Sleep(time.Second)
		if !errors.Is(d.last(), repl.ErrNotReady) || c.Len() != 0 {
			t.Errorf("%v, want ErrNotReady", d.last())
		}
		master(t, a, net, "a", nil)
		caughtUp(t, r, c, a)
		same(t, a, c)
	})
}

// TestCopyOfTheMiddle: when the middle of a chain takes a full copy, those below
// it are told that its log was replaced, and follow.
func TestCopyOfTheMiddle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, _, r, a, b := lapped(t, nil)
		c := newLedger(nil)
		serve(t, r, net.Host("b"), "b")
		var o repl.Options
		d := keep(&o)
		below := replica(t, c, net.Host("c"), "b", &o)
		caughtUp(t, below, c, b)
		net.HealAll()
		caughtUp(t, below, c, a)
		same(t, a, c)
		if !d.saw(backlog.ErrReset) {
			t.Errorf("the one below was told %v, want ErrReset", d.last())
		}
	})
}

// TestForkOfTheMaster: the master begins a new history. Followers that stream,
// one that was away, and one below them, all go over at the fork, without a copy,
// and no offset ever means two things.
func TestForkOfTheMaster(t *testing.T) {
	for _, idle := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			net := repltest.NewNetwork(1)
			net.SetDelay(time.Millisecond, 0)
			a, b, c, e := newLedger(nil), newLedger(nil), newLedger(nil), newLedger(nil)
			fill(t, a, "k", 30)
			m := master(t, a, net.Host("a"), "a", nil)
			var o repl.Options
			d := keep(&o)
			r1 := replica(t, b, net.Host("b"), "a", &o)
			serve(t, r1, net.Host("b"), "b")
			r2 := replica(t, c, net.Host("c"), "a", nil)
			synced(t, m, a, r1, r2)
			r3 := replica(t, e, net.Host("e"), "b", nil)
			caughtUp(t, r3, e, a)

			net.Link("a", "c").Refuse()
			net.Link("a", "c").Cut()
			old := a.Log().Position()
			fill(t, a, "before", 10)
			end := a.Log().Position()
			fork := a.Log().Fork(backlog.NewHistory())
			if !idle {
				fill(t, a, "behind", 10)
			}
			second := a.Log().Fork(backlog.NewHistory())
			if !idle {
				fill(t, a, "further", 10)
			}
			net.HealAll()
			caughtUp(t, r1, b, a)
			caughtUp(t, r2, c, a)
			caughtUp(t, r3, e, a)
			for i, l := range []*ledger{b, c, e} {
				same(t, a, l)
				want, got := a.Log().Lineage(), l.Log().Lineage()
				if fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("replica %d: lineage %v, want %v", i, got, want)
				}
			}
			for i, r := range []*repl.Replica{r1, r2, r3} {
				if s := r.Status().Upstream; s.Fulls != 1 {
					t.Errorf("replica %d: %d full syncs for a fork", i, s.Fulls)
				}
			}
			if len(d.ends) != 0 {
				t.Errorf("a follower that streamed lost its link: %v", d.ends)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			for _, pos := range []backlog.Position{old, end, fork, second, a.Log().Position()} {
				if n, err := m.Wait(ctx, pos, 2); n != 2 || err != nil {
					t.Errorf("Wait for %s: %d, %v", pos, n, err)
				}
			}
			if _, err := m.Wait(ctx, backlog.Position{History: end.History, Offset: end.Offset + 1}, 1); !errors.Is(err, repl.ErrLost) {
				t.Errorf("Wait beyond the fork: %v, want ErrLost", err)
			}
		})
	}
}

// TestForkDuringACopy: the master begins a new history while it is copied.
func TestForkDuringACopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, a, b := repl.NewMemory(), newLedger(nil), newLedger(nil)
		fill(t, a, "k", 200)
		slowly(a, 20*time.Millisecond)
		m := master(t, a, net, "a", nil)
		r := replica(t, b, net, "a", nil)
		time.Sleep(50 * time.Millisecond)
		fill(t, a, "before", 10)
		a.Log().Fork(backlog.NewHistory())
		fill(t, a, "behind", 10)
		synced(t, m, a, r)
		caughtUp(t, r, b, a)
		same(t, a, b)
		if got, want := fmt.Sprint(b.Log().Lineage()), fmt.Sprint(a.Log().Lineage()); got != want {
			t.Errorf("lineage %s, want %s", got, want)
		}
	})
}
