package rdb

import "fmt"

// An order follows the blocks of a stream. Writer and Reader share it, so what
// the one lets pass the other accepts.
type order struct {
	header Header
	shards []shardOrder
	whole  int   // shards that are complete
	blocks int64 // so far
	keys   int64 // in those blocks
}

// A shardOrder is how far a shard has come.
type shardOrder struct {
	begun, whole bool
	left         int // entries still to come; counts once begun
}

func newOrder(h Header) *order {
	return &order{header: h, shards: make([]shardOrder, h.Shards)}
}

// block takes the next block of the stream. It returns ErrFormat if the block
// cannot stand there; the order is then of no further use.
func (o *order) block(b *Block) error {
	if b.Shard >= len(o.shards) {
		return fmt.Errorf("%w: block of shard %d of %d", ErrFormat, b.Shard, len(o.shards))
	}
	s := &o.shards[b.Shard]
	switch {
	case s.whole:
		return fmt.Errorf("%w: shard %d goes on after its last block", ErrFormat, b.Shard)
	case b.First && s.begun:
		return fmt.Errorf("%w: shard %d begins twice", ErrFormat, b.Shard)
	case !b.First && !s.begun:
		return fmt.Errorf("%w: shard %d does not begin with its first block", ErrFormat, b.Shard)
	case b.First && b.At != o.header.Position.Offset:
		// A stream holds no log that could bring the shards to one point.
		return fmt.Errorf("%w: shard %d stands at offset %d, the snapshot at %d",
			ErrFormat, b.Shard, b.At, o.header.Position.Offset)
	}
	if b.First {
		s.begun, s.left = true, b.Keys
	}
	s.left -= b.Count
	if s.left < 0 || b.Last && s.left != 0 {
		return fmt.Errorf("%w: shard %d misses its number of entries by %d", ErrFormat, b.Shard, s.left)
	}
	if b.Last {
		s.whole = true
		o.whole++
	}
	o.blocks++
	o.keys += int64(b.Count)
	return nil
}

// footer takes the end of the stream. It returns ErrFormat unless every shard is
// complete and f agrees with the header and with what came since.
func (o *order) footer(f Footer) error {
	switch {
	case o.whole != len(o.shards):
		return fmt.Errorf("%w: %d of %d shards are complete", ErrFormat, o.whole, len(o.shards))
	case f.Position != o.header.Position:
		return fmt.Errorf("%w: header says %s, footer says %s", ErrFormat, o.header.Position, f.Position)
	case f.Keys != o.keys:
		return fmt.Errorf("%w: %d entries, footer says %d", ErrFormat, o.keys, f.Keys)
	}
	return nil
}
