package repl

import (
	"context"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emberkv/ember/backlog"
)

// acks knows what the followers have applied, node by node, and lets callers
// wait for it. A follower counts from its first ack as a streaming replica to
// the end of its link; what an older link of the same node says counts for
// nothing, nor does what was said of a log that has been replaced since.
type acks struct {
	node *Node

	// floor is the offset that Options.Ack followers have applied, or have on disk with
	// AckDurable, or noFloor. It is stored under mu and read by every write that is to
	// wait for them.
	floor atomic.Int64

	nearness

	mu struct {
		sync.Mutex
		applied map[NodeID]applied
		waiting int           // callers of wait, blocked on changed
		changed chan struct{} // closed and renewed at each change while somebody waits

		// writers are held up until the floor has come to their offset, the lowest
		// first. There are as many as the program has goroutines that write.
		writers []*writer
	}
	spare chan *writer
}

type applied struct {
	feed    *feed
	offset  int64
	durable int64         // how much of that is on disk
	asOf    time.Duration // see nearness
}

// by returns up to where the follower has the log, or has it on disk.
func (ap *applied) by(disk bool) int64 {
	if disk {
		return ap.durable
	}
	return ap.offset
}

const noFloor = math.MinInt64 / 2

// spareWriters is how many writers are kept for reuse: a timer and a channel for each
// write would be garbage.
const spareWriters = 64

func newAcks(n *Node) *acks {
	a := &acks{node: n, spare: make(chan *writer, spareWriters)}
	a.floor.Store(noFloor)
	a.nearness.init(n.opts)
	a.mu.applied = make(map[NodeID]applied)
	a.mu.changed = make(chan struct{})
	return a
}

// update notes what the follower of f says that it has applied, and has on disk, and
// that it has applied all that there was as of a time.
func (a *acks) update(f *feed, said *ack, asOf time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if f.retired { // replaced by a newer link of the same node: too late to count
		return
	}
	was, known := a.mu.applied[f.link.peer.ID]
	now := applied{f, said.applied, said.durable, asOf}
	a.mu.applied[f.link.peer.ID] = now
	if known && was.feed == f && was == now {
		return
	}
	a.changedLocked()
}

// retire ends the counting of f.
func (a *acks) retire(f *feed) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f.retired = true
	if a.mu.applied[f.link.peer.ID].feed == f {
		delete(a.mu.applied, f.link.peer.ID)
	}
	a.changedLocked() // also if it never counted: a handover may wait for it
}

// refresh looks at everything anew, without those who have acked a log that is no more.
func (a *acks) refresh() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.changedLocked()
}

func (a *acks) changedLocked() {
	o := a.node.opts
	if o.Ack > 0 {
		floor := a.nthLocked(o.Ack, noFloor, func(ap applied) int64 { return ap.by(o.AckDurable) })
		if a.node.gate.deposed() != nil {
			// Another one may be writing, and not have what is acked from here on.
			floor = min(floor, a.floor.Load())
		}
		a.floor.Store(floor)
		a.wakeWritersLocked(floor)
	}
	if o.MinReplicas > 0 {
		a.confirmed(a.nthLocked(o.MinReplicas, never, func(ap applied) int64 { return int64(ap.asOf) }))
	}
	if a.mu.waiting > 0 {
		close(a.mu.changed)
		a.mu.changed = make(chan struct{})
	}
}

// nthLocked returns the n-th largest of what of tells of the followers, or none if they
// are fewer.
func (a *acks) nthLocked(n int, none int64, of func(applied) int64) int64 {
	if len(a.mu.applied) < n {
		return none
	}
	var few [8]int64
	top := few[:0] // the n largest so far, the largest first
	for _, ap := range a.mu.applied {
		v := of(ap)
		if len(top) == n && v <= top[n-1] || ap.feed.outdated() {
			continue
		}
		i := len(top)
		for i > 0 && top[i-1] < v {
			i--
		}
		if len(top) == n {
			top = top[:n-1]
		}
		top = slices.Insert(top, i, v)
	}
	if len(top) < n {
		return none
	}
	return top[n-1]
}

// countLocked returns how many followers have applied the log up to offset, or have it on
// disk.
func (a *acks) countLocked(offset int64, disk bool) int {
	n := 0
	for _, ap := range a.mu.applied {
		if ap.by(disk) >= offset && !ap.feed.outdated() {
			n++
		}
	}
	return n
}

// waitApplied is Master.Wait, or WaitDurable, for an offset in the current history. It blocks
// until n followers have it, or ctx or the tenure ends. Between an ack and here the node may
// have lost its role: followers that have gone over to another master may leave what they had.
func (a *acks) waitApplied(ctx context.Context, t *tenure, offset int64, n int, disk bool) (count int, err error) {
	err = a.wait(ctx, t, func() bool {
		count = a.countLocked(offset, disk)
		return count >= n
	})
	if lost := a.node.reigns(t); lost != nil {
		err = lost
	}
	return count, err
}

// wait blocks until enough, which is called under the lock, returns true, or ctx or the
// tenure ends.
func (a *acks) wait(ctx context.Context, t *tenure, enough func() bool) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.mu.waiting++
	defer func() { a.mu.waiting-- }()
	for !enough() {
		changed := a.mu.changed
		a.mu.Unlock()
		var err error
		select {
		case <-changed:
		case <-ctx.Done():
			err = ctx.Err()
		case <-t.ctx.Done():
			err = t.valid()
		}
		a.mu.Lock()
		if err != nil {
			return err
		}
	}
	return nil
}

// endOf notes how far the followers of a tenure have acked its log. It comes before the next one
// is the node's.
func (a *acks) endOf(t *tenure) {
	a.mu.Lock()
	defer a.mu.Unlock()
	t.acked.Store(a.floor.Load())
}

// settle is the log's Settler: it holds up a writer whose records end at end
// while too few followers are within MaxUnacked of them, and t lasts.
func (a *acks) settle(t *tenure, end int64) error {
	o := a.node.opts
	if a.acked(t, end-o.MaxUnacked) {
		return nil
	}
	// Looked at now: when the wait is over the log may be another one, or have begun a
	// history in which end stands for something else.
	lineage := a.node.log.Lineage()
	a.await(t, end-o.MaxUnacked)
	if a.acked(t, end-o.MaxUnacked) {
		return nil
	}
	a.mu.Lock()
	near := min(a.countLocked(end-o.MaxUnacked, o.AckDurable), o.Ack-1) // another may have come since
	a.mu.Unlock()
	over := t.valid()
	if over == nil && a.node.tenure() != t {
		over = ErrRoleChanged // the tenure ends just now
	}
	if over != nil {
		near = 0 // those that are counted now may have another history
	}
	return &NotAckedError{
		Position: backlog.Position{History: lineage.At(end - 1).Current, Offset: end}, Acked: near, Need: o.Ack, Over: over,
	}
}

// acked reports whether enough followers have acked the log of t up to offset.
func (a *acks) acked(t *tenure, offset int64) bool {
	if floor := a.floor.Load(); a.node.tenure() == t {
		return floor >= offset
	}
	return t.acked.Load() >= offset // the floor may be one of another history
}
