package sim_test

import (
	"sync"
	"testing"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/repl/repltest"
)

// A ledger holds what was said and seen, and finds what does not go together. P1 to P6
// are the promises of package ember.
//
//   - P1, P3: sums. A store's digest belongs to its position, whoever has it; and
//     where only writers change anything, to a position at which a writer has left it.
//   - P2: seen. In one history a node's position never goes back.
//   - P4: promises. What Wait said that n nodes have, one of them takes over, if the
//     best of those who can be asked is promoted.
//   - P5: acked. What a master has acknowledged is, when all is quiet, in what all have,
//     or was handed out as lost by the store that had it. Where writes need a replica
//     that is near, what is lost was written within Options.MaxLag.
//   - P6: epochs. In one epoch one member writes.
type ledger struct {
	strict   bool // nothing but a writer changes anything
	sums     map[backlog.Position]uint64
	seen     map[string]backlog.Position
	acked    map[string][]ack // by the member that said so, since the last account
	replaced bool             // somebody's store, since the last account
	epochs   map[backlog.Epoch]string

	mu struct {
		sync.Mutex
		lost         map[string][]lost // as reported, since the last account
		promises     []promise
		replacements int // of stores, so far
		masters      int // so far
		waits        int // that were told what they wanted to hear
	}
}

// An ack is a write that a master has acknowledged, and when.
type ack struct {
	pos backlog.Position
	at  time.Duration
}

// A promise is what Wait has returned.
type promise struct {
	pos  backlog.Position
	have int // nodes that may have it still
}

// A lost tail, as its store has told of it.
type lost struct {
	from, to backlog.Position
	events   int
}

func (l *ledger) init(strict bool) {
	l.strict = strict
	l.sums, l.seen = make(map[backlog.Position]uint64), make(map[string]backlog.Position)
	l.acked, l.mu.lost = make(map[string][]ack), make(map[string][]lost)
	l.epochs = make(map[backlog.Epoch]string)
}

// report notes that a store has lost a tail.
func (l *ledger) report(name string, tail kv.LostTail) {
	n := 0
	for range tail.Events {
		n++
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.lost[name] = append(l.mu.lost[name], lost{tail.From, tail.To, n})
}

// wrote notes that a member has acknowledged a write.
func (l *ledger) wrote(w *world, m *repltest.Member[*kv.Store]) {
	l.acked[m.Name()] = append(l.acked[m.Name()], ack{l.mark(w.t, m), w.elapsed()})
	epoch := m.Machine().Log().Lineage().Epoch
	if who, known := l.epochs[epoch]; known && !epoch.IsZero() && who != m.Name() {
		w.t.Fatalf("P6: %s writes in epoch %s, as %s did\n%s", m.Name(), epoch, who, w.group)
	}
	l.epochs[epoch] = m.Name()
}

// mark notes where a writer's store is, and what it has there.
func (l *ledger) mark(t *testing.T, m *repltest.Member[*kv.Store]) backlog.Position {
	d, err := m.Machine().Digest()
	if err != nil {
		t.Fatal(err)
	}
	if sum, known := l.sums[d.Position]; known && sum != d.Sum {
		t.Fatalf("P3: %s has sum %x at %s, where it was %x", m.Name(), d.Sum, d.Position, sum)
	}
	l.sums[d.Position] = d.Sum
	return d.Position
}

// look compares every node with what is known of its position.
func (w *world) look() {
	l := &w.ledger
	for _, m := range w.group.Members() {
		d, err := m.Machine().Digest()
		if err != nil || !m.Running() {
			continue
		}
		sum, known := l.sums[d.Position]
		switch {
		case known && sum != d.Sum:
			w.t.Fatalf("P3: %s has sum %x at %s, where another had %x\n%s", m.Name(), d.Sum, d.Position, sum, w.group)
		case !known && l.strict && d.Position.Offset > 0 && !l.forked(m.Machine().Log().Lineage(), d):
			w.t.Fatalf("P1: %s is at %s, where no master has been\n%s", m.Name(), d.Position, w.group)
		}
		l.sums[d.Position] = d.Sum
		last := l.seen[m.Name()]
		if d.Position.History == last.History && d.Position.Offset < last.Offset {
			w.t.Fatalf("P2: %s is at %s, and was at %s\n%s", m.Name(), d.Position, last, w.group)
		}
		l.seen[m.Name()] = d.Position
	}
	w.tally.looks++
}

// forked reports whether a store is where a history began, with what it had at the end of
// the one before: a master may begin one by itself, above an epoch that is over.
func (l *ledger) forked(lineage backlog.Lineage, d kv.Digest) bool {
	if lineage.Current != d.Position.History || len(lineage.Earlier) == 0 {
		return false
	}
	before := lineage.Earlier[0]
	sum, known := l.sums[backlog.Position{History: before.History, Offset: before.End}]
	return before.End == d.Position.Offset && known && sum == d.Sum
}

// turn notes that somebody's role or upstream changes: from one history a node may
// go to another, and back.
func (l *ledger) turn() { clear(l.seen) }

// asked returns what is to be remembered of the moment in which somebody begins to wait.
func (l *ledger) asked() (masters, replacements int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.masters, l.mu.replacements
}

// promised notes what Wait on a master has returned, which was asked at some
// moment. Stores that were replaced since may have been among those that it counts.
func (w *world) promised(from *repltest.Member[*kv.Store], pos backlog.Position, have, masters, replacements int) {
	l := &w.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.waits++
	if masters != l.mu.masters {
		return // nobody has promised that of a master of the past
	}
	have -= l.mu.replacements - replacements
	l.mu.promises = append(l.mu.promises, promise{pos, have})
	holders := 0
	for _, m := range w.group.Members() {
		if m != from && covers(m.Machine(), pos) {
			holders++
		}
	}
	if holders < have {
		w.t.Errorf("P4: Wait said that %d have %s, and %d do\n%s", have, pos, holders, w.group)
	}
}

// replace notes that a store is gone, which may have been one of those that Wait
// has counted.
func (l *ledger) replace(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.replacements++
	for i := range l.mu.promises {
		l.mu.promises[i].have--
	}
	delete(l.seen, name)
	l.replaced = true
	delete(l.acked, name) // it can be handed out by nobody; P5 says so
}

// keep checks that a node which was promoted has all that Wait said others have.
func (l *ledger) keep(t *testing.T, m *repltest.Member[*kv.Store]) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.mu.promises {
		if p.have > 0 && !covers(m.Machine(), p.pos) {
			t.Fatalf("P4: Wait said that %d nodes have %s; %s, the best of them, is promoted at %s without it",
				p.have, p.pos, m.Name(), m.Machine().Position())
		}
	}
	l.mu.promises = nil
	l.mu.masters++
}

// account is drawn up when all have the same: what was acknowledged is in it, or was
// reported as lost.
func (l *ledger) account(w *world) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := w.member(w.master).Machine()
	for name, acked := range l.acked {
		first, last := time.Duration(0), time.Duration(0)
		for _, a := range acked {
			if covers(now, a.pos) {
				continue
			}
			w.tally.lost++
			if last = a.at; first == 0 {
				first = a.at
			}
			if !reported(l.mu.lost[name], a.pos) {
				w.t.Fatalf("P5: %s has acknowledged %s, nobody has it, and it was not told of: %v\n%s",
					name, a.pos, l.mu.lost[name], w.group)
			}
		}
		if w.near && !l.replaced && last-first > maxLag {
			w.t.Fatalf("P5: the writes of %v on %s are lost, though a replica had to be within %v\n%s",
				last-first, name, maxLag, w.group)
		}
	}
	l.replaced = false
	clear(l.acked)
	clear(l.mu.lost)
}

// reported reports whether the write that ends at pos is in one of the tails.
func reported(tails []lost, pos backlog.Position) bool {
	for _, tail := range tails {
		if tail.to.History == pos.History && tail.from.Offset < pos.Offset && pos.Offset <= tail.to.Offset && tail.events > 0 {
			return true
		}
	}
	return false
}

// covers reports whether a store's log, or what it was copied from, has come by pos.
func covers(s *kv.Store, pos backlog.Position) bool {
	lineage, end := s.Log().Lineage(), s.Position()
	if pos.History == lineage.Current {
		return end.History != pos.History || pos.Offset <= end.Offset
	}
	for _, f := range lineage.Earlier {
		if f.History == pos.History {
			return pos.Offset <= f.End
		}
	}
	return false
}

// waits returns how many waits were told what they wanted to hear.
func (l *ledger) waits() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.waits
}
