package repl_test

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/rdb"
	"github.com/emberkv/ember/repl"
	"github.com/emberkv/ember/repl/repltest"
)

// A register knows every record that was ever logged, by the history and the offset at
// which it begins, and the state at each position that a node was found at.
type register struct {
	records map[backlog.Position][]byte
	states  map[backlog.Position]map[string]string
}

// compare fails t if m has, at a place that another node has been at, something else.
func (r *register) compare(t testing.TB, m *member) {
	t.Helper()
	lineage, at := m.Log().Lineage(), m.Log().Window().First
	for log := content(t, m.ledger, at); len(log) > 0; {
		_, n, err := rdb.CutEntry(log)
		if err != nil {
			t.Fatal(err)
		}
		pos := backlog.Position{History: lineage.At(at).Current, Offset: at}
		if was, ok := r.records[pos]; ok && !bytes.Equal(was, log[:n]) {
			t.Fatalf("%s has %q at %s, another had %q", m.node.Name(), log[:n], pos, was)
		}
		r.records[pos] = log[:n]
		at, log = at+int64(n), log[n:]
	}
	pos, state := m.Log().Position(), m.state()
	if was, ok := r.states[pos]; ok && !maps.Equal(was, state) {
		t.Fatalf("%s at %s has %d entries, another had %d", m.node.Name(), pos, len(state), len(was))
	}
	r.states[pos] = state
}

// TestOneTruthForEachPlace: masters are made and unmade, several at once, replicas go
// from one to the other, links break and hang, and everybody who can writes. Whatever
// comes of it, no two nodes ever have different records at one offset of a history, nor
// different states at its end. In the end all follow one and have what it has.
func TestOneTruthForEachPlace(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { oneTruth(t, rand.New(rand.NewPCG(seed, 1)), seed) })
		})
	}
}

func oneTruth(t *testing.T, rng *rand.Rand, seed uint64) {
	net, names := repltest.NewNetwork(seed), []string{"a", "b", "c", "d"}
	net.SetDelay(time.Millisecond, time.Millisecond)
	var group []*member
	for i, name := range names {
		upstream := ""
		if i > 0 {
			upstream = names[rng.IntN(i)]
		}
		m := newMember(t, net.Host(name), name, upstream, func(o *repl.Options) { o.Compression = rdb.Compression(rng.IntN(3)) })
		m.ledger.onDump = func(int) { time.Sleep(time.Millisecond) }
		group = append(group, m)
	}
	fill(t, group[0].ledger, "k", 50)
	level(t, group[0], group[1:]...)
	r := &register{make(map[backlog.Position][]byte), make(map[backlog.Position]map[string]string)}
	for step := range 80 {
		m, other := group[rng.IntN(4)], names[rng.IntN(4)]
		link := net.Link(m.node.Name(), other)
		switch rng.IntN(10) {
		case 0:
			if replica, err := m.node.Replica(); err == nil {
				replica.Promote(t.Context())
			}
		case 1, 2:
			if other != m.node.Name() {
				m.follow(t, other)
			}
		case 3:
			link.Cut()
		case 4:
			link.Stall()
		case 5, 6:
			net.HealAll()
		}
		for range rng.IntN(8) {
			for _, w := range group {
				w.put(fmt.Sprint("k", rng.IntN(60)), fmt.Sprint(step, w.node.Name(), rng.IntN(1000)))
			}
		}
		time.Sleep(time.Duration(rng.IntN(30)) * time.Millisecond)
		synctest.Wait()
		for _, m := range group {
			r.compare(t, m)
		}
	}
	net.HealAll()
	last := group[rng.IntN(4)]
	for range 2 { // it may hear of a higher epoch only when the others come
		if replica, err := last.node.Replica(); err == nil {
			replica.Promote(t.Context())
		}
		for _, m := range group {
			if m != last {
				m.follow(t, last.node.Name())
			}
		}
		time.Sleep(30 * time.Second)
	}
	if last.node.Role() != repl.RoleMaster {
		t.Fatalf("%s was promoted above all, and is a %s", last.node.Name(), last.node.Role())
	}
	fill(t, last.ledger, "end", 5)
	level(t, last, group...)
	for _, m := range group {
		r.compare(t, m)
	}
}
