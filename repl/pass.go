package repl

import (
	"errors"
	"fmt"
	"time"

	"github.com/emberkv/ember/rdb"
)

// A pass is one dump of the machine, for those who are members while it runs.
// It implements rdb.BlockWriter; its methods but Begin and End are called by
// several goroutines.
type pass struct {
	*passes
	header rdb.Header

	// Guarded by passes.mu.
	jobs map[int]*job  // shards being dumped
	took time.Duration // for the last shard, from its assignment to its last block
}

var _ rdb.BlockWriter = (*pass)(nil)

// A job is a shard that is being dumped, and for whom.
type job struct {
	members []*copying
	began   time.Time
}

// Begin notes which table is dumped.
func (w *pass) Begin(h rdb.Header) error {
	w.header = h
	return nil
}

// fits reports whether a copy was offered for the table of this pass; if not,
// its link is closed, to begin anew.
func (w *pass) fits(c *copying) bool {
	return c.header.Seed == w.header.Seed && c.header.Shards == w.header.Shards &&
		c.header.Position.History == w.header.Position.History
}

// Next hands out the next shard, in a circle, that a member lacks. It returns
// false also when a member lacks nothing more, so that the dump ends and brings
// the footer; the others go on in the next dump.
func (w *pass) Next() (int, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gatherLocked()
	// Whatever this goroutine leaves with, the others look at it again: none
	// may wait for what another has just taken or brought to its end.
	defer w.pokeLocked()
	for {
		w.admitLocked()
		w.dropMisfitsLocked()
		if len(w.mu.members) == 0 || w.someoneCompleteLocked() {
			return 0, false
		}
		if shard, ok := w.assignLocked(); ok {
			return shard, true
		}
		// Everything is under way for somebody, or all queues are filled. The
		// goroutine that is at work goes on alone; the last one waits.
		if len(w.jobs) > 0 || !w.waitLocked(nil) {
			return 0, false
		}
	}
}

// The time that a pass waits between two shards for members whose queues are
// filled while others have room: at least minGrace, else a share of what the
// last shard took, so that a slow member costs the others no more than that.
const (
	minGrace   = 10 * time.Millisecond
	graceShare = 8
)

// gatherLocked waits until every member has room in its queue or the grace is
// over. Without it the member that empties its queue first would get each shard
// alone, and members of equal speed a dump each.
func (w *pass) gatherLocked() {
	if w.allHaveRoomLocked() {
		return
	}
	grace := time.NewTimer(max(minGrace, w.took/graceShare))
	defer grace.Stop()
	for over := false; !over && !w.allHaveRoomLocked(); {
		over = !w.waitLocked(grace.C)
	}
}

func (w *pass) allHaveRoomLocked() bool {
	for _, c := range w.mu.members {
		if !c.hasRoom() {
			return false
		}
	}
	return true
}

// dropMisfitsLocked puts members out who were offered another table.
func (w *pass) dropMisfitsLocked() {
	for _, c := range w.mu.members {
		if !w.fits(c) {
			w.removeLocked(c)
			// Not under the lock: to close a connection may be to write on it.
			w.node.start(func() { c.feed.link.close(linkError("dump", c.feed.link.peer, errTable)) })
		}
	}
}

var errTable = errors.New("repl: the state was replaced during the copy")

func (w *pass) someoneCompleteLocked() bool {
	for _, c := range w.mu.members {
		if c.missing == 0 {
			return true
		}
	}
	return false
}

// assignLocked picks the next shard that a member with room in its queue lacks,
// and assigns it to all such members.
func (w *pass) assignLocked() (int, bool) {
	for i := range w.header.Shards {
		shard := (w.mu.cursor + i) % w.header.Shards
		if w.jobs[shard] != nil {
			continue
		}
		var takers []*copying
		for _, c := range w.mu.members {
			if !c.done.Has(shard) && c.hasRoom() {
				takers = append(takers, c)
			}
		}
		if len(takers) == 0 {
			continue
		}
		for _, c := range takers {
			c.done.Add(shard)
			c.hold(shard, w.node.log)
		}
		w.jobs[shard] = &job{takers, time.Now()}
		w.mu.cursor = (shard + 1) % w.header.Shards
		return shard, true
	}
	return 0, false
}

// waitLocked waits, without the lock, until there may be something to hand out:
// a queue has been emptied, a member has come or left, a shard is assigned or
// done. It returns false when enough is ready or the node is closing.
func (w *pass) waitLocked(enough <-chan time.Time) bool {
	changed := w.mu.changed
	w.mu.idle++
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		w.mu.idle--
	}()
	select {
	case <-changed:
		return true
	case <-enough:
	case <-w.node.ctx.Done():
	}
	return false
}

// WriteBlock encodes b once, packs it once in each way that has been agreed with one
// of its takers, and queues it for every member that takes its
// shard. It waits for the slowest of them. When all of them have gone the rest
// of the shard is dumped in vain: to end the dump would leave other members
// with half a shard.
func (w *pass) WriteBlock(b *rdb.Block) error {
	w.mu.Lock()
	j := w.jobs[b.Shard]
	w.mu.Unlock()
	buf := w.encode(b, j.members)
	for _, c := range j.members {
		w.push(c, buf)
	}
	if b.Last {
		w.finish(b.Shard, j)
	}
	return nil
}

// push queues buf for c, unless c's link is closed.
func (w *pass) push(c *copying, buf *blockBuffer) {
	select { // without a timer, when there is room
	case c.queue <- buf:
		return
	default:
	}
	stuck := time.NewTimer(w.node.opts.SyncTimeout)
	defer stuck.Stop()
	for waiting := true; waiting; {
		select {
		case c.queue <- buf:
			return
		case <-c.feed.link.closed:
			waiting = false
		case <-stuck.C:
			left := c.patience()
			if waiting = left > 0; waiting {
				stuck.Reset(left)
			} else {
				c.feed.link.close(linkError("copy", c.feed.link.peer, fmt.Errorf("%w: no block taken", ErrTimeout)))
			}
		}
	}
	if buf.footer == nil {
		w.release(buf)
	}
}

// finish notes that a shard is queued whole for its takers. For one who
// lacks nothing more the log is held at its end until the footer comes.
func (w *pass) finish(shard int, j *job) {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer w.pokeLocked()
	delete(w.jobs, shard)
	w.took = time.Since(j.began)
	for _, c := range j.members {
		if c.missing--; c.missing == 0 {
			c.hold(finale, w.node.log)
		}
	}
}

// End gives the footer to the members who have everything.
func (w *pass) End(f rdb.Footer) error {
	w.mu.Lock()
	var complete []*copying
	for _, c := range w.mu.members {
		if c.missing == 0 {
			complete = append(complete, c)
		}
	}
	for _, c := range complete {
		w.removeLocked(c)
	}
	w.mu.Unlock()
	for _, c := range complete {
		w.push(c, &blockBuffer{footer: &f})
	}
	return nil
}
