package repl

import (
	"context"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/rdb"
)

// A Machine is what is replicated: a state, and the log of the changes to it.
// *kv.Store is one. Package repl knows nothing of what the records mean.
//
// The machine's own writes go through Log.Append, whose gate decides whether this node may write.
// Take [backlog.Log.Settler] before each; afterwards, while no lock is held, call it with what
// Append returned, and give the writer what it returns: without it nobody waits for Options.Ack.
// When Append returns a [*backlog.PausedError], the writer releases all locks, waits for its Resume,
// and begins anew.
//
// A machine may also implement [Clocked], [Counted], [Dropped], [Repairer], [Dated],
// [Layered] and [Kept]. It has one [Node] at a time: [NewMaster] and [NewReplica] return [ErrInUse]
// until the one before is closed.
type Machine interface {
	// Log returns the machine's log, always the same one.
	Log() *backlog.Log

	// Apply appends whole records, which another node has appended at position
	// at, to the log and then applies them. It returns an error, and has
	// changed nothing, when at is not the log's end or a record does not
	// decode. It is called by one goroutine at a time and does not keep the
	// slice records.
	Apply(at backlog.Position, records []byte) error

	// Dump hands the state to w, shard by shard, as w asks for shards. It
	// returns w's error, ctx's, or its own.
	Dump(ctx context.Context, w rdb.BlockWriter) error

	// Load begins to build a new state beside the one in use.
	Load(h rdb.Header) (rdb.Loader, error)
}

// Clocked is implemented by a machine whose state depends on time. A node that
// follows must not act on its own clock.
type Clocked interface {
	// SetFollower says whether the node follows another from now on.
	SetFollower(following bool)

	// SetClock sets the clock of the node that writes, in Unix milliseconds. It is late by the time that the
	// message took. Before the node stops following it is called once more, by the quickest message of the last
	// minutes.
	SetClock(unixMilli int64)

	// Clock returns the clock that the machine goes by now, in Unix
	// milliseconds: its own, or that of the node that writes, as far as it is
	// known. It is handed on to followers. A machine that was promoted may go
	// on with the previous writer's clock.
	Clock() int64
}

// Counted is implemented by a machine that can say how many entries it holds.
// Without it a machine counts as empty when its log ends at offset 0.
type Counted interface {
	Len() int
}

// Dropped is implemented by a machine that can give up its state before the next
// one is there. See Copying.DropFirst.
type Dropped interface {
	// Drop empties the machine and begins a new, unrelated history. The state that
	// next describes will follow.
	Drop(next rdb.Header) error
}

// Repairer is implemented by a machine that can exchange the end of its log for
// another node's by the keys that the end concerns, in place of a full copy. See
// Copying.MaxRepairKeys.
type Repairer interface {
	// Tail returns the keys that the log's records from offset from on concern, in a form that only
	// machines know, their number, and the log's end. It returns an error that says why if there are more
	// than maxKeys, if they take more than maxBytes in that form, if they cannot be named, or if the log
	// does not reach back that far.
	Tail(from int64, maxKeys, maxBytes int) (keys []byte, n int, end backlog.Position, err error)

	// State hands the entries of such keys to write, in blocks of shard 0, as they are at
	// one moment, and returns what the whole state is then. It returns an error before
	// the first block when they take more than maxBytes.
	State(keys []byte, maxBytes int, write func(*rdb.Block) error) (rdb.Footer, error)

	// Repair goes over to what r describes, at once, or returns an error and has changed
	// nothing. It must verify that the result is the footer's state.
	Repair(r *rdb.Repair) error
}

// Dated is implemented by a machine that can refuse to be read. See Reading.
type Dated interface {
	// SetStaleAfter says that after t the data will be older than the node's options allow to be
	// read: at once if t has passed, and never if it is the zero Time. Where there is a bound it is
	// called anew with each heartbeat, and t counts by its monotonic part. It must not block, nor
	// call the node.
	SetStaleAfter(t time.Time)
}

// Layered is implemented by a machine that shows more than what is replicated: the rest
// does not count when data are to be given up for a full copy.
type Layered interface {
	// ReplicatedLen is Len, of Counted, without the rest.
	ReplicatedLen() int
}

func isEmpty(m Machine) bool {
	if l, ok := m.(Layered); ok {
		return l.ReplicatedLen() == 0
	}
	if c, ok := m.(Counted); ok {
		return c.Len() == 0
	}
	return m.Log().End() == 0
}
