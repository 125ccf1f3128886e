package rdb_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"testing/iotest"

	"github.com/emberkv/ember/internal/heap"
	"github.com/emberkv/ember/rdb"
)

// eightKiB returns a stream of about 8 KiB that has every kind of part.
func eightKiB(t testing.TB) []byte {
	stream := newSample(20, 4, 148, 700).written(t)
	if len(stream) < 8000 || len(stream) > 8400 {
		t.Fatalf("stream of %d bytes", len(stream))
	}
	return stream
}

func TestEveryBitFlipped(t *testing.T) {
	stream := eightKiB(t)
	for i := range stream {
		for bit := range 8 {
			if raceEnabled && bit != i%8 {
				continue
			}
			stream[i] ^= 1 << bit
			_, err := read(bytes.NewReader(stream))
			if err == nil {
				t.Fatalf("bit %d of byte %d flipped, and read as whole", bit, i)
			}
			re := wantReadError(t, err, rdb.ErrFormat, rdb.ErrChecksum)
			if re.Offset > int64(len(stream)) {
				t.Fatalf("bit %d of byte %d: offset %d", bit, i, re.Offset)
			}
			stream[i] ^= 1 << bit
		}
	}
	if _, err := read(bytes.NewReader(stream)); err != nil {
		t.Fatalf("with every bit put back: %v", err)
	}
}

// A flip inside a body is found as such, and at the part that it is in.
func TestFlipIsAChecksumErrorAtItsPart(t *testing.T) {
	stream := eightKiB(t)
	for start := 12; start < len(stream); {
		length := int(binary.LittleEndian.Uint32(stream[start+1:]))
		for _, i := range []int{start + 5, start + 9, start + 9 + length/2, start + 8 + length} {
			stream[i] ^= 0x10
			_, err := read(bytes.NewReader(stream))
			if re := wantReadError(t, err, rdb.ErrChecksum); re.Offset != int64(start) {
				t.Errorf("byte %d flipped, part begins at %d: offset %d", i, start, re.Offset)
			}
			stream[i] ^= 0x10
		}
		start += 9 + length
	}
}

func TestTruncatedAtEveryByte(t *testing.T) {
	stream := eightKiB(t)
	for n := range stream {
		if raceEnabled && n%4 != 0 {
			continue
		}
		_, err := read(bytes.NewReader(stream[:n]))
		re := wantReadError(t, err, rdb.ErrFormat)
		if !errors.Is(err, io.ErrUnexpectedEOF) || re.Offset != int64(n) {
			t.Fatalf("cut after %d bytes: %v, offset %d", n, err, re.Offset)
		}
	}
}

// No checksum means that there is none to compare.
func TestZeroChecksumIsNone(t *testing.T) {
	stream := eightKiB(t)
	for start := 12; start < len(stream); start += 9 + int(binary.LittleEndian.Uint32(stream[start+1:])) {
		for _, sum := range []uint32{0, 1<<32 - 1} {
			skip := slices.Clone(stream)
			binary.LittleEndian.PutUint32(skip[start+5:], sum)
			_, err := read(bytes.NewReader(skip))
			wantReadError(t, err, rdb.ErrChecksum)
		}
	}
}

// A source that fails is no malformed snapshot: it can be read again.
func TestSourceFailsAtEveryByte(t *testing.T) {
	stream := eightKiB(t)
	broken := errors.New("broken source")
	for n := range len(stream) + 1 {
		if raceEnabled && n%4 != 0 && n != len(stream) {
			continue
		}
		_, err := read(io.MultiReader(bytes.NewReader(stream[:n]), iotest.ErrReader(broken)))
		re := wantReadError(t, err, broken)
		if errors.Is(err, rdb.ErrFormat) || re.Offset != int64(n) {
			t.Fatalf("source failed after %d bytes: %v, offset %d", n, err, re.Offset)
		}
	}
}

func TestZeroedPages(t *testing.T) {
	stream := newSample(21, 4, 600, 5<<10).written(t)
	for at := 0; at < len(stream); at += 4 << 10 {
		zeroed := slices.Clone(stream)
		clear(zeroed[at:min(at+4<<10, len(stream))])
		_, err := read(bytes.NewReader(zeroed))
		wantReadError(t, err, rdb.ErrFormat, rdb.ErrChecksum)
	}
}

// claim returns the front of a part that claims a length and has only body.
func claim(kind byte, length uint32, body []byte) []byte {
	b := binary.LittleEndian.AppendUint32([]byte{kind}, length)
	return append(append(b, 1, 2, 3, 4), body...)
}

func TestLengthsThatLie(t *testing.T) {
	s := newSample(22, 1, 0, 0)
	prologue := s.raw()[:12]
	header := append(slices.Clip(prologue), part(1, rdb.AppendHeader(nil, s.header))...)
	for _, c := range []struct {
		name    string
		front   []byte
		kind    byte
		length  uint32
		arrives int // bytes of the body that really come
		limit   int64
		want    error
	}{
		{"header of 4 GiB", prologue, 1, 1<<32 - 1, 1000, 256 << 10, rdb.ErrFormat},
		{"header of 1 KiB and a byte", prologue, 1, 1<<10 + 1, 2000, 256 << 10, rdb.ErrFormat},
		{"header of 0 bytes", prologue, 1, 0, 100, 256 << 10, rdb.ErrChecksum},
		{"block of 4 GiB", header, 2, 1<<32 - 1, 1000, 256 << 10, rdb.ErrFormat},
		{"block of 2 GiB", header, 2, 1 << 31, 1000, 256 << 10, rdb.ErrFormat},
		{"block of a byte too many", header, 2, rdb.MaxBlockBytes + 1, 1000, 256 << 10, rdb.ErrFormat},
		{"block of fewer than its fields", header, 2, 23, 1000, 256 << 10, rdb.ErrFormat},
		{"largest block, nothing there", header, 2, rdb.MaxBlockBytes, 0, 512 << 10, io.ErrUnexpectedEOF},
		{"largest block, a little there", header, 2, rdb.MaxBlockBytes, 1000, 512 << 10, io.ErrUnexpectedEOF},
		{"largest block, 1 MiB there", header, 2, rdb.MaxBlockBytes, 1 << 20, 5 << 20, io.ErrUnexpectedEOF},
		{"footer of 4 GiB", header, 3, 1<<32 - 1, 1000, 256 << 10, rdb.ErrFormat},
		{"footer of a byte too many", header, 3, rdb.FooterBytes + 9, 1000, 256 << 10, rdb.ErrFormat},
	} {
		t.Run(c.name, func(t *testing.T) {
			stream := append(slices.Clip(c.front), claim(c.kind, c.length, make([]byte, c.arrives))...)
			var err error
			heap.Try(t, func() error {
				n := heap.Allocated(func() { _, err = read(bytes.NewReader(stream)) })
				if n > c.limit {
					return fmt.Errorf("%d bytes allocated, limit %d", n, c.limit)
				}
				return nil
			})
			wantReadError(t, err, c.want)
		})
	}
}

func TestPartsOfUnknownKind(t *testing.T) {
	s := newSample(23, 1, 3, 100)
	stream := s.raw()
	header := stream[:12+9+binary.LittleEndian.Uint32(stream[13:])]
	for _, kind := range []byte{0, 1, 4, 'B', 255} {
		bad := append(slices.Clip(header), part(kind, rdb.AppendHeader(nil, s.header))...)
		_, err := read(bytes.NewReader(bad))
		wantReadError(t, err, rdb.ErrFormat)
	}
	_, err := read(bytes.NewReader(slices.Concat(stream[:12], part(2, rdb.AppendHeader(nil, s.header)), stream[len(header):])))
	wantReadError(t, err, rdb.ErrFormat)
}

func TestOtherStreams(t *testing.T) {
	stream := newSample(24, 1, 3, 100).raw()
	newer := slices.Clone(stream)
	newer[8]++
	for name, c := range map[string]struct {
		stream []byte
		want   error
	}{
		"nothing":       {nil, io.ErrUnexpectedEOF},
		"HTTP":          {[]byte("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"), rdb.ErrFormat},
		"Redis RDB":     {[]byte("REDIS0011\xfa\x09redis-ver\x057.2.0"), rdb.ErrFormat},
		"newer version": {newer, rdb.ErrVersion},
		"zeros":         {make([]byte, 4096), rdb.ErrFormat},
	} {
		_, err := read(bytes.NewReader(c.stream))
		wantReadError(t, err, c.want)
		if !errors.Is(err, rdb.ErrFormat) {
			t.Errorf("%s: %v is no ErrFormat", name, err)
		}
	}
}

// A block that outgrows what is allocated on trust arrives whole.
func TestBlockOfOneLargeEntry(t *testing.T) {
	for _, n := range []int{1<<18 - 40, 1<<18 - 12, 1 << 18, 3<<18 + 5, 5 << 20} {
		e := entry{key: "large", value: randomText(newRand(26), n)}
		s := newSample(25, 1, 0, 0)
		s.blocks = blocksOf(0, s.header.Position.Offset, []entry{e}, 1)
		s.footer.Keys, s.footer.Sum = 1, rdb.EntrySum(e.key, []byte(e.value), 0)
		got, err := read(iotest.HalfReader(bytes.NewReader(s.written(t))))
		if err != nil {
			t.Fatal(err)
		}
		if m := got.contents(t); m["large"] != e {
			t.Errorf("value of %d bytes differs", n)
		}
	}
}
