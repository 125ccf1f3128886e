package repl

import (
	"sync/atomic"

	"github.com/emberkv/ember/internal/pack"
	"github.com/emberkv/ember/rdb"
)

// A blockBuffer is an encoded block on its way to several followers.
type blockBuffer struct {
	body        []byte
	packed      [pack.Algorithms]packedBody // body, for links that pack; without frames where none does
	shard       int
	first, last bool
	count       int
	bytes       int
	refs        atomic.Int32
	footer      *rdb.Footer // instead of a block: the copy is complete
}

// freeBuffers is how many block buffers are kept for reuse. Allocating them
// anew would add the size of the data to the garbage of a sync.
const freeBuffers = 16

// keptBufferBytes is the largest buffer that is kept: one large entry must not
// cost its size for as long as the node lives.
const keptBufferBytes = 4 * rdb.DefaultBlockBytes

// encode encodes b, and packs it once in each way that a taker's link has agreed on.
// It runs on as many goroutines as the machine dumps with. That is why blocks
// are packed here and not by the feeds, of which the first that needs a packed block
// would make the others wait.
func (w *pass) encode(b *rdb.Block, takers []*copying) *blockBuffer {
	var buf *blockBuffer
	select {
	case buf = <-w.free:
	default:
		buf = new(blockBuffer)
	}
	buf.body = rdb.AppendBlock(buf.body[:0], b)
	buf.shard, buf.first, buf.last = b.Shard, b.First, b.Last
	buf.count, buf.bytes = b.Count, len(b.Data)
	var agreed [pack.Algorithms]bool
	for _, c := range takers {
		agreed[c.feed.link.packs] = true
	}
	for a := pack.None + 1; a < pack.Algorithms; a++ {
		if agreed[a] {
			enc := w.encoders.Get()
			buf.packed[a].pack(enc, a, buf.body)
			w.encoders.Put(enc)
		}
	}
	buf.refs.Store(int32(len(takers)))
	return buf
}

// wireBytes returns about how many bytes b has on a link that packs by a.
func (b *blockBuffer) wireBytes(a pack.Algorithm) int {
	if packed := &b.packed[a]; len(packed.frames) > 0 {
		return len(packed.bytes)
	}
	return len(b.body)
}

// release lets go of one of b's references. The last one puts it by for the next
// block.
func (p *passes) release(b *blockBuffer) {
	if b.refs.Add(-1) == 0 && cap(b.body) <= keptBufferBytes {
		for i := range b.packed {
			b.packed[i].reset()
		}
		select {
		case p.free <- b:
		default:
		}
	}
}
