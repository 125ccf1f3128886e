package rdb

import "github.com/emberkv/ember/backlog"

// A BlockWriter takes the state of a machine, shard by shard, in the order that
// suits the taker. Its methods may be called concurrently for different
// shards.
type BlockWriter interface {
	// Begin is called once, first.
	Begin(Header) error

	// Next returns the shard to dump next, which is to be captured after the
	// call; it may have been dumped before. False means that no more are wanted.
	// Next may wait.
	Next() (shard int, ok bool)

	// WriteBlock takes a block of a shard that Next returned. The BlockWriter
	// may use the block's Data only until WriteBlock returns.
	WriteBlock(*Block) error

	// End is called once, when Next has returned false and every block has been
	// written. Like WriteBlock it may wait for a slow taker, so no lock that
	// writers need may be held.
	End(Footer) error
}

// A Loader builds a state beside the one in use. Its methods are called by one
// goroutine.
type Loader interface {
	// Block takes the next block of its shard. The block's Data are the
	// loader's for good.
	Block(*Block) error

	// Records takes whole records of the log that begin at offset at. A record
	// has no effect on a shard of which nothing has come, or that was captured
	// after it: the blocks hold its effect.
	Records(at int64, records []byte) error

	// Interrupted says that the connection has broken: shards that are not
	// complete are forgotten. It returns where the load may go on: the log's
	// position and the shards that are done.
	Interrupted() (backlog.Position, ShardSet)

	// Commit verifies that all shards are complete and that the state at
	// f.Position is what f says, and then puts it in place of the state in use,
	// at once.
	Commit(f Footer) error

	// Abort drops what was loaded. The state in use stays. After Commit it has
	// no effect.
	Abort()
}

// A Doubter is a Loader that can be told that its machine's log holds other bytes than
// the log that it is given, though both have the same history: nobody knows where the
// two have parted.
type Doubter interface {
	// Doubt says that the logs differ. It is called before Commit.
	Doubt()
}

// A ShardSet is a set of shard numbers, each from 0 to [MaxShards]-1. The zero
// ShardSet is empty. Methods panic for a number out of that range.
type ShardSet [MaxShards / 64]uint64

// Has reports whether shard i is in the set.
func (s *ShardSet) Has(i int) bool { return s[i/64]>>(i%64)&1 == 1 }

// Add puts shard i into the set.
func (s *ShardSet) Add(i int) { s[i/64] |= 1 << (i % 64) }
