package repl

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/klauspost/compress/s2"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/internal/heap"
	"github.com/emberkv/ember/internal/pack"
	"github.com/emberkv/ember/rdb"
)

var algorithms = []pack.Algorithm{pack.S2, pack.Zstd}

// jsonRecords returns whole records of 16 bytes of key and some 100 of JSON, n
// bytes or a little more.
func jsonRecords(n int) (b []byte) {
	rng := rand.New(rand.NewPCG(uint64(n), 5))
	for len(b) < n {
		b = append(b, sampleRecord(fmt.Sprintf("user:%011d", rng.Uint32()), fmt.Sprintf(
			`{"name":"user %d","mail":"u%d@example.com","active":%t,"score":%d,"tags":["a","b"]}`,
			rng.IntN(1e6), rng.IntN(1e6), rng.IntN(2) == 0, rng.IntN(1000)))...)
	}
	return b
}

func noise(n int) []byte {
	rng := rand.New(rand.NewPCG(uint64(n), 6))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

// packer and unpacker are the two ends of a link that has agreed on a.
func packer(c *tape, a pack.Algorithm) *frameWriter { return &frameWriter{conn: c, packs: a} }

func unpacker(from io.Reader, a pack.Algorithm) *frameReader {
	r := player(from)
	r.packs = a
	return r
}

// TestPackedMessagesRoundTrip sends bodies that shrink and bodies that do not, of
// one frame and of several, packed on the way and packed before, with heartbeats
// between their frames.
func TestPackedMessagesRoundTrip(t *testing.T) {
	mixed := append(append(jsonRecords(maxFrameBody), noise(maxFrameBody)...), jsonRecords(1000)...)
	for _, a := range algorithms {
		var c tape
		w := packer(&c, a)
		beats := 0
		w.between = func() error {
			beats++
			return w.writeFrame(kindHeartbeat, 0, heartbeat{seq: uint64(beats)}.append(nil), nil)
		}
		var want [][]byte
		var enc pack.Encoder
		for _, body := range [][]byte{
			jsonRecords(100), jsonRecords(300), noise(1000), jsonRecords(100_000), jsonRecords(maxFrameBody + 1), mixed, make([]byte, 3<<20), {0},
		} {
			var p packedBody
			p.pack(&enc, a, body)
			for _, err := range []error{
				w.write(kindLog, appendLogHead(nil, 1, 2), body), w.write(kindBlock, nil, body), w.writePacked(kindBlock, body, &p),
			} {
				if err != nil {
					t.Fatal(err)
				}
			}
			want = append(want, append(appendLogHead(nil, 1, 2), body...), body, body)
		}
		r := unpacker(&c.to, a)
		r.beat = func([]byte) error { beats--; return nil }
		for i, body := range want {
			if k, got, err := r.next(); err != nil || !bytes.Equal(got, body) {
				t.Fatalf("%d: message %d is %v of %d bytes, %v; want %d", a, i, k, len(got), err, len(body))
			}
		}
		if beats != 0 {
			t.Errorf("%d heartbeats were lost", beats)
		}
		if w.written != r.read || w.plain != r.plain || w.written > w.plain/2 {
			t.Errorf("%d: written %d for %d, read %d for %d", a, w.written, w.plain, r.read, r.plain)
		}
		w.enc.Close()
		r.dec.Close()
	}
}

// TestSmallAndIncompressibleGoAsTheyAre: on a link that packs, what does not
// shrink is sent byte for byte as on one that does not.
func TestSmallAndIncompressibleGoAsTheyAre(t *testing.T) {
	for _, a := range algorithms {
		for _, s := range append(samples(), sample{kindLog, noise(10_000)}, sample{kindBlock, noise(2 * maxFrameBody)}) {
			want := taped(func(w *frameWriter) { w.write(s.kind, nil, s.body) })
			got := taped(func(w *frameWriter) { w.packs = a; w.write(s.kind, nil, s.body) })
			if !bytes.Equal(got, want) {
				t.Errorf("%d: %v of %d bytes is sent differently", a, s.kind, len(s.body))
			}
		}
		// Large and easily packed, but not data.
		for _, k := range []kind{kindHello, kindFullSync, kindSyncEnd, kindHistory, kindRefuse} {
			got := taped(func(w *frameWriter) { w.packs = a; w.write(k, nil, make([]byte, 1000)) })
			if len(got) < 1000 {
				t.Errorf("%d: %v is packed", a, k)
			}
		}
	}
}

func TestEveryBitOfAPackedFrameCounts(t *testing.T) {
	for _, a := range algorithms {
		var c tape
		packer(&c, a).write(kindLog, appendLogHead(nil, 1, 2), jsonRecords(600))
		raw := c.to.Bytes()
		if raw[1] != flagPacked {
			t.Fatalf("%d: flags %d", a, raw[1])
		}
		var dec pack.Decoder
		defer dec.Close()
		next := func(raw []byte) ([]byte, error) {
			r := unpacker(bytes.NewReader(raw), a)
			r.dec = dec // one for all: what it met before does no harm
			_, body, err := r.next()
			dec = r.dec
			return body, err
		}
		for bit := range 8 * len(raw) {
			bad := bytes.Clone(raw)
			bad[bit/8] ^= 1 << (bit % 8)
			body, err := next(bad)
			if err == nil {
				t.Fatalf("%d: bit %d flipped, and read as %d bytes", a, bit, len(body))
			}
			checkLinkEnd(t, err)
			// With a checksum to match: another body or an error with a name.
			_, err = next(forgery(kindLog, flagPacked, uint32(len(bad)-frameHeaderBytes), 0, bad[frameHeaderBytes:]))
			if err != nil {
				checkLinkEnd(t, err)
			}
		}
		for n := range raw {
			if _, err := next(raw[:n]); err == nil {
				t.Fatalf("%d: cut after %d bytes, and read", a, n)
			}
		}
	}
}

// packedBytes returns the body of a packed frame that says length.
func packedBytes(length uint32, packed []byte) []byte {
	return append(binary.LittleEndian.AppendUint32(nil, length), packed...)
}

// TestPackedFramesThatLie: what a packed frame says is compared with the limits
// before it costs anything, and what it unpacks to is bounded by one frame.
func TestPackedFramesThatLie(t *testing.T) {
	var enc pack.Encoder
	zeros := make([]byte, pack.MaxBytes)
	zstd, _ := enc.Append(nil, pack.Zstd, zeros)
	twice := append(bytes.Clone(zstd), zstd...)
	bomb := s2.Encode(nil, make([]byte, 64<<20))[:100_000]
	full := uint32(maxFrameBody)
	for _, c := range []struct {
		name string
		a    pack.Algorithm
		body []byte
		want error
	}{
		{"nothing", pack.S2, nil, ErrProtocol},
		{"half a length", pack.S2, []byte{0, 1}, ErrProtocol},
		{"a length alone", pack.S2, packedBytes(1000, nil), ErrProtocol},
		{"length 0", pack.S2, packedBytes(0, zstd), ErrProtocol},
		{"length of itself", pack.Zstd, packedBytes(uint32(len(zstd)+4), zstd), ErrProtocol},
		{"a byte more than a frame", pack.Zstd, packedBytes(full+1, zstd), ErrLimit},
		{"1 GiB", pack.Zstd, packedBytes(1<<30, zstd), ErrLimit},
		{"4 GiB", pack.S2, packedBytes(1<<32-1, zstd), ErrLimit},
		{"a byte less than it is", pack.Zstd, packedBytes(full-1, zstd), ErrProtocol},
		{"more than it is", pack.Zstd, packedBytes(full, zstd[:len(zstd)-1]), ErrProtocol},
		{"the other algorithm", pack.S2, packedBytes(full, zstd), ErrProtocol},
		{"two zstd frames", pack.Zstd, packedBytes(full, twice), ErrProtocol},
		{"s2 that says 64 MiB", pack.S2, packedBytes(full, bomb), ErrProtocol},
	} {
		raw := forgery(kindLog, flagPacked, uint32(len(c.body)), 0, c.body)
		heap.Try(t, func() error {
			var err error
			r := unpacker(bytes.NewReader(raw), c.a)
			r.dec.Unpack(make([]byte, 100), c.a, []byte{1}) // makes the coder
			grown := heap.Allocated(func() { _, _, err = r.next() })
			if !errors.Is(err, c.want) {
				t.Errorf("%s: %v, want %v", c.name, err, c.want)
			}
			if most := int64(3*maxFrameBody + 512<<10); grown > most {
				return fmt.Errorf("%s: %d bytes allocated, want at most %d", c.name, grown, most)
			}
			return nil
		})
	}
}

// TestPackedMessageHasALimit: it is what frames unpack to that counts.
func TestPackedMessageHasALimit(t *testing.T) {
	body := make([]byte, 900)
	var enc pack.Encoder
	packed, _ := appendPacked(nil, &enc, pack.S2, body)
	raw := append(forgery(kindLog, flagMore|flagPacked, uint32(len(packed)), 0, packed), forgery(kindLog, flagPacked, uint32(len(packed)), 1, packed)...)
	r := unpacker(bytes.NewReader(raw), pack.S2)
	r.strange = true // with a limit of 1 KiB for every kind
	if _, _, err := r.next(); !errors.Is(err, ErrLimit) {
		t.Errorf("1,800 bytes in two packed frames where 1,024 may come: %v, want ErrLimit", err)
	}
}

func TestPackedMustBeAgreed(t *testing.T) {
	var enc pack.Encoder
	packed, _ := appendPacked(nil, &enc, pack.S2, make([]byte, 1000))
	for k := kindHello; k <= lastKind; k++ {
		for _, a := range []pack.Algorithm{pack.None, pack.S2} {
			body := packed[:min(len(packed), k.limit())]
			r := unpacker(bytes.NewReader(forgery(k, flagPacked, uint32(len(body)), 0, body)), a)
			_, _, err := r.next()
			if fine := a == pack.S2 && k.packable(); fine != (err == nil) || !fine && !errors.Is(err, ErrProtocol) {
				t.Errorf("packed %v where %d was agreed: %v", k, a, err)
			}
		}
	}
}

func TestPackingIsChosenByTheUpstream(t *testing.T) {
	const s2, zstd = 1, 2 // bits of what can be read
	for _, c := range []struct {
		ours, theirs packing
		want         pack.Algorithm
	}{
		{0, 0, pack.None},
		{3, 3, pack.None},
		{3, packing(3).with(pack.S2), pack.S2},
		{packing(3).with(pack.S2), packing(3).with(pack.Zstd), pack.Zstd},
		{packing(3).with(pack.Zstd), 3, pack.Zstd},
		{packing(3).with(pack.Zstd), s2, pack.None},
		{packing(3).with(pack.Zstd), 0, pack.None},
		{0, packing(3).with(pack.Zstd), pack.None},
		{packing(s2).with(pack.S2), packing(3).with(pack.Zstd), pack.S2},     // we lack what it wishes
		{3, packing(s2).with(pack.Zstd), pack.None},                          // it wishes what it cannot read
		{packing(3).with(pack.S2), packing(0xf).with(7), pack.S2},            // of a later version
		{packing(3).with(pack.S2), packing(zstd | 0xc).with(9), pack.None},   // likewise
		{packing(3).with(pack.Zstd), packing(zstd | 0xc).with(9), pack.Zstd}, // likewise
	} {
		if got := c.ours.choose(c.theirs); got != c.want {
			t.Errorf("%#x for %#x: %d, want %d", c.ours, c.theirs, got, c.want)
		}
	}
	for c, want := range map[rdb.Compression]packing{rdb.Off: 0, rdb.None: 3, rdb.S2: 0x13, rdb.Zstd: 0x23} {
		if got := (&Options{Compression: c}).packing(); got != want {
			t.Errorf("%v says %#x, want %#x", c, got, want)
		}
	}
}

// TestBlockIsPackedOnce: for all takers that have agreed on the same, and not at all
// for those that have not; and buffers that are used again hold nothing of before.
func TestBlockIsPackedOnce(t *testing.T) {
	m, err := NewMaster(logOnly{backlog.NewLog(nil)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	w := &pass{passes: m.node.passes}
	taker := func(a pack.Algorithm) *copying {
		return &copying{feed: &feed{link: &link{packs: a}}}
	}
	for _, takers := range [][]pack.Algorithm{{pack.S2, pack.None, pack.Zstd, pack.S2}, {pack.None}, {pack.Zstd, pack.Zstd}} {
		var members []*copying
		for _, a := range takers {
			members = append(members, taker(a))
		}
		block := &rdb.Block{First: true, Last: true, Keys: 3000, Count: 3000, Data: jsonRecords(maxFrameBody + 5000)}
		buf := w.encode(block, members)
		for a := range buf.packed {
			var c tape
			p, wanted := &buf.packed[a], a > 0 && bytes.IndexByte(algorithmBytes(takers), byte(a)) >= 0
			if made := len(p.frames) > 0; made != wanted {
				t.Fatalf("takers %v: packed with %d: %v", takers, a, made)
			}
			if !wanted {
				continue
			}
			if len(p.frames) != 2 || 2*len(p.bytes) > len(buf.body) {
				t.Errorf("takers %v: %d frames, %d bytes for %d", takers, len(p.frames), len(p.bytes), len(buf.body))
			}
			if err := packer(&c, pack.Algorithm(a)).writePacked(kindBlock, buf.body, p); err != nil {
				t.Fatal(err)
			}
			if _, got, err := unpacker(&c.to, pack.Algorithm(a)).next(); err != nil || !bytes.Equal(got, rdb.AppendBlock(nil, block)) {
				t.Errorf("takers %v: another block with %d: %v", takers, a, err)
			}
		}
		for range takers {
			w.release(buf)
		}
	}
}

func algorithmBytes(list []pack.Algorithm) (b []byte) {
	for _, a := range list {
		b = append(b, byte(a))
	}
	return b
}

// FuzzPackedFrame hands any bytes to the unpacker, in a frame that is otherwise as
// it should be.
func FuzzPackedFrame(f *testing.F) {
	var enc pack.Encoder
	for _, a := range algorithms {
		for _, body := range [][]byte{jsonRecords(500), make([]byte, 2000)} {
			packed, _ := appendPacked(nil, &enc, a, body)
			f.Add(packed, byte(a), true)
			f.Add(packed, byte(a), false)
		}
	}
	f.Add(packedBytes(1<<32-1, make([]byte, 100)), byte(pack.S2), false)
	f.Add([]byte{}, byte(pack.Zstd), true)
	var dec pack.Decoder
	f.Fuzz(func(t *testing.T, body []byte, a byte, block bool) {
		if len(body) > maxFrameBody {
			return
		}
		k := kindLog
		if block {
			k = kindBlock
		}
		r := unpacker(bytes.NewReader(forgery(k, flagPacked, uint32(len(body)), 0, body)), pack.Algorithm(a%pack.Algorithms))
		r.dec = dec
		_, got, err := r.next()
		dec = r.dec
		switch {
		case err != nil:
			checkLinkEnd(t, err)
		case len(got) > maxFrameBody || len(got) <= len(body) || uint32(len(got)) != binary.LittleEndian.Uint32(body):
			t.Errorf("%d bytes from %d", len(got), len(body))
		}
	})
}

// BenchmarkPackedFrames is one frame of log, written and read, at the rate of what it
// carries; the connection is memory.
func BenchmarkPackedFrames(b *testing.B) {
	for _, size := range []int{2 << 10, 128 << 10} {
		records := jsonRecords(size)
		for _, a := range []pack.Algorithm{pack.None, pack.S2, pack.Zstd} {
			b.Run(fmt.Sprintf("%v/%dKiB", rdb.Compression(a), size>>10), func(b *testing.B) {
				var c tape
				w, r := packer(&c, a), unpacker(&c.to, a)
				head := appendLogHead(nil, 1, 2)
				b.SetBytes(int64(len(records)))
				b.ReportAllocs()
				for b.Loop() {
					if err := w.write(kindLog, head, records); err != nil {
						b.Fatal(err)
					}
					if _, _, err := r.next(); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(w.plain)/float64(w.written), "ratio")
			})
		}
	}
}
