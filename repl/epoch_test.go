package repl_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/repl"
)

// refuses waits until a write on m gets a FencedError, and returns it.
func refuses(t testing.TB, m *member) *repl.FencedError {
	t.Helper()
	var fenced *repl.FencedError
	eventually(t, func() bool { _, err := m.put("probe", "v"); return errors.As(err, &fenced) }, func() string {
		return fmt.Sprintf("%s is a %s of %s and takes writes", m.node.Name(), m.node.Role(), m.node.Status().Epoch)
	})
	return fenced
}

func epochOf(m *member) backlog.Epoch { return m.Log().Lineage().Epoch }

// TestMasterStepsDown: a master that hears of a higher epoch, from a replica that comes
// back to it, takes no more writes and follows nobody, until it is told whom. Both keep
// their data; writers, the program and the status are told why.
func TestMasterStepsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repl.NewMemory()
		a, b, c := newMember(t, net, "a", ""), newMember(t, net, "b", "a"), newMember(t, net, "c", "a")
		fill(t, a.ledger, "k", 10)
		level(t, a, b, c)
		first := epochOf(a)
		if first.IsZero() || epochOf(c) != first {
			t.Errorf("a began %s, c is of %s", first, epochOf(c))
		}
		b.promote(t)
		if e := epochOf(b); e.Compare(first) <= 0 || e.Node != b.node.ID() {
			t.Errorf("b began %s after %s", e, first)
		}
		c.follow(t, "b")
		fill(t, b.ledger, "new", 5)
		level(t, b, c)
		fill(t, a.ledger, "tail", 3) // nobody has told a

		c.follow(t, "a")
		fenced := refuses(t, a)
		if fenced.Epoch != epochOf(b) || fenced.By != "c" || !errors.Is(fenced, repl.ErrFenced) || !errors.Is(fenced, repl.ErrReadOnly) {
			t.Errorf("a's writers get %v", fenced)
		}
		time.Sleep(10 * time.Second)
		s := a.node.Status()
		if s.Role != repl.RoleReplica || s.Upstream.Addr != "" || s.Upstream.LastError != fenced.Error() || s.Upstream.LastErrorAt.IsZero() || s.Epoch != epochOf(b) || s.Upstream.Attempts != 0 {
			t.Errorf("a's status: %+v, %+v", s, s.Upstream)
		}
		if got := a.errs(); len(got) != 1 || !errors.Is(got[0], repl.ErrFenced) {
			t.Errorf("a was told of its role with %v", got)
		}
		if a.Len() < 13 || c.Len() != 15 || !c.diary.saw(repl.ErrLowerEpoch) {
			t.Errorf("a has %d keys and c %d; c's link: %v", a.Len(), c.Len(), c.diary.last())
		}
		a.follow(t, "b")
		level(t, b, a, c)
		if n := a.node.Status().Counters.LostTails; n != 1 {
			t.Errorf("a has lost %d tails, want one", n)
		}
	})
}

// TestEpochsByWire: a master hears of a higher epoch by a Hello and by an Ack alike, and
// of a lower one, or of one of strangers, with equanimity.
func TestEpochsByWire(t *testing.T) {
	higher, over := backlog.Epoch{Counter: 9, Node: [16]byte{9}}, backlog.Epoch{Counter: 9 | 1<<63, Node: [16]byte{9}}
	for _, c := range []struct {
		name       string
		hello, ack backlog.Epoch
		stranger   bool
		fenced     bool
		counter    uint64 // of a's epoch afterwards
	}{
		{"hello", higher, higher, false, true, 1},
		{"ack", backlog.Epoch{}, higher, false, true, 1},
		{"lower", backlog.Epoch{}, backlog.Epoch{}, false, false, 1},
		{"stranger's", higher, higher, true, false, 1},
		{"one that is over", over, over, false, false, 10},
		{"one that is over, in an ack", backlog.Epoch{}, over, false, false, 10},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				net := repl.NewMemory()
				a := newMember(t, net, "a", "")
				fill(t, a.ledger, "k", 10)
				who := someone(9)
				if !c.stranger {
					who = who.at(a.ledger)
				}
				if c.hello.Counter > who.heard.Counter {
					who.heard = c.hello
				}
				p := follow(t, net, "a", who)
				if _, _, err := p.await(msgContinue, msgFullSync); err != nil { // an ack before that breaks the rules
					t.Fatal(err)
				}
				if c.stranger {
					p.send(msgAck, append(ackBody(0, 0, 0, 1)[:33], epochBytes(c.ack)...)) // loading
				} else {
					end := a.Log().End()
					p.send(msgAck, append(ackBody(0, end, end, 0)[:33], epochBytes(c.ack)...))
				}
				go p.drain()
				time.Sleep(time.Second)
				_, err := a.put("k", "v")
				if fenced := errors.Is(err, repl.ErrFenced); fenced != c.fenced || err != nil && !fenced {
					t.Errorf("a write gets %v", err)
				}
				if e := epochOf(a); e.Counter != c.counter {
					t.Errorf("a is of %s now", e)
				}
			})
		})
	}
}

func epochBytes(e backlog.Epoch) []byte { b, _ := e.AppendBinary(nil); return b }

// TestReplicaRefusesLowerEpochs: an upstream whose log is of a lower epoch, and one that
// does not take notice of what the replica has heard. The replica keeps what it has.
func TestReplicaRefusesLowerEpochs(t *testing.T) {
	for name, change := range map[string]func(*identity){
		"the log's": func(i *identity) {
			i.lineage.Epoch.Counter-- // and has heard of ours
		},
		"not told of": func(i *identity) { i.heard = i.lineage.Epoch },
	} {
		synctest.Test(t, func(t *testing.T) {
			net := repl.NewMemory()
			l := newLedger(nil)
			fill(t, l, "k", 10)
			lineage := l.Log().Lineage()
			l.Log().Raise(backlog.Epoch{Counter: 5, Node: [16]byte{5}})
			up := someone(9).at(l)
			up.heard = backlog.Epoch{Counter: 6, Node: [16]byte{6}}
			change(&up)
			b := newMemberOf(t, net, "b", "up", l)
			if name == "not told of" { // but by another
				dialed := someone(8)
				dialed.end, dialed.lineage, dialed.heard = l.Log().End(), lineage, backlog.Epoch{Counter: 6, Node: [16]byte{6}}
				follow(t, net, "b", dialed)
			}
			upstream(t, net, "up", func(n int, p *peer) {
				if p.welcome(up) == nil {
					p.send(msgContinue, int64s(up.end))
					p.send(msgLog, logBody(up.end, record("evil", "x")))
					p.drain()
				}
			})
			eventually(t, func() bool { return b.diary.saw(repl.ErrLowerEpoch) }, func() string { return fmt.Sprint(name, ": ", b.diary.last()) })
			if b.Len() != 10 {
				t.Errorf("%s: b has %d keys", name, b.Len())
			}
			b.node.Close()
		})
	}
}

// TestFramesOfALowerEpoch: a replica hears of a higher epoch while it streams, from a
// follower of its own. What its upstream sends then is not taken any more.
func TestFramesOfALowerEpoch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repl.NewMemory()
		l := newLedger(nil)
		fill(t, l, "k", 10)
		up, said := someone(9).at(l), make(chan struct{})
		b := newMemberOf(t, net, "b", "up", l)
		upstream(t, net, "up", func(n int, p *peer) {
			if p.welcome(up) != nil {
				return
			}
			p.send(msgContinue, int64s(up.end))
			if n == 0 {
				p.send(msgLog, logBody(up.end, record("good", "x")))
				<-said
				p.send(msgLog, logBody(up.end+int64(len(record("good", "x"))), record("evil", "x")))
			}
			p.drain()
		})
		eventually(t, func() bool { return b.Len() == 11 }, func() string { return "the first record did not arrive" })
		who := someone(8).at(l)
		who.heard = backlog.Epoch{Counter: 6, Node: [16]byte{6}}
		follow(t, net, "b", who)
		close(said)
		eventually(t, func() bool { return b.diary.saw(repl.ErrLowerEpoch) }, func() string { return fmt.Sprint(b.diary.last()) })
		if b.Len() != 11 {
			t.Errorf("b has %d keys, and took what a lower epoch has written", b.Len())
		}
		b.node.Close()
	})
}

// TestConcurrentPromotions: two replicas are promoted by hand at one moment. Their epochs
// differ, and when they meet, by way of a third node, the lower one steps down. What it
// has written alone is reported when it follows.
func TestConcurrentPromotions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repl.NewMemory()
		a, b, c, d := newMember(t, net, "a", ""), newMember(t, net, "b", "a"), newMember(t, net, "c", "a"), newMember(t, net, "d", "a")
		fill(t, a.ledger, "k", 10)
		level(t, a, b, c, d)
		b.promote(t)
		c.promote(t)
		if epochOf(b).Compare(epochOf(c)) > 0 {
			b, c = c, b // c is the higher one
		}
		if epochOf(b).Counter != epochOf(c).Counter || epochOf(b) == epochOf(c) {
			t.Errorf("promoted in %s and %s", epochOf(b), epochOf(c))
		}
		fill(t, b.ledger, "b", 5)
		d.follow(t, c.node.Name())
		fill(t, c.ledger, "c", 5)
		level(t, c, d)
		d.follow(t, b.node.Name())
		refuses(t, b)
		if _, err := c.put("k", "the higher one goes on"); err != nil {
			t.Error(err)
		}
		d.follow(t, c.node.Name())
		b.follow(t, c.node.Name())
		level(t, c, b, d)
		if s := b.node.Status().Counters; s.LostTails != 1 || s.LostBytes == 0 {
			t.Errorf("b lost %d tails of %d bytes", s.LostTails, s.LostBytes)
		}
	})
}

// TestYield: a master that is told to follow one of a lower epoch has given up its own, so
// that the other need not step down: it takes an epoch above, and no writer notices. This
// is how a promotion by mistake is taken back.
func TestYield(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repl.NewMemory()
		a, b, c := newMember(t, net, "a", ""), newMember(t, net, "b", "a"), newMember(t, net, "c", "a")
		fill(t, a.ledger, "k", 10)
		level(t, a, b, c)
		b.promote(t)
		fill(t, b.ledger, "mistake", 5)
		b.follow(t, "c") // not even to a itself
		stop := make(chan struct{})
		go func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				case <-time.After(time.Millisecond):
				}
				if _, err := a.put(fmt.Sprint("k", i%10), "v"); err != nil {
					t.Errorf("a write on a: %v", err)
					return
				}
			}
		}()
		time.Sleep(time.Minute / everyNth) // a thousand writes a second
		close(stop)
		synctest.Wait()
		level(t, a, c, b)
		if epochOf(a).Counter != 3 || a.node.Role() != repl.RoleMaster || b.node.Status().Counters.LostTails != 1 {
			t.Errorf("a is a %s of %s, b lost %d tails", a.node.Role(), epochOf(a), b.node.Status().Counters.LostTails)
		}
	})
}

// TestEpochsOfStrangers: a replica of one group that is given to another, with leave to
// drop what it has, does not bring the epochs of its old group along.
func TestEpochsOfStrangers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := repl.NewMemory()
		a, b, x := newMember(t, net, "a", ""), newMember(t, net, "b", "a"), newMember(t, net, "x", "")
		fill(t, a.ledger, "k", 10)
		fill(t, x.ledger, "x", 5)
		level(t, a, b)
		for range 3 {
			b.promote(t)
			b.follow(t, "a")
			level(t, a, b)
		}
		b.follow(t, "x", repl.AllowForeign)
		level(t, x, b)
		time.Sleep(10 * time.Second) // its acks say what it has heard
		if _, err := x.put("x", "v"); err != nil || b.node.Status().Epoch != epochOf(x) || epochOf(a).Counter < 4 {
			t.Errorf("x refuses with %v; b has heard of %s, x is of %s", err, b.node.Status().Epoch, epochOf(x))
		}
	})
}
