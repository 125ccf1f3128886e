package rdb_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"testing"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/rdb"
)

// Every encoding here is the only one of what it encodes, except for compressed data.
// So the property is the same for each decoder: it refuses its input, or encoding
// the result gives the input back.

// resealed returns a copy of a stream in which the checksums fit, so that a
// fuzzer gets past them.
func resealed(stream []byte) []byte {
	const prologue, frame = 12, 9
	if len(stream) < prologue {
		return stream
	}
	b := bytes.Clone(stream[:prologue])
	for rest := stream[prologue:]; ; {
		if len(rest) < frame {
			return append(b, rest...)
		}
		length := binary.LittleEndian.Uint32(rest[1:])
		if uint64(length) > uint64(len(rest)-frame) {
			return append(b, rest...)
		}
		b = append(b, part(rest[0], rest[frame:frame+int(length)])...)
		rest = rest[frame+int(length):]
	}
}

func FuzzReader(f *testing.F) {
	golden, err := os.ReadFile("testdata/version1.rdb")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(golden)
	f.Add(newSample(50, 1, 0, 100).raw())
	f.Add(newSample(51, 2, 3, 30).raw())
	for _, c := range disorders {
		f.Add(newDisorder(c.mutate).raw())
	}
	f.Add([]byte("EMBERRDB"))
	for _, c := range []rdb.Compression{rdb.S2, rdb.Zstd} {
		f.Add(newJSON(56, 2, 20, 600).compressed(f, c))
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		for _, b := range [][]byte{stream, resealed(stream)} {
			got, err := read(bytes.NewReader(b))
			if err != nil {
				wantReadError(t, err, rdb.ErrFormat, rdb.ErrChecksum)
				continue
			}
			again := &sample{header: got.header, blocks: got.blocks, footer: got.footer}
			if packed, same := isPacked(b), bytes.Equal(again.written(t), b); packed == same {
				t.Fatalf("a whole snapshot, packed: %v, is written again the same: %v", packed, same)
			}
		}
	})
}

// isPacked reports whether a block of a whole stream is compressed.
func isPacked(stream []byte) bool {
	for rest := stream[12:]; len(rest) > 0; rest = rest[9+binary.LittleEndian.Uint32(rest[1:]):] {
		if rest[0] == 2 && rest[9]&12 != 0 {
			return true
		}
	}
	return false
}

func FuzzParseHeader(f *testing.F) {
	h := newSample(52, 8, 10, 100).header
	f.Add(rdb.AppendHeader(nil, h))
	for range backlog.MaxForks {
		h.Lineage = h.Lineage.Fork(backlog.NewHistory(), h.Position.Offset)
	}
	h.Position.History = h.Lineage.Current
	f.Add(rdb.AppendHeader(nil, h))
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, err := rdb.ParseHeader(b); err == nil && !bytes.Equal(rdb.AppendHeader(nil, h), b) {
			t.Fatalf("%+v has another encoding", h)
		}
	})
}

func FuzzParseBlock(f *testing.F) {
	for _, b := range newSample(53, 2, 20, 200).blocks {
		f.Add(rdb.AppendBlock(nil, b))
	}
	f.Add(rdb.AppendBlock(nil, &rdb.Block{First: true, Last: true}))
	f.Add(make([]byte, 24))
	f.Fuzz(func(t *testing.T, body []byte) {
		b, err := rdb.ParseBlock(body)
		if err != nil {
			return
		}
		if !bytes.Equal(rdb.AppendBlock(nil, b), body) {
			t.Fatalf("%+v has another encoding", b)
		}
		sum, err := b.Sum()
		var data []byte
		var each uint64
		for e, eerr := range b.Entries() {
			if eerr != nil {
				if err == nil {
					t.Fatalf("Entries finds %v, Sum nothing", eerr)
				}
				return
			}
			each += e.Sum()
			data = entry{string(e.Key), string(e.Value), e.Deadline}.encoded(data)
		}
		if err != nil || each != sum || !bytes.Equal(data, b.Data) {
			t.Fatalf("sum %x, %v; of the entries %x", sum, err, each)
		}
	})
}

func FuzzParseFooter(f *testing.F) {
	f.Add(rdb.AppendFooter(nil, newSample(54, 2, 20, 200).footer))
	f.Add(make([]byte, rdb.FooterBytes))
	f.Fuzz(func(t *testing.T, b []byte) {
		if footer, err := rdb.ParseFooter(b); err == nil && !bytes.Equal(rdb.AppendFooter(nil, footer), b) {
			t.Fatalf("%+v has another encoding", footer)
		}
	})
}

func FuzzParseEntry(f *testing.F) {
	for _, e := range newSample(55, 1, 10, 1000).entries {
		payload, _, err := backlog.CutRecord(e.encoded(nil))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(payload)
	}
	f.Add([]byte("\x02\x01\x00\x00\x00\x00\x00\x00\x00\x80k"))
	f.Fuzz(func(t *testing.T, payload []byte) {
		e, err := rdb.ParseEntry(payload)
		if err != nil {
			return
		}
		record := entry{string(e.Key), string(e.Value), e.Deadline}.encoded(nil)
		if !bytes.Equal(record, backlog.AppendRecord(nil, payload)) {
			t.Fatalf("%+v has another encoding", e)
		}
	})
}
