package repl

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"time"

	"github.com/emberkv/ember/internal/pack"
)

// magic begins each direction of a connection. Its first byte is no text, its
// last ones show a transport that translates line ends, as in PNG.
var magic = [8]byte{0x89, 'E', 'M', 'B', 'R', '\r', '\n', 0x1a}

const (
	frameHeaderBytes = 16

	// maxFrameBody holds a chunk of the log and the head of its message.
	maxFrameBody = 256<<10 + 64

	// maxHandshakeBody is what a stranger can make us hold.
	maxHandshakeBody = 1024

	flagMore   = 1 // the message goes on in the next frame of this kind
	flagPacked = 2 // the body is packed, as was agreed
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A frameWriter cuts messages into frames. It is for one goroutine.
type frameWriter struct {
	conn    net.Conn
	timeout time.Duration // for one frame to be taken
	seq     uint32
	header  [frameHeaderBytes]byte
	lead    []byte // goes out with the next frame, in one piece: one of a handshake, which is small
	small   []byte // header and body of a frame that fits, to be written at once
	vec     [3][]byte

	// between is called between the frames of a message, to let a heartbeat
	// pass. Nil means never.
	between func() error

	// packs is how frames are packed whose kind may be; the coder is made when it
	// is first needed, and closed by the owner of the link.
	packs pack.Algorithm
	enc   pack.Encoder
	whole []byte // a body of which the head lies elsewhere

	seal *seal // nil unless the link is sealed

	written int64
	plain   int64 // what written would be if nothing was packed
}

// smallFrame is the size up to which copying a frame together costs less than
// a write of several pieces.
const smallFrame = 16 << 10

// begin begins the direction with the next frame. A write for the magic alone would wake the
// peer for eight bytes that it can do nothing with.
func (w *frameWriter) begin() { w.lead = magic[:] }

// writeMagic begins the direction at once: a TLS connection that has not shaken hands yet does so
// then, and has what a proof is bound to.
func (w *frameWriter) writeMagic() error {
	w.conn.SetWriteDeadline(time.Now().Add(w.timeout))
	_, err := w.conn.Write(magic[:])
	return err
}

// write sends a message whose body is head followed by rest, in as many frames
// as it takes. It returns when the connection has taken all of it.
func (w *frameWriter) write(kind kind, head, rest []byte) error {
	for {
		part := rest[:min(len(rest), maxFrameBody-len(head))]
		rest = rest[len(part):]
		var flags byte
		if len(rest) > 0 {
			flags = flagMore
		}
		if err := w.writePart(kind, flags, head, part); err != nil {
			return err
		}
		if len(rest) == 0 {
			return nil
		}
		head = nil
		if err := w.pause(); err != nil {
			return err
		}
	}
}

// pause lets a heartbeat pass between the frames of a message.
func (w *frameWriter) pause() error {
	if w.between == nil {
		return nil
	}
	return w.between()
}

func (w *frameWriter) writeFrame(kind kind, flags byte, head, part []byte) error {
	h := w.header[:]
	h[0], h[1], h[2], h[3] = byte(kind), flags, 0, 0
	binary.LittleEndian.PutUint32(h[4:], uint32(len(head)+len(part)))
	binary.LittleEndian.PutUint32(h[8:], w.seq)
	w.seq++
	w.conn.SetWriteDeadline(time.Now().Add(w.timeout))
	if w.seal != nil {
		binary.LittleEndian.PutUint32(h[12:], 0)
		return w.writeSealed(head, part)
	}
	crc := crc32.Update(0, castagnoli, h[:12])
	crc = crc32.Update(crc, castagnoli, head)
	crc = crc32.Update(crc, castagnoli, part)
	binary.LittleEndian.PutUint32(h[12:], crc)

	n := int64(len(h) + len(head) + len(part))
	w.written += n
	w.plain += n
	if n <= smallFrame {
		w.small = append(append(append(append(w.small[:0], w.lead...), h...), head...), part...)
		w.lead = nil
		_, err := w.conn.Write(w.small)
		return err
	}
	w.vec = [3][]byte{h, head, part}
	bufs := net.Buffers(w.vec[:])
	_, err := bufs.WriteTo(w.conn)
	return err
}

// A frameReader reads messages. It is for one goroutine.
type frameReader struct {
	conn    net.Conn
	br      *bufio.Reader
	timeout time.Duration // for one frame to arrive whole
	seq     uint32
	strange bool    // the handshake is not over: messages are small
	takes   kindSet // kinds that may come; others are refused by their header
	header  [frameHeaderBytes]byte
	frame   []byte // body of the last frame, reused
	message []byte // body of a message of several frames

	packs  pack.Algorithm // how frames may be packed
	dec    pack.Decoder   // closed by the owner of the link
	packed []byte         // body of the last packed frame, reused

	seal *seal // nil unless the link is sealed

	// beat is called for a heartbeat that arrives inside a message.
	beat func(body []byte) error

	read  int64
	plain int64 // what read would be if nothing was packed
}

func newFrameReader(conn net.Conn, timeout time.Duration) *frameReader {
	return &frameReader{conn: conn, br: bufio.NewReaderSize(conn, strangerBuffer), timeout: timeout, strange: true, takes: anyKind}
}

// What is read at once, from a stranger and from a peer.
const (
	strangerBuffer = 256
	followerBuffer = 4 << 10 // acks: a thousand followers are not to cost more than they say
	peerBuffer     = 64 << 10
)

// trust ends the handshake: the peer may send what is large.
func (r *frameReader) trust(timeout time.Duration, takes kindSet) {
	r.timeout, r.strange, r.takes = timeout, false, takes
	// What has arrived already is read through the small buffer, and then past it.
	size := peerBuffer
	if !takes.has(kindLog) {
		size = followerBuffer
	}
	r.br = bufio.NewReaderSize(r.br, size)
}

// tlsHandshake is the first byte of what a TLS client sends; the second is 3.
const tlsHandshake = 0x16

func (r *frameReader) readMagic() error {
	r.conn.SetReadDeadline(time.Now().Add(r.timeout))
	var m [8]byte
	if _, err := io.ReadFull(r.br, m[:]); err != nil {
		return err
	}
	if m[0] == tlsHandshake && m[1] == 3 {
		return fmt.Errorf("%w: connection begins with a TLS handshake, and no TLS is spoken here", ErrProtocol)
	}
	if m != magic {
		return fmt.Errorf("%w: connection begins with %q", ErrProtocol, m)
	}
	return nil
}

// idle reports whether nothing more has arrived that could be read at once.
func (r *frameReader) idle() bool { return r.br.Buffered() == 0 }

// next returns the next message. The body is the reader's until the next call,
// unless the kind is one that the receiver keeps.
func (r *frameReader) next() (kind, []byte, error) {
	k, flags, body, err := r.readFrame()
	if err != nil || flags&flagMore == 0 {
		return k, body, err
	}
	r.message = append([]byte(nil), body...)
	for {
		more, flags, body, err := r.readFrame()
		switch {
		case err != nil:
			return 0, nil, err
		case more == kindHeartbeat && k != kindHeartbeat && r.beat != nil:
			if err := r.beat(body); err != nil {
				return 0, nil, err
			}
			continue
		case more != k:
			return 0, nil, fmt.Errorf("%w: %v inside a %v", ErrProtocol, more, k)
		case len(body) == 0:
			return 0, nil, fmt.Errorf("%w: %v with an empty frame", ErrProtocol, k) // or it need never end
		case len(r.message)+len(body) > r.limit(k):
			return 0, nil, fmt.Errorf("%w: %v of more than %d bytes", ErrLimit, k, r.limit(k))
		}
		r.message = append(r.message, body...)
		if flags&flagMore == 0 {
			body, r.message = r.message, nil
			return k, body, nil
		}
	}
}

func (r *frameReader) readFrame() (kind, byte, []byte, error) {
	// One deadline for the whole frame, so that a peer which sends a byte now
	// and then is as dead as one that is silent.
	r.conn.SetReadDeadline(time.Now().Add(r.timeout))
	h := r.header[:]
	if _, err := io.ReadFull(r.br, h); err != nil {
		return 0, 0, nil, err
	}
	k, flags, announced := kind(h[0]), h[1], binary.LittleEndian.Uint32(h[4:])
	limit := min(r.limit(k), maxFrameBody)
	switch seq := binary.LittleEndian.Uint32(h[8:]); {
	case !k.known() || flags&^(flagMore|flagPacked) != 0 || h[2]|h[3] != 0:
		return 0, 0, nil, fmt.Errorf("%w: frame header % x", ErrProtocol, h)
	case flags&flagPacked != 0 && (r.packs == pack.None || !k.packable()):
		return 0, 0, nil, fmt.Errorf("%w: packed %v, which was not agreed", ErrProtocol, k)
	case !r.takes.has(k):
		return 0, 0, nil, fmt.Errorf("%w: %v out of place", ErrProtocol, k)
	case announced > uint32(limit): // not as an int, which may have 32 bits
		return 0, 0, nil, fmt.Errorf("%w: %v of %d bytes, limit %d", ErrLimit, k, announced, limit)
	case seq != r.seq:
		return 0, 0, nil, fmt.Errorf("%w: frame %d where %d was due", ErrProtocol, seq, r.seq)
	}
	body, err := r.readBody(k, flags, int(announced))
	if err != nil {
		return 0, 0, nil, err
	}
	r.seq++
	if flags&flagPacked != 0 {
		if body, err = r.unpack(k, limit, body); err != nil {
			return 0, 0, nil, err
		}
	}
	r.plain += int64(frameHeaderBytes + len(body))
	if r.seal != nil {
		r.plain += sealTagBytes
	}
	return k, flags, body, nil
}

// readBody reads what follows the header in r.header, and checks that it is what was sent.
func (r *frameReader) readBody(k kind, flags byte, length int) ([]byte, error) {
	size := length
	if r.seal != nil {
		size += sealTagBytes
	}
	var body []byte
	if flags&flagPacked != 0 {
		r.packed = roomFor(r.packed, size)
		body = r.packed[:size]
	} else {
		body = r.room(k, size)
	}
	r.read += int64(frameHeaderBytes + size)
	if r.seal != nil {
		return r.readSealed(body)
	}
	if _, err := io.ReadFull(r.br, body); err != nil {
		return nil, unexpected(err)
	}
	crc := crc32.Update(crc32.Update(0, castagnoli, r.header[:12]), castagnoli, body)
	if crc != binary.LittleEndian.Uint32(r.header[12:]) {
		return nil, fmt.Errorf("%w: %v number %d of %d bytes", ErrChecksum, k, r.seq, length)
	}
	return body, nil
}

// limit returns the largest body of a message of kind k that may come now. What
// a stranger says counts as a whole, or many small frames would add up.
func (r *frameReader) limit(k kind) int {
	if r.strange {
		return min(k.limit(), maxHandshakeBody)
	}
	return k.limit()
}

// room returns the buffer for a frame's body: a fresh one for a kind that the
// receiver keeps, else the reader's own. Lengths are within maxFrameBody here.
func (r *frameReader) room(k kind, length int) []byte {
	if k == kindBlock {
		return make([]byte, length)
	}
	r.frame = roomFor(r.frame, length)
	return r.frame[:length]
}

// roomFor returns buf if it has the capacity for length bytes, or a larger one.
func roomFor(buf []byte, length int) []byte {
	if cap(buf) >= length {
		return buf
	}
	size := 1 << 10
	for size < length {
		size *= 2
	}
	return make([]byte, size)
}
