package repl

import (
	"encoding/binary"
	"fmt"

	"github.com/emberkv/ember/internal/pack"
	"github.com/emberkv/ember/rdb"
)

// A packing is the byte of Hello and Welcome about compression. Its lower half has
// a bit for each algorithm that the sender can unpack, the first that of S2. Its
// upper half is the algorithm that a follower wishes for, in Hello, or the one
// that was chosen for the link, in Welcome. Bits and algorithms that are not known
// here belong to later versions, and are no error.
type packing byte

// packing returns what a node with these options says.
func (o *Options) packing() packing {
	if o.Compression == rdb.Off {
		return 0
	}
	return packing(1<<(pack.S2-1) | 1<<(pack.Zstd-1)).with(pack.Algorithm(o.Compression))
}

func (p packing) reads(a pack.Algorithm) bool {
	return a != pack.None && a.Known() && p>>(a-1)&1 == 1
}

// named returns what stands in the upper half.
func (p packing) named() pack.Algorithm { return pack.Algorithm(p >> 4) }

func (p packing) with(a pack.Algorithm) packing { return p&0x0f | packing(a)<<4 }

// choose returns how an upstream that says p packs what it sends to a follower that
// says theirs: as that wishes, if both can, or else as it would itself.
func (p packing) choose(theirs packing) pack.Algorithm {
	if a := theirs.named(); p.reads(a) && theirs.reads(a) {
		return a
	}
	if a := p.named(); theirs.reads(a) {
		return a
	}
	return pack.None
}

// packedHeadBytes precedes what is packed in a frame: the length that it unpacks to.
const packedHeadBytes = 4

// A frame fits a piece.
var _ [pack.MaxBytes - maxFrameBody]struct{}

// packable reports whether frames of kind k may be packed: those that carry data.
func (k kind) packable() bool { return k == kindBlock || k == kindLog }

// appendPacked appends the packed form of a frame's body to dst. It returns false,
// and dst as it was, if that is not smaller.
func appendPacked(dst []byte, enc *pack.Encoder, a pack.Algorithm, body []byte) ([]byte, bool) {
	begin := len(dst)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(body)))
	dst, ok := enc.Append(dst, a, body)
	if !ok || len(dst)-begin >= len(body) {
		return dst[:begin], false
	}
	return dst, true
}

// A packedBody is the body of a message in frames that are packed already, so that
// one packing serves several links.
type packedBody struct {
	bytes  []byte // of the packed frames, one behind the other
	frames []packedFrame
}

// A packedFrame is one of them.
type packedFrame struct {
	plain  int // length before it was packed
	packed int // and after; 0 for a frame that goes as it is
}

// pack cuts body into frames and packs each. It uses the memory of what b was
// before.
func (b *packedBody) pack(enc *pack.Encoder, a pack.Algorithm, body []byte) {
	b.bytes, b.frames = b.bytes[:0], b.frames[:0]
	for len(body) > 0 {
		part := body[:min(len(body), maxFrameBody)]
		body = body[len(part):]
		before := len(b.bytes)
		b.bytes, _ = appendPacked(b.bytes, enc, a, part)
		b.frames = append(b.frames, packedFrame{plain: len(part), packed: len(b.bytes) - before})
	}
}

// reset forgets what was packed, and its memory if that is much.
func (b *packedBody) reset() {
	b.frames = b.frames[:0]
	if cap(b.bytes) > keptBufferBytes {
		*b = packedBody{}
	}
}

// writePart packs and sends one frame of a message.
func (w *frameWriter) writePart(kind kind, flags byte, head, part []byte) error {
	n := len(head) + len(part)
	if w.packs == pack.None || !kind.packable() || n < pack.MinBytes {
		return w.writeFrame(kind, flags, head, part)
	}
	body := part
	if len(head) > 0 {
		w.whole = append(append(w.whole[:0], head...), part...)
		body = w.whole
	}
	packed, ok := appendPacked(w.enc.Scratch[:0], &w.enc, w.packs, body)
	if w.enc.Scratch = packed; !ok {
		return w.writeFrame(kind, flags, head, part)
	}
	w.plain += int64(n - len(packed))
	return w.writeFrame(kind, flags|flagPacked, nil, packed)
}

// writePacked sends a message whose frames were packed before. The body is what
// they were packed from, for those that go as they are.
func (w *frameWriter) writePacked(kind kind, body []byte, p *packedBody) error {
	rest := p.bytes
	for i, f := range p.frames {
		part, flags := body[:f.plain], byte(0)
		body = body[f.plain:]
		if f.packed > 0 {
			part, rest = rest[:f.packed], rest[f.packed:]
			flags |= flagPacked
			w.plain += int64(f.plain - f.packed)
		}
		last := i == len(p.frames)-1
		if !last {
			flags |= flagMore
		}
		if err := w.writeFrame(kind, flags, nil, part); err != nil || last {
			return err
		}
		if err := w.pause(); err != nil {
			return err
		}
	}
	return nil
}

// unpack returns the body of a packed frame. The length that it names is compared
// with what the kind may have before there is room for it.
func (r *frameReader) unpack(k kind, limit int, packed []byte) ([]byte, error) {
	if len(packed) < packedHeadBytes {
		return nil, fmt.Errorf("%w: packed %v of %d bytes", ErrProtocol, k, len(packed))
	}
	n := binary.LittleEndian.Uint32(packed)
	switch {
	case n > uint32(limit):
		return nil, fmt.Errorf("%w: packed %v of %d bytes, limit %d", ErrLimit, k, n, limit)
	case int(n) <= len(packed):
		return nil, fmt.Errorf("%w: %v of %d bytes packed in %d", ErrProtocol, k, n, len(packed))
	}
	body := r.room(k, int(n))
	if err := r.dec.Unpack(body, r.packs, packed[packedHeadBytes:]); err != nil {
		return nil, fmt.Errorf("%w: %v: %w", ErrProtocol, k, err)
	}
	return body, nil
}
