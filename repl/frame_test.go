package repl

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/emberkv/ember/internal/heap"
)

func TestFramesRoundTrip(t *testing.T) {
	for _, size := range []int{0, 1, smallFrame - frameHeaderBytes, smallFrame, maxFrameBody - 1, maxFrameBody,
		maxFrameBody + 1, 2 * maxFrameBody, 3*maxFrameBody + 5} {
		head, body := []byte("head of a message"), bytes.Repeat([]byte{0xa5, byte(size)}, size)[:size]
		raw := taped(func(w *frameWriter) {
			w.write(kindLog, head, body)
			w.write(kindBlock, nil, body)
		})
		r := player(bytes.NewReader(raw))
		for _, want := range []sample{{kindLog, slices.Concat(head, body)}, {kindBlock, body}} {
			k, got, err := r.next()
			if k != want.kind || !bytes.Equal(got, want.body) || err != nil {
				t.Fatalf("%d bytes: got %v of %d bytes, %v", size, k, len(got), err)
			}
		}
		if _, _, err := r.next(); err != io.EOF {
			t.Errorf("%d bytes: %v behind the last frame, want io.EOF", size, err)
		}
		if int(r.read) != len(raw) {
			t.Errorf("%d bytes: counted %d of %d bytes", size, r.read, len(raw))
		}
	}
}

// TestFrameDoesNotDependOnChunks reads the same frames however the bytes come.
func TestFrameDoesNotDependOnChunks(t *testing.T) {
	raw := taped(func(w *frameWriter) {
		w.writeMagic()
		for _, s := range samples() {
			w.write(s.kind, nil, s.body)
		}
		w.write(kindLog, make([]byte, logHeadBytes), make([]byte, maxFrameBody))
	})
	for name, chunk := range map[string]func(io.Reader) io.Reader{
		"one byte": iotest.OneByteReader, "half": iotest.HalfReader, "data with the error": iotest.DataErrReader,
	} {
		r := player(chunk(bytes.NewReader(raw)))
		if err := r.readMagic(); err != nil {
			t.Fatalf("%s: magic: %v", name, err)
		}
		for _, want := range append(samples(), sample{kindLog, make([]byte, logHeadBytes+maxFrameBody)}) {
			if k, got, err := r.next(); k != want.kind || !bytes.Equal(got, want.body) || err != nil {
				t.Fatalf("%s: got %v of %d bytes, %v; want %v of %d", name, k, len(got), err, want.kind, len(want.body))
			}
		}
		if _, _, err := r.next(); err != io.EOF {
			t.Errorf("%s: %v at the end, want io.EOF", name, err)
		}
	}
}

// TestEveryBitOfAFrameCounts flips each bit of a frame of each kind. What is
// read must be an error, never another message.
func TestEveryBitOfAFrameCounts(t *testing.T) {
	for _, s := range samples() {
		raw := taped(func(w *frameWriter) { w.write(s.kind, nil, s.body) })
		for bit := range 8 * len(raw) {
			bad := bytes.Clone(raw)
			bad[bit/8] ^= 1 << (bit % 8)
			k, body, err := player(bytes.NewReader(bad)).next()
			if err == nil {
				t.Fatalf("%v with bit %d flipped was read as %v % x", s.kind, bit, k, body)
			}
			if bit >= 8*8 && bit < 8*12 && !errors.Is(err, ErrProtocol) {
				t.Errorf("%v with another sequence number: %v, want ErrProtocol", s.kind, err)
			}
			if bit >= 8*12 && !errors.Is(err, ErrChecksum) {
				t.Errorf("%v with bit %d flipped: %v, want ErrChecksum", s.kind, bit, err)
			}
		}
	}
}

// TestCutFrameIsUnexpected cuts a frame at every byte: only between two frames is
// it io.EOF.
func TestCutFrameIsUnexpected(t *testing.T) {
	raw := taped(func(w *frameWriter) { w.write(kindLog, nil, make([]byte, 100)) })
	for n := range raw {
		_, _, err := player(bytes.NewReader(raw[:n])).next()
		if want := io.ErrUnexpectedEOF; n == 0 && err != io.EOF || n > 0 && err != want {
			t.Errorf("cut after %d bytes: %v", n, err)
		}
	}
}

// TestFramesMustComeInOrder drops, repeats and exchanges frames that are whole
// and undamaged.
func TestFramesMustComeInOrder(t *testing.T) {
	var frames [][]byte
	w := &frameWriter{timeout: 1}
	for i := range 4 {
		c := new(tape)
		w.conn = c
		w.write(kindHeartbeat, nil, heartbeat{seq: uint64(i)}.append(nil))
		frames = append(frames, c.to.Bytes())
	}
	for _, c := range []struct {
		order []int
		good  int // frames that are read before the error
	}{
		{[]int{1}, 0}, {[]int{0, 0}, 1}, {[]int{0, 2}, 1}, {[]int{0, 2, 1, 3}, 1}, {[]int{0, 1, 2, 2}, 3}, {[]int{0, 1, 2, 0}, 3},
	} {
		var raw []byte
		for _, i := range c.order {
			raw = append(raw, frames[i]...)
		}
		r := player(bytes.NewReader(raw))
		for i := range c.good {
			if _, _, err := r.next(); err != nil {
				t.Fatalf("%v: frame %d: %v", c.order, i, err)
			}
		}
		if _, _, err := r.next(); !errors.Is(err, ErrProtocol) {
			t.Errorf("%v: %v, want ErrProtocol", c.order, err)
		}
	}
}

func TestSequenceWraps(t *testing.T) {
	c := new(tape)
	w := &frameWriter{conn: c, seq: 1<<32 - 1}
	w.write(kindAck, nil, nil)
	w.write(kindAck, nil, nil)
	r := player(&c.to)
	r.seq = 1<<32 - 1
	for range 2 {
		if _, _, err := r.next(); err != nil {
			t.Fatal(err)
		}
	}
}

// A forgery is a frame whose header says what it likes, with a checksum to match.
func forgery(k kind, flags byte, length, seq uint32, body []byte) []byte {
	h := []byte{byte(k), flags, 0, 0}
	h = binary.LittleEndian.AppendUint32(h, length)
	h = binary.LittleEndian.AppendUint32(h, seq)
	crc := crc32.Update(crc32.Checksum(h, castagnoli), castagnoli, body)
	return append(binary.LittleEndian.AppendUint32(h, crc), body...)
}

// TestLengthsThatLie gives each kind lengths that its bytes do not back.
// Nothing may be allocated for them beyond one frame's body.
func TestLengthsThatLie(t *testing.T) {
	for k := kindHello; k <= lastKind; k++ {
		if !k.known() {
			continue
		}
		limit := uint32(min(k.limit(), maxFrameBody))
		for _, c := range []struct {
			length uint32
			want   error
		}{
			{limit, io.ErrUnexpectedEOF}, {limit + 1, ErrLimit}, {1 << 20, ErrLimit}, {1 << 31, ErrLimit}, {1<<32 - 1, ErrLimit},
		} {
			if c.length == 0 {
				continue // which is what it may have
			}
			raw := forgery(k, 0, c.length, 0, []byte("abc"))
			var err error
			grown := heap.LeastAllocated(func() { _, _, err = player(bytes.NewReader(raw)).next() })
			if !errors.Is(err, c.want) {
				t.Errorf("%v of %d bytes: %v, want %v", k, c.length, err, c.want)
			}
			// The reader's own buffer of 64 KiB, a body's, and small change.
			if most := int64(64<<10 + 2*maxFrameBody + 16<<10); grown > most {
				t.Errorf("%v of %d bytes: %d bytes allocated, want at most %d", k, c.length, grown, most)
			}
		}
	}
}

// TestStrangerHoldsLittle sends what is fine on a link before the handshake is
// over: one large body, and a message of many small frames that adds up.
func TestStrangerHoldsLittle(t *testing.T) {
	for k := kindHello; k <= lastKind; k++ {
		if !k.known() {
			continue
		}
		r := newFrameReader(&tape{from: bytes.NewReader(forgery(k, 0, maxHandshakeBody+1, 0, make([]byte, maxHandshakeBody+1)))}, 0)
		if _, _, err := r.next(); !errors.Is(err, ErrLimit) {
			t.Errorf("%v of %d bytes: %v, want ErrLimit", k, maxHandshakeBody+1, err)
		}
		var raw []byte
		each := min(k.limit(), maxHandshakeBody)
		for seq := range uint32(1000) {
			raw = append(raw, forgery(k, flagMore, uint32(each), seq, make([]byte, each))...)
		}
		r = newFrameReader(&tape{from: bytes.NewReader(raw)}, 0)
		want := ErrLimit
		if each == 0 {
			want = ErrProtocol // a frame of nothing brings a message no further
		}
		if _, _, err := r.next(); !errors.Is(err, want) {
			t.Errorf("%v in 1000 frames of %d bytes: %v, want %v", k, each, err, want)
		}
		if r.read > 2*(maxHandshakeBody+frameHeaderBytes) {
			t.Errorf("%v: %d bytes were taken from a stranger", k, r.read)
		}
	}
}

// TestMessageHasALimit adds frames to a message until it is larger than its kind
// allows.
func TestMessageHasALimit(t *testing.T) {
	for k := kindHello; k <= kindProof; k++ {
		if k == kindBlock || k == kindLog {
			continue // of 256 MiB; the same code
		}
		half := uint32(k.limit()/2 + 1)
		raw := slices.Concat(forgery(k, flagMore, half, 0, make([]byte, half)), forgery(k, 0, half, 1, make([]byte, half)))
		if _, _, err := player(bytes.NewReader(raw)).next(); !errors.Is(err, ErrLimit) {
			t.Errorf("%v of twice %d bytes: %v, want ErrLimit", k, half, err)
		}
	}
}

// TestMessageWithoutEnd sends frames that add nothing, so that no limit would
// ever be reached.
func TestMessageWithoutEnd(t *testing.T) {
	raw := slices.Concat(forgery(kindLog, flagMore, 1, 0, []byte{0}), forgery(kindLog, flagMore, 0, 1, nil))
	if _, _, err := player(bytes.NewReader(raw)).next(); !errors.Is(err, ErrProtocol) {
		t.Errorf("an empty frame inside a message: %v, want ErrProtocol", err)
	}
}

func TestUnknownHeaders(t *testing.T) {
	for _, bad := range [][]byte{
		forgery(0, 0, 0, 0, nil), forgery(kind(len(kinds)), 0, 0, 0, nil), forgery(255, 0, 0, 0, nil),
		forgery(kindLog, 2, 1, 0, []byte{0}), forgery(kindLog, 0x80, 1, 0, []byte{0}),
	} {
		if _, _, err := player(bytes.NewReader(bad)).next(); !errors.Is(err, ErrProtocol) {
			t.Errorf("% x: %v, want ErrProtocol", bad, err)
		}
	}
}

// TestHeartbeatsPassInsideAMessage checks both ends: the writer offers a gap
// after each frame, the reader hands over what it finds there, and nothing else
// may stand there.
func TestHeartbeatsPassInsideAMessage(t *testing.T) {
	body := make([]byte, 3*maxFrameBody+1)
	for i := range body {
		body[i] = byte(i >> 10)
	}
	sent := uint64(0)
	raw := taped(func(w *frameWriter) {
		w.between = func() error {
			sent++
			return w.writeFrame(kindHeartbeat, 0, heartbeat{seq: sent}.append(nil), nil)
		}
		w.write(kindLog, nil, body)
	})
	r := player(bytes.NewReader(raw))
	seen := uint64(0)
	r.beat = func(b []byte) error {
		h, err := parseHeartbeat(b)
		seen = h.seq
		return err
	}
	if _, got, err := r.next(); err != nil || !bytes.Equal(got, body) {
		t.Fatalf("message with heartbeats inside: %d bytes, %v", len(got), err)
	}
	if sent != 3 || seen != sent {
		t.Errorf("%d heartbeats sent, %d seen, want 3", sent, seen)
	}

	failed := errors.New("beat failed")
	r = player(bytes.NewReader(raw))
	r.beat = func([]byte) error { return failed }
	if _, _, err := r.next(); err != failed {
		t.Errorf("a heartbeat that is refused: %v", err)
	}
	for k := kindHello; k <= kindProof; k++ {
		raw := slices.Concat(forgery(kindLog, flagMore, 1, 0, []byte{1}), forgery(k, 0, 1, 1, []byte{2}))
		r := player(bytes.NewReader(raw))
		if k == kindHeartbeat || k == kindLog {
			continue // without beat, as on the upstream's side, a heartbeat is refused, too
		}
		r.beat = func([]byte) error { return nil }
		if _, _, err := r.next(); !errors.Is(err, ErrProtocol) {
			t.Errorf("%v inside a Log: %v, want ErrProtocol", k, err)
		}
	}
	if _, _, err := player(bytes.NewReader(slices.Concat(forgery(kindLog, flagMore, 1, 0, []byte{1}),
		forgery(kindHeartbeat, 0, 33, 1, make([]byte, 33))))).next(); !errors.Is(err, ErrProtocol) {
		t.Errorf("a heartbeat to an upstream: %v, want ErrProtocol", err)
	}
}

// TestReaderTakesOnlyItsKinds: what is not for this end is refused by its
// header, before its body costs anything.
func TestReaderTakesOnlyItsKinds(t *testing.T) {
	for k := kindHello; k <= kindProof; k++ {
		r := player(bytes.NewReader(forgery(k, flagMore, 0, 0, nil)))
		r.takes = fromFollower
		_, _, err := r.next()
		ours := k == kindSyncStart || k == kindAck || k == kindRefuse
		if refused := errors.Is(err, ErrProtocol); refused == ours {
			t.Errorf("%v from a follower: %v", k, err)
		}
	}
}

func TestMagic(t *testing.T) {
	good := []byte("\x89EMBR\r\n\x1a")
	if err := player(bytes.NewReader(good)).readMagic(); err != nil {
		t.Fatal(err)
	}
	for bit := range 64 {
		bad := bytes.Clone(good)
		bad[bit/8] ^= 1 << (bit % 8)
		if err := player(bytes.NewReader(bad)).readMagic(); !errors.Is(err, ErrProtocol) {
			t.Errorf("bit %d: %v, want ErrProtocol", bit, err)
		}
	}
	for n := range good {
		if err := player(bytes.NewReader(good[:n])).readMagic(); err == nil {
			t.Errorf("%d bytes were taken for the magic", n)
		}
	}
}

// TestKindNames: PROTOCOL.md lists the kinds that there are, and tests have a message of each.
func TestKindNames(t *testing.T) {
	text, err := os.ReadFile("PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	sampled := make(map[kind]bool)
	for _, s := range samples() {
		sampled[s.kind] = true
	}
	for k := range kind(len(kinds)) {
		if !k.known() {
			continue
		}
		if !strings.Contains(string(text), fmt.Sprintf("\n| %d | %v | ", k, k)) {
			t.Errorf("kind %d, %v, is not in PROTOCOL.md", k, k)
		}
		if k.limit() == 0 && k != kindNews || !sampled[k] {
			t.Errorf("%v has limit %d; sampled: %v", k, k.limit(), sampled[k])
		}
	}
	if got := kind(77).String(); got != "kind 77" || kind(77).limit() != 0 {
		t.Errorf("kind 77 is %q with limit %d", got, kind(77).limit())
	}
}
