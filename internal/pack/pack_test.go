package pack_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"

	"github.com/emberkv/ember/internal/heap"
	"github.com/emberkv/ember/internal/pack"
)

var algorithms = map[string]pack.Algorithm{"s2": pack.S2, "zstd": pack.Zstd}

// entries returns n bytes like those of a block: keys of 16 bytes, values of some
// 100 that look like JSON.
func entries(seed uint64, n int) []byte {
	rng := rand.New(rand.NewPCG(seed, 2))
	var b []byte
	for i := 0; len(b) < n; i++ {
		b = fmt.Appendf(b, "user:%011d", rng.Uint32())
		b = fmt.Appendf(b, `{"id":%d,"name":"user %d","mail":"u%d@example.com","active":%t,"score":%d,"tags":["a","b"]}`,
			i, rng.IntN(1e6), rng.IntN(1e6), rng.IntN(2) == 0, rng.IntN(1000))
	}
	return b[:n]
}

func noise(seed uint64, n int) []byte {
	rng := rand.New(rand.NewPCG(seed, 3))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

func TestRoundTrip(t *testing.T) {
	var enc pack.Encoder
	var dec pack.Decoder
	defer enc.Close()
	defer dec.Close()
	for name, a := range algorithms {
		for _, n := range []int{pack.MinBytes, 257, 1000, 4 << 10, 128 << 10, pack.MaxBytes} {
			for kind, src := range map[string][]byte{"entries": entries(uint64(n), n), "zeros": make([]byte, n)} {
				before := []byte("before")
				got, ok := enc.Append(before, a, src)
				if !ok || !bytes.HasPrefix(got, before) || len(got)-len(before) >= n {
					t.Fatalf("%s: %d bytes of %s: %v, became %d", name, n, kind, ok, len(got)-len(before))
				}
				dst := make([]byte, n)
				if err := dec.Unpack(dst, a, got[len(before):]); err != nil || !bytes.Equal(dst, src) {
					t.Fatalf("%s: %d bytes of %s do not come back: %v", name, n, kind, err)
				}
			}
		}
	}
}

// What does not become smaller is not packed, and leaves the buffer as it was.
func TestNotWorthPacking(t *testing.T) {
	var enc pack.Encoder
	before := []byte("before")
	for name, a := range algorithms {
		for kind, src := range map[string][]byte{
			"nothing": nil, "little": make([]byte, pack.MinBytes-1), "noise": noise(1, 10_000), "a piece of noise": noise(2, pack.MaxBytes),
		} {
			if got, ok := enc.Append(before, a, src); ok || string(got) != "before" {
				t.Errorf("%s: %s became %d bytes, %v", name, kind, len(got), ok)
			}
		}
	}
	if _, ok := enc.Append(nil, pack.None, entries(1, 1000)); ok {
		t.Error("packed with no algorithm")
	}
}

// A bomb costs no more than the room that it was given, whatever its bytes say.
func TestBombs(t *testing.T) {
	const claimed = 64 << 20
	z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	zeros := make([]byte, claimed)
	unsized := zstdStream(t, zeros)
	twice := z.EncodeAll(zeros[:100_000], nil)
	twice = append(twice, twice...)
	for _, c := range []struct {
		name string
		a    pack.Algorithm
		src  []byte
	}{
		{"s2 that says its length", pack.S2, s2.Encode(nil, zeros)},
		{"s2 that lies about its length", pack.S2, append([]byte{0xc0, 0x84, 0x3d}, s2.Encode(nil, zeros)[4:]...)},
		{"zstd that says its length", pack.Zstd, z.EncodeAll(zeros, nil)},
		{"zstd that does not", pack.Zstd, unsized},
		{"zstd frames one behind the other", pack.Zstd, twice},
	} {
		t.Run(c.name, func(t *testing.T) {
			var dec pack.Decoder
			for _, room := range []int{100_001, pack.MaxBytes} {
				src := c.src[:min(len(c.src), room-1)]
				dec.Unpack(make([]byte, 1000), c.a, src[:min(len(src), 999)]) // makes the coder
				dst := make([]byte, room, room+100)
				var err error
				heap.Try(t, func() error {
					if grown := heap.Allocated(func() { err = dec.Unpack(dst, c.a, src) }); grown > 1<<20 {
						return fmt.Errorf("into %d bytes: %d bytes allocated", room, grown)
					}
					return nil
				})
				if !errors.Is(err, pack.ErrPacked) {
					t.Errorf("into %d bytes: %v, want ErrPacked", room, err)
				}
				if !bytes.Equal(dst[room:cap(dst)], make([]byte, 100)) {
					t.Error("written beyond the room")
				}
			}
		})
	}
}

// zstdStream returns src in a frame that does not say its length.
func zstdStream(t *testing.T, src []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	w, err := zstd.NewWriter(&buf, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(pack.MaxWindowBytes))
	if err != nil {
		t.Fatal(err)
	}
	for rest := src; len(rest) > 0; rest = rest[min(len(rest), 100_000):] {
		w.Write(rest[:min(len(rest), 100_000)])
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func TestUnpackIsExact(t *testing.T) {
	var enc pack.Encoder
	var dec pack.Decoder
	src := entries(3, 10_000)
	for name, a := range algorithms {
		packed, _ := enc.Append(nil, a, src)
		for _, n := range []int{0, 1, len(packed), len(src) - 1, len(src) + 1, pack.MaxBytes, pack.MaxBytes + 1} {
			if err := dec.Unpack(make([]byte, n), a, packed); !errors.Is(err, pack.ErrPacked) {
				t.Errorf("%s: unpacked into %d bytes: %v", name, n, err)
			}
		}
		for n := range packed {
			if err := dec.Unpack(make([]byte, len(src)), a, packed[:n]); !errors.Is(err, pack.ErrPacked) {
				t.Fatalf("%s: cut after %d of %d bytes: %v", name, n, len(packed), err)
			}
		}
		for _, other := range []pack.Algorithm{pack.None, pack.S2, pack.Zstd, pack.Algorithms} {
			if err := dec.Unpack(make([]byte, len(src)), other, packed); other != a && !errors.Is(err, pack.ErrPacked) {
				t.Errorf("%s read as %d: %v", name, other, err)
			}
		}
	}
}

// Coders live in their owner, so a second bubble in the same process finds none of
// the first. Several goroutines pack at once.
func TestBubbleAfterBubble(t *testing.T) {
	for range 2 {
		synctest.Test(t, func(t *testing.T) {
			var encoders pack.Encoders
			defer encoders.Close()
			var all sync.WaitGroup
			for i := range 24 {
				all.Go(func() {
					var dec pack.Decoder
					defer dec.Close()
					src := entries(uint64(i), 20_000)
					for _, a := range algorithms {
						enc := encoders.Get()
						packed, ok := enc.Append(nil, a, src)
						encoders.Put(enc)
						dst := make([]byte, len(src))
						if err := dec.Unpack(dst, a, packed); !ok || err != nil || !bytes.Equal(dst, src) {
							t.Errorf("%d: %v, %v", a, ok, err)
						}
					}
				})
			}
			all.Wait()
		})
	}
}

func TestClosedCodersAreMadeAnew(t *testing.T) {
	var enc pack.Encoder
	var dec pack.Decoder
	src := entries(4, 5000)
	for range 2 {
		packed, ok := enc.Append(nil, pack.Zstd, src)
		if err := dec.Unpack(make([]byte, len(src)), pack.Zstd, packed); !ok || err != nil {
			t.Fatalf("%v, %v", ok, err)
		}
		enc.Close()
		dec.Close()
	}
}

// FuzzUnpack: whatever comes, it fills the room exactly or is refused, and what
// was packed here comes back.
func FuzzUnpack(f *testing.F) {
	var enc pack.Encoder
	for _, src := range [][]byte{make([]byte, 1000), entries(5, 2000), noise(6, 300)} {
		for _, a := range algorithms {
			packed, _ := enc.Append(nil, a, src)
			f.Add(packed, byte(a), uint32(len(src)))
		}
	}
	f.Add([]byte("\x28\xb5\x2f\xfd\x00\x58"), byte(pack.Zstd), uint32(1000))
	f.Add([]byte("\x50\x2a\x4d\x18\xff\xff\xff\xff"), byte(pack.Zstd), uint32(1000))
	var dec pack.Decoder // one for all inputs, as on a link: none may spoil it for the next
	f.Fuzz(func(t *testing.T, src []byte, a byte, n uint32) {
		n %= 64 << 10
		dst := make([]byte, n, n+64)
		switch err := dec.Unpack(dst, pack.Algorithm(a), src); {
		case err != nil && !errors.Is(err, pack.ErrPacked):
			t.Errorf("an error without a name: %v", err)
		case err == nil && len(src) >= len(dst):
			t.Errorf("%d bytes from %d", len(dst), len(src))
		}
		if !bytes.Equal(dst[n:cap(dst)], make([]byte, 64)) {
			t.Error("written beyond the room")
		}
		for _, a := range algorithms {
			if len(src) > pack.MaxBytes {
				break
			}
			if packed, ok := enc.Append(nil, a, src); ok {
				back := make([]byte, len(src))
				if err := dec.Unpack(back, a, packed); err != nil || !bytes.Equal(back, src) {
					t.Errorf("%d bytes do not come back from %d: %v", len(src), a, err)
				}
			}
		}
	})
}

func benchmark(b *testing.B, f func(b *testing.B, a pack.Algorithm, src []byte)) {
	for _, name := range []string{"s2", "zstd"} {
		for _, size := range []struct {
			name string
			n    int
		}{{"block", 128 << 10}, {"log", 16 << 10}} {
			b.Run(name+"/"+size.name, func(b *testing.B) {
				b.SetBytes(int64(size.n))
				b.ReportAllocs()
				f(b, algorithms[name], entries(7, size.n))
			})
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	benchmark(b, func(b *testing.B, a pack.Algorithm, src []byte) {
		var enc pack.Encoder
		var buf []byte
		for b.Loop() {
			buf, _ = enc.Append(buf[:0], a, src)
		}
		b.ReportMetric(float64(len(src))/float64(len(buf)), "ratio")
	})
}

func BenchmarkUnpack(b *testing.B) {
	benchmark(b, func(b *testing.B, a pack.Algorithm, src []byte) {
		var enc pack.Encoder
		var dec pack.Decoder
		packed, _ := enc.Append(nil, a, src)
		dst := make([]byte, len(src))
		for b.Loop() {
			if err := dec.Unpack(dst, a, packed); err != nil {
				b.Fatal(err)
			}
		}
	})
}
