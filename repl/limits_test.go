package repl

import (
	"context"
	"testing"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/rdb"
)

// A logOnly is a machine with a log and nothing else.
type logOnly struct{ log *backlog.Log }

func (m logOnly) Log() *backlog.Log                         { return m.log }
func (logOnly) Apply(backlog.Position, []byte) error        { return nil }
func (logOnly) Dump(context.Context, rdb.BlockWriter) error { return nil }
func (logOnly) Load(rdb.Header) (rdb.Loader, error)         { return nil, nil }

// TestLogIsHeldBackDuringACopy: rules A and B of PROTOCOL.md, step by step.
func TestLogIsHeldBackDuringACopy(t *testing.T) {
	log := backlog.NewLog(nil)
	write := func() int64 {
		end, err := log.Append(sampleRecord("key", "value"))
		if err != nil {
			t.Fatal(err)
		}
		return end
	}
	c := &copying{}
	c.mu.holds, c.mu.under = make(map[int]int64), make(map[int]int64)
	check := func(when string, want int64) {
		t.Helper()
		if got := c.logLimit(log, log.End()); got != want {
			t.Errorf("%s: log may go up to %d, want %d", when, got, want)
		}
	}
	check("at first", write())
	c.hold(3, log)
	held := log.End()
	write()
	check("while shard 3 is assigned", held)
	c.hold(5, log)
	check("while shard 5 is, too", held)
	c.sentBlock(&blockBuffer{shard: 3, first: true}, held)
	check("when the first block of 3 is sent", c.mu.holds[5])
	c.sentBlock(&blockBuffer{shard: 5, first: true, last: true}, held)
	c.sentBlock(&blockBuffer{shard: 3}, held)
	check("when 5 is whole", write())
	end := log.End()
	for _, at := range []int64{held, held + logBeside - 1} {
		if got := c.logLimit(log, at); got != end {
			t.Errorf("with shard 3 under way since %d and the log sent up to %d, it may go up to %d, want %d", held, at, got, end)
		}
	}
	if got := c.logLimit(log, held+logBeside); got != min(end, held+logBeside) {
		t.Errorf("with 32 MiB sent beside shard 3, log may go up to %d", got)
	}
	c.sentBlock(&blockBuffer{shard: 3, last: true}, held)
	if n := len(c.mu.holds) + len(c.mu.under); n != 0 {
		t.Errorf("%d limits are left", n)
	}
}

// TestRetiredFeedCountsForNothing: an ack that was read before a newer link came,
// and recorded after it.
func TestRetiredFeedCountsForNothing(t *testing.T) {
	m, err := NewMaster(logOnly{backlog.NewLog(nil)}, &Options{Safety: Safety{Ack: 1, MinReplicas: 1}})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	a := m.node.acks
	feedOf := func() *feed {
		return newFeed(m.node, &link{peer: Peer{ID: NodeID{1}}}, nil, 0)
	}
	old, newer := feedOf(), feedOf()
	count := func() int {
		a.mu.Lock()
		defer a.mu.Unlock()
		return a.countLocked(100, false)
	}
	a.update(old, &ack{applied: 100}, a.now())
	if count() != 1 || a.floor.Load() != 100 || a.tooFew() != nil {
		t.Fatalf("%d followers, floor %d, %v", count(), a.floor.Load(), a.tooFew())
	}
	a.retire(old)
	a.update(old, &ack{applied: 200}, a.now())
	if count() != 0 || a.floor.Load() != noFloor || a.tooFew() == nil {
		t.Errorf("the old link's ack counts: %d followers, floor %d, %v", count(), a.floor.Load(), a.tooFew())
	}
	a.update(newer, &ack{applied: 100}, a.now())
	a.retire(old) // its feed ends only now
	if count() != 1 {
		t.Error("the end of the old link has taken the new one's ack along")
	}
}
