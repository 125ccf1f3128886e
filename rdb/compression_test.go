package rdb_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"

	"github.com/emberkv/ember/internal/heap"
	"github.com/emberkv/ember/rdb"
)

var compressions = []rdb.Compression{rdb.S2, rdb.Zstd}

func TestCompressedIsTheSameSnapshot(t *testing.T) {
	s := newJSON(70, 4, 3000, 64<<10)
	plain := s.written(t)
	want, err := read(bytes.NewReader(plain))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range compressions {
		stream := s.compressed(t, c)
		if 2*len(stream) > len(plain) {
			t.Errorf("%v: %d bytes became %d", c, len(plain), len(stream))
		}
		got, err := read(iotest.HalfReader(bytes.NewReader(stream)))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%v: read as something else, %v", c, err)
		}
	}
	for _, c := range []rdb.Compression{rdb.None, rdb.Off} {
		if !bytes.Equal(s.compressed(t, c), plain) {
			t.Errorf("%v: compressed", c)
		}
	}
}

// Blocks that do not shrink are written as they are, beside others that do.
func TestWhatDoesNotShrinkIsLeft(t *testing.T) {
	noise := newSampleOf(func(rng *rand.Rand) string { return randomText(rng, 500) }, 71, 4, 100, 1)
	for _, c := range compressions {
		if !bytes.Equal(noise.compressed(t, c), noise.written(t)) {
			t.Errorf("%v: noise is written differently", c)
		}
	}
}

// Large entries are packed in chunks, of which some may not shrink; whatever
// their size, they come back.
func TestLargeEntriesAreCompressedInChunks(t *testing.T) {
	const chunk = rdb.PackedChunkBytes
	noise := randomText(newRand(72), chunk)
	for _, c := range compressions {
		for _, value := range []string{
			strings.Repeat("x", chunk-20), strings.Repeat("xy", chunk/2), strings.Repeat("xyz", chunk),
			strings.Repeat("{}", chunk) + noise + strings.Repeat("{}", chunk),
			noise + strings.Repeat("x", 5<<20),
		} {
			e := entry{key: "large", value: value}
			s := newSample(73, 1, 0, 0)
			s.blocks = blocksOf(0, s.header.Position.Offset, []entry{e}, 1)
			s.footer.Keys, s.footer.Sum = 1, rdb.EntrySum(e.key, []byte(e.value), 0)
			stream := s.compressed(t, c)
			got, err := read(bytes.NewReader(stream))
			if err != nil || got.contents(t)["large"] != e {
				t.Errorf("%v: value of %d bytes: %v", c, len(value), err)
			}
			if len(stream) > len(noise)+len(value)/10+1000 {
				t.Errorf("%v: value of %d bytes was written in %d", c, len(value), len(stream))
			}
		}
	}
}

func TestEveryBitOfACompressedFileFlipped(t *testing.T) {
	for _, c := range compressions {
		stream := newJSON(74, 2, 30, 1500).compressed(t, c)
		if !isPacked(stream) {
			t.Fatalf("%v: not compressed", c)
		}
		for i := range stream {
			for bit := range 8 {
				if raceEnabled && bit != i%8 {
					continue
				}
				stream[i] ^= 1 << bit
				_, err := read(bytes.NewReader(stream))
				if err == nil {
					t.Fatalf("%v: bit %d of byte %d flipped, and read as whole", c, bit, i)
				}
				wantReadError(t, err, rdb.ErrFormat, rdb.ErrChecksum)
				// The checksum may have been computed again by whoever flipped the bit.
				if sealed := resealed(stream); !bytes.Equal(sealed, stream) {
					if _, err := read(bytes.NewReader(sealed)); err != nil {
						wantReadError(t, err, rdb.ErrFormat, rdb.ErrChecksum)
					}
				}
				stream[i] ^= 1 << bit
			}
			_, err := read(bytes.NewReader(stream[:i]))
			if wantReadError(t, err, rdb.ErrFormat); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("%v: cut after %d bytes: %v", c, i, err)
			}
		}
	}
}

// A chunk of a packed block, as FORMAT.md has it.
func chunk(size uint32, packed []byte) []byte {
	b := binary.LittleEndian.AppendUint32(nil, size)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(packed)))
	return append(b, packed...)
}

func TestPackedBlocksThatLie(t *testing.T) {
	const full = rdb.PackedChunkBytes
	z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	zeros := make([]byte, 64<<20)
	bomb := z.EncodeAll(zeros, nil)
	one := s2.Encode(nil, zeros[:full])
	many := bytes.Repeat(chunk(full, one), rdb.MaxBlockBytes/full+1)
	s := newSample(75, 1, 0, 0)
	front := append([]byte("EMBERRDB\x01\x00\x00\x00"), part(1, rdb.AppendHeader(nil, s.header))...)
	for _, c := range []struct {
		name   string
		flags  byte // algorithm
		data   []byte
		limit  int64
		want   error
		packed bool // the fault is in the compressed data, behind a valid form
	}{
		{"nothing", 4, nil, 256 << 10, rdb.ErrFormat, false},
		{"half a head", 4, chunk(1000, nil)[:4], 256 << 10, rdb.ErrFormat, false},
		{"chunk of nothing", 4, chunk(0, nil), 256 << 10, rdb.ErrFormat, false},
		{"chunk in nothing", 4, chunk(1000, nil), 256 << 10, rdb.ErrFormat, false},
		{"chunk of 4 GiB", 8, chunk(1<<32-1, make([]byte, 100)), 256 << 10, rdb.ErrFormat, false},
		{"chunk of a byte too many", 8, chunk(full+1, make([]byte, 100)), 256 << 10, rdb.ErrFormat, false},
		{"chunk that has grown", 8, chunk(100, make([]byte, 101)), 256 << 10, rdb.ErrFormat, false},
		{"chunk that is cut", 4, chunk(1000, make([]byte, 100))[:50], 256 << 10, rdb.ErrFormat, false},
		{"chunk behind a short one", 4, append(chunk(1000, s2.Encode(nil, zeros[:1000])), chunk(1000, s2.Encode(nil, zeros[:1000]))...), 256 << 10, rdb.ErrFormat, false},
		{"all chunks as they are", 4, chunk(1000, make([]byte, 1000)), 256 << 10, rdb.ErrFormat, false},
		{"more than a block", 4, many, 2 << 20, rdb.ErrFormat, false},
		{"much, and the first chunk is none", 8, bytes.Repeat(chunk(full, []byte("none at all")), 1000), 1 << 20, rdb.ErrFormat, true},
		{"zeros for s2", 4, chunk(1000, make([]byte, 100)), 1 << 20, rdb.ErrFormat, true},
		{"s2 for zstd", 8, chunk(full, one), 2 << 20, rdb.ErrFormat, true},
		{"s2 of another length", 4, chunk(full-1, one), 1 << 20, rdb.ErrFormat, true},
		{"bomb", 8, chunk(full, bomb), 4 << 20, rdb.ErrFormat, true},
		{"no entries", 4, chunk(full, one), 1 << 20, rdb.ErrFormat, false},
		{"algorithm 3", 12, chunk(full, one), 256 << 10, rdb.ErrVersion, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			body := rdb.AppendBlock(nil, &rdb.Block{First: true, Last: true, At: s.header.Position.Offset})
			body[0] |= c.flags
			stream := append(slices.Clip(front), part(2, append(body, c.data...))...)
			var err error
			heap.Try(t, func() error {
				n := heap.Allocated(func() { _, err = read(bytes.NewReader(stream)) })
				if n > c.limit+2*int64(len(c.data)) {
					return fmt.Errorf("%d bytes allocated, limit %d", n, c.limit)
				}
				return nil
			})
			wantReadError(t, err, c.want)
			if c.packed && !strings.Contains(err.Error(), "compressed") {
				t.Errorf("%v, want a fault of the compressed data", err)
			}
			if _, err := rdb.ParseBlock(append(body, c.data...)); !errors.Is(err, rdb.ErrVersion) {
				t.Errorf("a packed body by itself: %v, want ErrVersion", err)
			}
		})
	}
}

// A Writer compresses on as many cores as call it, in one bubble after another.
func TestCompressConcurrentlyInBubbles(t *testing.T) {
	s := newJSON(76, 16, 2000, 4<<10)
	for range 2 {
		for _, c := range compressions {
			synctest.Test(t, func(t *testing.T) {
				var buf bytes.Buffer
				w, err := rdb.NewCompressedWriter(&buf, s.header, c)
				if err != nil {
					t.Fatal(err)
				}
				var all sync.WaitGroup
				for shard := range 16 {
					all.Go(func() {
						for _, b := range s.blocks {
							if b.Shard == shard {
								if err := w.WriteBlock(b); err != nil {
									t.Error(err)
								}
							}
						}
					})
				}
				all.Wait()
				if err := w.Close(s.footer); err != nil {
					t.Fatal(err)
				}
				got, err := read(&buf)
				if err != nil || !reflect.DeepEqual(got.contents(t), s.entries) {
					t.Errorf("%v: %v", c, err)
				}
			})
		}
	}
}

func TestCompressionText(t *testing.T) {
	for c, want := range map[rdb.Compression]string{rdb.Off: "off", rdb.None: "none", rdb.S2: "s2", rdb.Zstd: "zstd"} {
		text, err := c.MarshalText()
		if string(text) != want || err != nil || c.String() != want {
			t.Errorf("%d is %q, %v; want %q", c, text, err, want)
		}
		back := rdb.Compression(100)
		if err := back.UnmarshalText(text); err != nil || back != c {
			t.Errorf("%q was read as %v, %v", text, back, err)
		}
	}
	for _, text := range []string{"", "S2", "gzip", "zstd "} {
		c := rdb.S2
		if err := c.UnmarshalText([]byte(text)); err == nil || c != rdb.S2 {
			t.Errorf("%q was read as %v", text, c)
		}
	}
	for _, c := range []rdb.Compression{-2, 3, 127} {
		if text, err := c.MarshalText(); err == nil {
			t.Errorf("%d is %q", c, text)
		}
		if w, err := rdb.NewCompressedWriter(io.Discard, newSample(77, 1, 0, 0).header, c); err == nil {
			t.Errorf("%v with compression %d", w, c)
		}
	}
}

func ExampleCompression() {
	var c rdb.Compression
	if err := c.UnmarshalText([]byte("zstd")); err != nil { // as from a flag, by flag.TextVar
		panic(err)
	}
	var buf bytes.Buffer
	w, err := rdb.NewCompressedWriter(&buf, rdb.Header{Position: position, Lineage: lineageOf(position), Shards: 1, RecordVersion: rdb.RecordVersion}, c)
	if err != nil {
		panic(err)
	}
	value := bytes.Repeat([]byte("ember "), 1000)
	data := make([]byte, rdb.EntrySize(len("key"), len(value), 0))
	rdb.PutEntry(data, "key", value, 0)
	w.WriteBlock(&rdb.Block{First: true, Last: true, At: position.Offset, Keys: 1, Count: 1, Data: data})
	err = w.Close(rdb.Footer{Position: position, Keys: 1, Sum: rdb.EntrySum("key", value, 0)})
	fmt.Println(c, buf.Len() < 300, err)
	// Output: zstd true <nil>
}
