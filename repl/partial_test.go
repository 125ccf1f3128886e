package repl_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/repl"
	"github.com/emberkv/ember/repl/repltest"
)

// outage syncs a replica, takes its link away while during runs, and waits until
// it has caught up again.
func outage(t testing.TB, window int64, during func(a *ledger)) (m *repl.Master, a, b *ledger, d *diary) {
	t.Helper()
	net := repltest.NewNetwork(1)
	net.SetDelay(time.Millisecond, 0)
	a, b = newLedger(&backlog.Options{MaxBytes: window}), newLedger(nil)
	fill(t, a, "k", 50)
	var o repl.Options
	d = keep(&o)
	m = master(t, a, net.Host("a"), "a", nil)
	r := replica(t, b, net.Host("b"), "a", &o)
	synced(t, m, a, r)
	net.Link("a", "b").Refuse()
	net.Link("a", "b").Cut()
	during(a)
	net.HealAll()
	synced(t, m, a, r)
	same(t, a, b)
	return m, a, b, d
}

func TestPartialAfterACut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var from, to backlog.Position
		m, a, b, d := outage(t, 1<<20, func(a *ledger) {
			from = a.Log().Position()
			fill(t, a, "later", 100)
			to = a.Log().Position()
		})
		same(t, a, b)
		if len(d.parts) != 1 || d.parts[0].From != from || d.parts[0].Bytes != to.Offset-from.Offset {
			t.Errorf("partial syncs %+v, want one of %d bytes from %s", d.parts, to.Offset-from.Offset, from)
		}
		if c := m.Status().Counters; c.PartialSyncs != 1 || c.FullSyncs != 1 || c.Refusals[backlog.Empty] != 1 || len(c.Refusals) != 1 {
			t.Errorf("counters %+v", c)
		}
	})
}

// TestPartialSendsNoMoreThanIsLacking measures the link: magic, Welcome, a
// heartbeat, Continue and the log that was missed, once.
func TestPartialSendsNoMoreThanIsLacking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _, _, d := outage(t, 1<<20, func(a *ledger) { a.put("big", strings.Repeat("x", 100_000)) })
		time.Sleep(1500 * time.Millisecond) // a heartbeat, which counts
		written := m.Status().Followers[0].Written
		if most := d.parts[0].Bytes + 500; written < d.parts[0].Bytes || written > most {
			t.Errorf("%d bytes were sent for %d of log", written, d.parts[0].Bytes)
		}
	})
}

func TestLongOutageWithEnoughWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		_, _, _, d := outage(t, 1<<20, func(a *ledger) {
			for i := range 60 {
				time.Sleep(time.Minute)
				a.put(fmt.Sprint("minute", i), "x")
			}
		})
		if d.kinds(); len(d.parts) != 1 || len(d.fulls) != 1 {
			t.Errorf("%d full and %d partial syncs, want the first one and one", len(d.fulls), len(d.parts))
		}
		// The pause between tries is bounded.
		if took := time.Since(begun); took > time.Hour+6*time.Second {
			t.Errorf("back after %v", took)
		}
	})
}

func TestWindowTooSmall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, _, d := outage(t, 16<<10, func(a *ledger) {
			for i := range 10 {
				a.put(fmt.Sprint("big", i), strings.Repeat("x", 5000))
			}
		})
		if len(d.parts) != 0 || len(d.fulls) != 2 || d.fulls[1].Reason != backlog.Trimmed {
			t.Errorf("%+v and %+v, want a full sync because of Trimmed", d.parts, d.fulls)
		}
	})
}

// TestWindowBoundaries asks for every offset around the ends of a wrapped window
// and of each record in it. The window's own first offset and its end are in.
func TestWindowBoundaries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, a := repl.NewMemory(), newLedger(&backlog.Options{MaxBytes: 4 << 10})
		borders := map[int64]bool{0: true}
		for i := range 300 {
			end, _ := a.put(fmt.Sprint("k", i), strings.Repeat("v", i%40))
			borders[end] = true
		}
		w := a.Log().Window()
		if w.First == 0 {
			t.Fatal("the window has not wrapped")
		}
		m := master(t, a, net, "a", nil)
		ask := func(i identity) (refusal backlog.Refusal) {
			p := follow(t, net, "a", i)
			defer p.Close()
			kind, body, err := p.await(msgContinue, msgFullSync)
			switch {
			case err != nil:
				t.Fatal(err)
			case kind == msgContinue && string(body) != string(int64s(i.end)):
				t.Errorf("continue at % x, asked for %d", body, i.end)
			case kind == msgFullSync:
				refusal = backlog.Refusal(body[0])
			}
			return refusal
		}
		who := someone(9).at(a)
		for _, around := range []int64{0, w.First, w.First + 64, w.End} {
			for off := max(around-20, 0); off <= around+20; off++ {
				want := backlog.Accepted
				switch {
				case off < w.First:
					want = backlog.Trimmed
				case off > w.End:
					want = backlog.AheadOfFork
				case !borders[off]:
					want = backlog.InsideRecord
				}
				who.end = off
				if got := ask(who); got != want {
					t.Errorf("offset %d of %d to %d: %v, want %v", off, w.First, w.End, got, want)
				}
			}
		}
		if got := ask(someone(9)); got != backlog.Empty {
			t.Errorf("a node without data: %v, want %v", got, backlog.Empty)
		}
		other := someone(9)
		other.end = w.End
		if got := ask(other); got != backlog.OtherHistory {
			t.Errorf("a node of another history: %v, want %v", got, backlog.OtherHistory)
		}
		other.end = backlog.MaxOffset
		if got := ask(other); got != backlog.OtherHistory {
			t.Errorf("a node of another history at the end of time: %v", got)
		}
		// It left the history that we went on in, at a point that we hold.
		border := w.End
		for !borders[border] || border > w.End-50 {
			border--
		}
		fork := someone(9)
		fork.lineage = backlog.Lineage{Current: backlog.History{5}, Earlier: []backlog.Fork{{History: who.lineage.Current, End: border}}}
		for end, want := range map[int64]backlog.Refusal{border: backlog.Accepted, border + 1: backlog.AheadOfFork} {
			fork.end = end
			if got := ask(fork); got != want {
				t.Errorf("forked at %d, at %d: %v, want %v", border, end, got, want)
			}
		}
		synctest.Wait()
		if c := m.Status().Counters.Refusals; c[backlog.AheadOfFork] != 21 || c[backlog.Empty] != 1 || c[backlog.OtherHistory] != 2 || c[backlog.Trimmed] == 0 {
			t.Errorf("refusals are counted as %v", c)
		}
	})
}

// TestFollowerAhead: a replica that went on in a history that its master left
// earlier has records that the group has not. Its data are replaced, because
// the two know each other, and the reason is told.
func TestFollowerAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, a, b := repl.NewMemory(), newLedger(nil), newLedger(nil)
		fill(t, a, "k", 10)
		if err := b.Log().Extend(backlog.Lineage{Current: b.Log().Lineage().Current}); err != nil {
			t.Fatal(err)
		}
		fill(t, b, "mine", 20)
		before := b.Log().Lineage()
		a.log = backlog.NewLogAt(before.Fork(backlog.NewHistory(), 30), 30, nil)
		m := master(t, a, net, "a", nil)
		var o repl.Options
		d := keep(&o)
		r := replica(t, b, net, "a", &o)
		synced(t, m, a, r)
		same(t, a, b)
		if len(d.fulls) != 1 || d.fulls[0].Reason != backlog.AheadOfFork {
			t.Errorf("full syncs %+v, want one because of AheadOfFork", d.fulls)
		}
	})
}

// TestForeignUpstreams: data are given up neither for nothing nor for somebody
// else's, unless that is allowed.
func TestForeignUpstreams(t *testing.T) {
	for _, c := range []struct {
		name         string
		theirs       int // entries
		empty, other bool
		want         error
		wiped        bool
	}{
		{"empty master", 0, false, false, repl.ErrEmptyMaster, false},
		{"empty master, foreign allowed", 0, false, true, repl.ErrEmptyMaster, false},
		{"empty master, allowed", 0, true, false, nil, true},
		{"foreign master", 5, false, false, repl.ErrForeign, false},
		{"foreign master, empty allowed", 5, true, false, repl.ErrForeign, false},
		{"foreign master, allowed", 5, false, true, nil, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				net, a, b := repl.NewMemory(), newLedger(nil), newLedger(nil)
				fill(t, a, "theirs", c.theirs)
				fill(t, b, "mine", 10)
				before, at := b.state(), b.Log().Position()
				var mo, o repl.Options
				md := keep(&mo)
				m := master(t, a, net, "a", &mo)
				o.AllowEmpty, o.AllowForeign = c.empty, c.other
				d := keep(&o)
				r := replica(t, b, net, "a", &o)
				if c.wiped {
					synced(t, m, a, r)
					same(t, a, b)
					return
				}
				time.Sleep(time.Minute)
				if !d.saw(c.want) || !md.saw(repl.ErrForeign) {
					t.Errorf("%v here, %v there; want %v", d.last(), md.last(), c.want)
				}
				if !maps.Equal(b.state(), before) || b.Log().Position() != at {
					t.Errorf("the data did not stay")
				}
				if s := r.Status().Upstream; s.Attempts < 10 || s.Attempts > 600 || s.Fulls != 0 {
					t.Errorf("%d attempts in a minute, %d full syncs", s.Attempts, s.Fulls)
				}
			})
		})
	}
}
