package repl_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/repl"
	"github.com/emberkv/ember/repl/repltest"
)

// A doorman notes what the program is told of a node's gate.
type doorman struct {
	mu    sync.Mutex
	heard []repl.GateChange
}

func (d *doorman) hear(c repl.GateChange) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.heard = append(d.heard, c)
}

// takes returns what was told since it was asked last.
func (d *doorman) takes() []repl.GateChange {
	synctest.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	all := d.heard
	d.heard = nil
	return all
}

// one fails t unless one change was told, and returns it.
func (d *doorman) one(t *testing.T, when string) repl.GateChange {
	t.Helper()
	all := d.takes()
	if len(all) != 1 {
		t.Fatalf("%s: told %+v, want one change", when, all)
	}
	return all[0]
}

// TestGateIsTold: when replicas that a write needs come and go the program is told once for
// each change, at the moment of it and whether or not anybody writes, and the status agrees.
func TestGateIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, a, d := repltest.NewNetwork(1), newLedger(nil), new(doorman)
		o := minReplicas(1, 3*time.Second)
		o.Events.Gate = d.hear
		m := master(t, a, net.Host("a"), "a", o)
		status := func(refusing bool, near int) {
			t.Helper()
			s := m.Status()
			if says := strings.Contains(s.Refusing, "NOREPLICAS"); says != refusing || s.NearReplicas != near {
				t.Errorf("status says that writes get %q, with %d replicas near", s.Refusing, s.NearReplicas)
			}
			if line := "\r\nember_refusing:" + s.Refusing + "\r\n"; !strings.Contains(s.Info(), line) {
				t.Errorf("info has no line %q", line)
			}
		}
		if c := d.one(t, "at first"); !errors.Is(c.Err, repl.ErrNotEnoughReplicas) || c.Near != 0 {
			t.Errorf("at first: %+v", c)
		}
		status(true, 0)
		time.Sleep(time.Second)
		replica(t, newLedger(nil), net.Host("b"), "a", nil)
		for len(m.Status().Followers) == 0 || !m.Status().Followers[0].Near {
			time.Sleep(10 * time.Millisecond)
		}
		if c := d.one(t, "with a replica"); c.Err != nil || c.Was == nil || c.Near != 1 || c.Refused < time.Second || c.Refused > 3*time.Second {
			t.Errorf("with a replica: %+v", c)
		}
		status(false, 1)
		fill(t, a, "k", 100)
		time.Sleep(20 * time.Second)
		if all := d.takes(); len(all) != 0 {
			t.Errorf("while all is well: %+v", all)
		}

		net.Link("a", "b").Blackhole()
		cut := time.Now()
		for errors.Is(a.Log().Refusing(), nil) {
			time.Sleep(time.Millisecond)
		}
		if c := d.one(t, "cut off"); !errors.Is(c.Err, repl.ErrNotEnoughReplicas) || c.Was != nil || c.Near != 0 {
			t.Errorf("cut off: %+v", c)
		}
		if shut := time.Since(cut); shut > 3*time.Second+2*time.Millisecond || shut < 2*time.Second {
			t.Errorf("shut %v after the cut, want MaxLag after the last answer", shut)
		}
		for range 100 {
			if _, err := a.put("k", "v"); !errors.Is(err, repl.ErrNotEnoughReplicas) {
				t.Fatal(err)
			}
		}
		time.Sleep(10 * time.Second)
		if all := d.takes(); len(all) != 0 {
			t.Errorf("of a hundred refused writes: %+v", all)
		}
		status(true, 0)
		net.HealAll()
		time.Sleep(10 * time.Second)
		if c := d.one(t, "healed"); c.Err != nil || c.Refused < 10*time.Second {
			t.Errorf("healed: %+v", c)
		}
	})
}

// TestGateOfARole is told of, too: who is fenced, who follows, who is promoted. A pause for a
// handover refuses nobody.
func TestGateOfARole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, da, db := repl.NewMemory(), new(doorman), new(doorman)
		a := newMember(t, net, "a", "", func(o *repl.Options) { o.Events.Gate = da.hear })
		b := newMember(t, net, "b", "a", func(o *repl.Options) { o.Events.Gate = db.hear })
		level(t, a, b)
		if all := da.takes(); len(all) != 0 {
			t.Errorf("a master: %+v", all)
		}
		if c := db.one(t, "a replica"); !errors.Is(c.Err, repl.ErrReadOnly) || b.node.Status().Refusing != c.Err.Error() {
			t.Errorf("a replica: %+v", c)
		}
		m, err := a.node.Master()
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if _, err := m.Handover(ctx, "b"); err != nil {
			t.Fatal(err)
		}
		if c := da.one(t, "handed over"); !errors.Is(c.Err, repl.ErrReadOnly) || c.Was != nil {
			t.Errorf("handed over: %+v", c)
		}
		if c := db.one(t, "took over"); c.Err != nil || !errors.Is(c.Was, repl.ErrReadOnly) {
			t.Errorf("took over: %+v", c)
		}
		level(t, b, a)
		higher := backlog.Epoch{Counter: 99, Node: [16]byte{9}}
		p := follow(t, net, "b", someone(9).at(b.ledger))
		end := b.Log().End()
		p.await(msgContinue)
		p.send(msgAck, append(ackBody(0, end, end, 0)[:33], epochBytes(higher)...))
		go p.drain()
		time.Sleep(time.Second)
		if c := db.one(t, "fenced"); !errors.Is(c.Err, repl.ErrFenced) {
			t.Errorf("fenced: %+v", c)
		}
	})
}

// TestGateOfAPromoted: a replica that is promoted without the replicas that its writes need has refused
// them, when those come, for as long as it is a master, and not from its start on.
func TestGateOfAPromoted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, d := repl.NewMemory(), new(doorman)
		a := newMember(t, net, "a", "")
		b := newMember(t, net, "b", "a", func(o *repl.Options) { o.MinReplicas, o.Events.Gate = 1, d.hear })
		level(t, a, b)
		time.Sleep(time.Hour)
		d.takes()
		a.node.Close()
		r, err := b.node.Replica()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Promote(t.Context()); err != nil {
			t.Fatal(err)
		}
		if c := d.one(t, "promoted"); !errors.Is(c.Err, repl.ErrNotEnoughReplicas) || !errors.Is(c.Was, repl.ErrReadOnly) {
			t.Errorf("promoted: %+v", c)
		}
		time.Sleep(time.Minute)
		level(t, b, newMember(t, net, "c", "b"))
		time.Sleep(5 * time.Second)
		if c := d.one(t, "with a replica"); c.Err != nil || c.Refused < time.Minute || c.Refused > time.Minute+5*time.Second {
			t.Errorf("with a replica: %+v", c)
		}
	})
}
