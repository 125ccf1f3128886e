package repl

import (
	"context"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/emberkv/ember/backlog"
)

// acks knows what the followers have applied, node by node, and lets callers
// wait for it. A follower counts from its first ack as a streaming replica to
// the end of its link; what an older link of the same node says counts for
// nothing, nor does what was said of a log that has been replaced since.
type acks struct {
	node *Node

	// floor is the offset that Options.AckReplicas followers have applied, or
	// noFloor. It is stored under mu and read by every write.
	floor atomic.Int64

	mu struct {
		sync.Mutex
		applied map[NodeID]applied
		waiting int           // callers blocked on changed
		changed chan struct{} // closed and renewed at each change while somebody waits
	}
}

type applied struct {
	feed   *feed
	offset int64
}

const noFloor = math.MinInt64 / 2

func newAcks(n *Node) *acks {
	a := &acks{node: n}
	a.floor.Store(noFloor)
	a.mu.applied = make(map[NodeID]applied)
	a.mu.changed = make(chan struct{})
	return a
}

// update takes down that the follower of f has applied the log up to offset.
func (a *acks) update(f *feed, offset int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if f.retired { // replaced by a newer link of the same node: too late to count
		return
	}
	a.mu.applied[f.link.peer.ID] = applied{f, offset}
	a.changedLocked()
}

// retire ends the counting of f.
func (a *acks) retire(f *feed) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f.retired = true
	if a.mu.applied[f.link.peer.ID].feed == f {
		delete(a.mu.applied, f.link.peer.ID)
		a.changedLocked()
	}
}

// refresh computes the floor anew, without those who have acked a log that is no more.
func (a *acks) refresh() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.changedLocked()
}

func (a *acks) changedLocked() {
	a.floor.Store(a.floorLocked())
	if a.mu.waiting > 0 {
		close(a.mu.changed)
		a.mu.changed = make(chan struct{})
	}
}

func (a *acks) floorLocked() int64 {
	n := a.node.opts.AckReplicas
	offsets := make([]int64, 0, 8)
	for _, ap := range a.mu.applied {
		if !ap.feed.outdated() {
			offsets = append(offsets, ap.offset)
		}
	}
	if len(offsets) < n {
		return noFloor
	}
	slices.Sort(offsets)
	return offsets[len(offsets)-n]
}

// countLocked returns how many followers have applied the log up to offset.
func (a *acks) countLocked(offset int64) int {
	n := 0
	for _, ap := range a.mu.applied {
		if ap.offset >= offset && !ap.feed.outdated() {
			n++
		}
	}
	return n
}

// wait blocks until done, called under the lock, returns true, or ctx or the
// tenure ends.
func (a *acks) wait(ctx context.Context, t *tenure, done func() bool) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.mu.waiting++
	defer func() { a.mu.waiting-- }()
	for !done() {
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

// waitApplied is Master.Wait, for an offset in the current history.
func (a *acks) waitApplied(ctx context.Context, t *tenure, offset int64, n int) (int, error) {
	count := 0
	err := a.wait(ctx, t, func() bool {
		count = a.countLocked(offset)
		return count >= n
	})
	return count, err
}

// settle is the log's Settler: it holds up a writer whose records end at end
// while too few followers are within MaxUnacked of them, and t lasts.
func (a *acks) settle(t *tenure, end int64) error {
	o := a.node.opts
	if end-a.floor.Load() <= o.MaxUnacked {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), o.AckTimeout)
	defer cancel()
	err := a.wait(ctx, t, func() bool { return end-a.floor.Load() <= o.MaxUnacked })
	if err != nil {
		pos := backlog.Position{History: a.node.log.Position().History, Offset: end}
		return &NotAckedError{Position: pos}
	}
	return nil
}
