package sentinel

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/repl"
)

// A driftWorld runs the pure parts of sentinels, votes and promises, with nodes that hold
// leases as package repl does, each by a clock of its own that is wrong by up to a tenth. No
// other test can: inside a bubble all clocks are right. How a sentinel looks at the nodes is
// reduced here to what votes and promises need.
type driftWorld struct {
	rng    *rand.Rand
	now    time.Duration // real
	queue  eventQueue
	seq    int
	nodes  []*driftNode
	guards []*driftGuard
	cut    map[[2]string]bool // links on which nothing arrives, by direction
	slow   time.Duration      // the longest delay of a message

	leaders, masters map[uint64]string // by epoch
	writers          []string          // who wrote, one after the other
	failed           error
}

const driftDownAfter = time.Second

type driftClock struct{ tenths time.Duration }

func (c driftClock) at(w *driftWorld) time.Time { return when(w.now * c.tenths / 10) }

// after has f called when so much time has passed on a clock.
func (w *driftWorld) after(d time.Duration, c driftClock, f func()) {
	w.seq++
	heap.Push(&w.queue, queued{w.now + max(d, 0)*10/c.tenths + 1, w.seq, f})
}

// send has f called after a delay, unless the link is cut, when it is sent or when it would
// arrive. Messages may overtake each other.
func (w *driftWorld) send(from, to string, f func()) {
	link := [2]string{from, to}
	delay := time.Duration(w.rng.Int64N(int64(w.slow)))
	if !w.cut[link] {
		w.after(delay, driftClock{10}, func() {
			if !w.cut[link] {
				f()
			}
		})
	}
}

type queued struct {
	at  time.Duration
	seq int
	f   func()
}

type eventQueue []queued

func (q eventQueue) Len() int { return len(q) }
func (q eventQueue) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].seq < q[j].seq
}
func (q eventQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *eventQueue) Push(x any)   { *q = append(*q, x.(queued)) }
func (q *eventQueue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}

// run lets real time pass.
func (w *driftWorld) run(d time.Duration) error {
	for end := w.now + d; w.failed == nil; w.check() {
		if len(w.queue) == 0 || w.queue[0].at > end {
			w.now = end
			break
		}
		e := heap.Pop(&w.queue).(queued)
		w.now = e.at
		e.f()
	}
	return w.failed
}

// check looks at who takes writes. It is called after whatever happens, so a lease that
// begins while another is in force does not go unseen.
func (w *driftWorld) check() {
	writer := ""
	for _, n := range w.nodes {
		if !n.writes() {
			continue
		}
		if writer != "" {
			w.fail("%v: %s and %s both take writes", w.now, writer, n.name)
		}
		writer = n.name
	}
	if last := len(w.writers) - 1; writer != "" && (last < 0 || w.writers[last] != writer) {
		w.writers = append(w.writers, writer)
	}
}

func (w *driftWorld) fail(format string, args ...any) {
	if w.failed == nil {
		w.failed = fmt.Errorf(format, args...)
	}
}

func (w *driftWorld) only(list map[uint64]string, epoch uint64, who, what string) {
	if list[epoch] != "" && list[epoch] != who {
		w.fail("%v: %s and %s are both %s of epoch %d", w.now, list[epoch], who, what, epoch)
	}
	list[epoch] = who
}

// A driftNode has what a supervised, fenced node has of it.
type driftNode struct {
	driftClock
	w      *driftWorld
	id     repl.NodeID
	name   string
	master bool
	epoch  uint64 // in which it writes, if it is a master
	heard  uint64
	stamps map[uint64]time.Time // of this tenure
	stamp  uint64
	grants map[string]time.Time // when they end
	need   int
}

func (n *driftNode) writes() bool {
	live := 0
	for _, until := range n.grants {
		if until.After(n.at(n.w)) {
			live++
		}
	}
	return n.master && n.need > 0 && live >= n.need
}

// begin begins a tenure.
func (n *driftNode) begin(master bool, epoch uint64) {
	n.master, n.epoch = master, epoch
	n.stamps, n.grants, n.need = make(map[uint64]time.Time), make(map[string]time.Time), 0
}

// A driftReport is what a sentinel looks at here.
type driftReport struct {
	master, held bool // it is the master, and holds the lease
	epoch, heard uint64
	stamp        uint64
}

func (n *driftNode) report() driftReport {
	n.stamp++
	n.stamps[n.stamp] = n.at(n.w)
	return driftReport{n.master, n.writes(), n.epoch, n.heard, n.stamp}
}

func (n *driftNode) granted(by string, stamp uint64, need int) {
	at, ok := n.stamps[stamp]
	delete(n.stamps, stamp)
	if until := at.Add(leaseOf(driftDownAfter)); ok && until.After(n.grants[by]) {
		n.grants[by] = until
		n.need = max(n.need, need)
	}
}

// promote and follow carry out an order.
func (n *driftNode) promote(epoch uint64) {
	if epoch <= n.heard {
		return
	}
	n.heard = epoch
	n.begin(true, epoch)
	n.w.only(n.w.masters, epoch, n.name, "master")
}

func (n *driftNode) follow(epoch uint64) {
	if n.heard <= epoch && n.master && n.epoch < epoch {
		n.heard = epoch
		n.begin(false, 0)
	}
}

func driftEpoch(counter uint64) backlog.Epoch { return exploredReign(counter) }
