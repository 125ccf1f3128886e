package rdb

import (
	"encoding/binary"
	"fmt"
	"iter"
	"math"

	"github.com/emberkv/ember/backlog"
)

const (
	// DefaultBlockBytes is the size that writers aim at: they end a block when
	// its Data reach it. It is large enough that a block's fixed costs vanish,
	// small enough that a block stays in a core's cache until it is sent, and
	// that a heartbeat soon gets past.
	DefaultBlockBytes = 128 << 10

	// MaxBlockBytes bounds the body of a block, as [AppendBlock] writes it: the
	// largest entry, and some room. An entry is never divided.
	MaxBlockBytes = 1<<28 + 1<<18
)

// blockFieldBytes is the part of a block's body before the data.
const blockFieldBytes = 24

// A block must hold the largest record of the log.
var _ [MaxBlockBytes - (blockFieldBytes + backlog.MaxFrameOverhead + backlog.MaxRecordBytes)]struct{}

// A Block is a run of entries of one shard. Blocks of one shard come in order,
// First to Last; blocks of different shards may be interleaved. An empty shard
// is one block without entries, First and Last.
type Block struct {
	Shard int
	First bool   // the shard begins here; only then At and Keys count and are encoded
	Last  bool   // the shard is complete after this block
	At    int64  // offset in the log up to which the shard's contents stand
	Keys  int    // entries in the whole shard
	Count int    // entries in this block
	Data  []byte // framed records of kinds KindPut and KindPutDeadline
}

// The flags of an encoded block. The rest of the byte is reserved.
const (
	flagFirst = 1 << iota
	flagLast

	// Two bits hold the algorithm by which the data of a block are packed. They
	// stand in the parts of a stream only (see packed.go): a link packs its
	// frames instead, so a block on a link never has them.
	packedShift = 2
	packedMask  = 3 << packedShift
)

// AppendBlock appends the body of a block to dst and returns the extended
// slice. The body is 24 bytes of fields followed by b.Data; so a caller that
// would rather send the Data than copy them appends a block without Data, and
// sends one after the other.
func AppendBlock(dst []byte, b *Block) []byte {
	var flags byte
	if b.First {
		flags |= flagFirst
	}
	if b.Last {
		flags |= flagLast
	}
	var at, keys uint64
	if b.First {
		at, keys = uint64(b.At), uint64(b.Keys)
	}
	le := binary.LittleEndian
	dst = append(dst, flags, 0)
	dst = le.AppendUint16(dst, uint16(b.Shard))
	dst = le.AppendUint32(dst, uint32(b.Count))
	dst = le.AppendUint64(dst, at)
	dst = le.AppendUint64(dst, keys)
	return append(dst, b.Data...)
}

// ParseBlock decodes the body of a block, which must end with body. Data share
// memory with it. ParseBlock checks the fields but reads no entry: [Block.Entries]
// and [Block.Sum] do. It returns [ErrFormat], or [ErrVersion] for a block that
// only a newer version of this package reads.
func ParseBlock(body []byte) (*Block, error) {
	if len(body) < blockFieldBytes {
		return nil, fmt.Errorf("%w: block of %d bytes", ErrFormat, len(body))
	}
	b, err := parseBlockFields(body)
	if err != nil {
		return nil, err
	}
	b.Data = body[blockFieldBytes:len(body):len(body)]
	if err := b.validate(); err != nil {
		return nil, err
	}
	return b, nil
}

// parseBlockFields decodes what precedes the data. The result has yet to be
// validated, together with its Data.
func parseBlockFields(body []byte) (*Block, error) {
	le := binary.LittleEndian
	if flags := body[0]; flags&^(flagFirst|flagLast) != 0 || body[1] != 0 {
		return nil, fmt.Errorf("%w: block with flags %#x, %#x", ErrVersion, flags, body[1])
	}
	b := &Block{
		First: body[0]&flagFirst != 0,
		Last:  body[0]&flagLast != 0,
		Shard: int(le.Uint16(body[2:])),
	}
	count, at, keys := le.Uint32(body[4:]), le.Uint64(body[8:]), le.Uint64(body[16:])
	switch {
	case count > MaxBlockBytes || keys > math.MaxInt:
		return nil, fmt.Errorf("%w: block with %d of %d entries", ErrFormat, count, keys)
	case !b.First && (at != 0 || keys != 0):
		// One block has one encoding. So nothing can hide in a field that
		// nobody looks at.
		return nil, fmt.Errorf("%w: block inside a shard with offset %d, %d keys", ErrFormat, at, keys)
	}
	b.Count, b.At, b.Keys = int(count), int64(at), int(keys)
	return b, nil
}

// validate checks a block by itself, without its entries.
func (b *Block) validate() error {
	switch {
	case b.Shard < 0 || b.Shard >= MaxShards:
		return fmt.Errorf("%w: block of shard %d, limit %d", ErrFormat, b.Shard, MaxShards)
	case len(b.Data) > MaxBlockBytes-blockFieldBytes:
		return fmt.Errorf("%w: block with %d bytes of data, limit %d",
			ErrFormat, len(b.Data), MaxBlockBytes-blockFieldBytes)
	case b.Count < 0 || b.Count > len(b.Data)/minEntryBytes || b.Count == 0 && len(b.Data) > 0:
		return fmt.Errorf("%w: block with %d entries in %d bytes", ErrFormat, b.Count, len(b.Data))
	case b.First && (b.At < 0 || b.Keys < b.Count):
		return fmt.Errorf("%w: block with %d of %d entries, up to offset %d", ErrFormat, b.Count, b.Keys, b.At)
	}
	return nil
}

// Entries returns an iterator over the entries of b. Keys and values share
// memory with b.Data. Bytes that are no entry, or a number of entries other than
// b.Count, end it with [ErrEntry] or [ErrFormat]; the error comes in the last
// pair, whose Entry is empty. What was yielded before is then of no use.
//
// A caller that also wants the encoded bytes of each entry uses [CutEntry]
// instead.
func (b *Block) Entries() iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		var e Entry
		n := 0
		for data := b.Data; len(data) > 0; n++ {
			size, err := e.cut(data)
			if err != nil {
				yield(Entry{}, err)
				return
			}
			if !yield(e, nil) {
				return
			}
			data = data[size:]
		}
		if n != b.Count {
			yield(Entry{}, b.miscounted(n))
		}
	}
}

// Sum reads every entry of b and returns the sum of their [EntrySum], modulo
// 2^64. It returns [ErrEntry] or [ErrFormat] as Entries does.
func (b *Block) Sum() (uint64, error) {
	var sum uint64
	var e Entry
	n := 0
	for data := b.Data; len(data) > 0; n++ {
		size, err := e.cut(data)
		if err != nil {
			return 0, err
		}
		sum += e.Sum()
		data = data[size:]
	}
	if n != b.Count {
		return 0, b.miscounted(n)
	}
	return sum, nil
}

func (b *Block) miscounted(n int) error {
	return fmt.Errorf("%w: block of shard %d holds %d entries and claims %d", ErrFormat, b.Shard, n, b.Count)
}
