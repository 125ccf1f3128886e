package rdb_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"reflect"
	"slices"
	"testing"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/rdb"
)

func TestHeaderBody(t *testing.T) {
	for forks := range backlog.MaxForks + 1 {
		h := newSample(30, 1024, 0, 1).header
		h.Lineage.Earlier = nil
		for i := range forks {
			h.Lineage.Earlier = append(h.Lineage.Earlier, backlog.Fork{History: history(byte(100 + i)), End: int64(1000 - i)})
		}
		h.Keys, h.Bytes = math.MaxInt64, math.MaxInt64
		body := rdb.AppendHeader([]byte("front"), h)[5:]
		if len(body) > rdb.MaxHeaderBytes {
			t.Fatalf("%d forks: %d bytes", forks, len(body))
		}
		got, err := rdb.ParseHeader(body)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, h) {
			t.Fatalf("got %+v, want %+v", got, h)
		}
		for n := range body {
			if _, err := rdb.ParseHeader(body[:n]); !errors.Is(err, rdb.ErrFormat) {
				t.Fatalf("%d of %d bytes: %v", n, len(body), err)
			}
		}
		if _, err := rdb.ParseHeader(append(body, 0)); !errors.Is(err, rdb.ErrFormat) {
			t.Fatalf("a byte too many: %v", err)
		}
	}
}

func TestHeaderIsRefused(t *testing.T) {
	for _, c := range []struct {
		name   string
		mutate func(h *rdb.Header)
		want   error
	}{
		{"no shards", func(h *rdb.Header) { h.Shards = 0 }, rdb.ErrFormat},
		{"three shards", func(h *rdb.Header) { h.Shards = 3 }, rdb.ErrFormat},
		{"too many shards", func(h *rdb.Header) { h.Shards = 2 * rdb.MaxShards }, rdb.ErrFormat},
		{"no record version", func(h *rdb.Header) { h.RecordVersion = 0 }, rdb.ErrFormat},
		{"newer records", func(h *rdb.Header) { h.RecordVersion = rdb.RecordVersion + 1 }, rdb.ErrVersion},
		{"negative keys", func(h *rdb.Header) { h.Keys = -1 }, rdb.ErrFormat},
		{"negative bytes", func(h *rdb.Header) { h.Bytes = -1 }, rdb.ErrFormat},
		{"no history", func(h *rdb.Header) { h.Position.History, h.Lineage.Current = backlog.History{}, backlog.History{} }, rdb.ErrFormat},
		{"negative offset", func(h *rdb.Header) { h.Position.Offset, h.Lineage.Earlier = -1, nil }, rdb.ErrFormat},
		{"position elsewhere", func(h *rdb.Header) { h.Position.History = history(1) }, rdb.ErrFormat},
		{"fork after the position", func(h *rdb.Header) { h.Position.Offset = h.Lineage.Earlier[0].End - 1 }, rdb.ErrFormat},
		{"a history twice", func(h *rdb.Header) { h.Lineage.Earlier[0].History = h.Lineage.Current }, rdb.ErrFormat},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newSample(31, 8, 10, 100).header
			c.mutate(&h)
			if err := h.Validate(); !errors.Is(err, c.want) {
				t.Errorf("Validate: %v", err)
			}
			if _, err := rdb.ParseHeader(rdb.AppendHeader(nil, h)); !errors.Is(err, c.want) {
				t.Errorf("ParseHeader: %v", err)
			}
			var buf bytes.Buffer
			if _, err := rdb.NewWriter(&buf, h); !errors.Is(err, c.want) || buf.Len() > 0 {
				t.Errorf("NewWriter: %v, %d bytes written", err, buf.Len())
			}
			s := newSample(31, 8, 10, 100)
			s.header = h
			_, err := rdb.NewReader(bytes.NewReader(s.raw()))
			wantReadError(t, err, c.want)
		})
	}
	body := rdb.AppendHeader(nil, newSample(31, 8, 10, 100).header)
	for bit := range 32 {
		reserved := slices.Clone(body)
		reserved[48+bit/8] |= 1 << (bit % 8)
		if _, err := rdb.ParseHeader(reserved); !errors.Is(err, rdb.ErrVersion) {
			t.Errorf("flag %d: %v", bit, err)
		}
	}
}

func TestBlockBody(t *testing.T) {
	for _, b := range newSample(32, 4, 100, 300).blocks {
		body := rdb.AppendBlock(nil, b)
		got, err := rdb.ParseBlock(body)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, b) {
			t.Fatalf("got %+v, want %+v", got, b)
		}
		if len(b.Data) > 0 && &got.Data[0] != &body[24] {
			t.Error("data do not share memory with the body")
		}
		fields := *b
		fields.Data = nil
		if two := append(rdb.AppendBlock(nil, &fields), b.Data...); !bytes.Equal(two, body) {
			t.Error("fields and data one by one are another body")
		}
		// The position inside a shard is no field of the encoded block.
		if !b.First {
			noisy := *b
			noisy.At, noisy.Keys = 99, 99
			if !bytes.Equal(rdb.AppendBlock(nil, &noisy), body) {
				t.Error("At or Keys of a later block are encoded")
			}
		}
	}
}

func TestBlockIsRefused(t *testing.T) {
	s := newSample(33, 1, 100, 300)
	first, later := rdb.AppendBlock(nil, s.blocks[0]), rdb.AppendBlock(nil, s.blocks[1])
	le := binary.LittleEndian
	for _, c := range []struct {
		name   string
		body   []byte
		mutate func(b []byte)
		want   error
	}{
		{"an algorithm that there is none of", first, func(b []byte) { b[0] |= 12 }, rdb.ErrVersion},
		{"the lowest reserved flag", first, func(b []byte) { b[0] |= 16 }, rdb.ErrVersion},
		{"the highest flag", first, func(b []byte) { b[0] |= 128 }, rdb.ErrVersion},
		{"the reserved byte", first, func(b []byte) { b[1] = 1 }, rdb.ErrVersion},
		{"shard out of range", first, func(b []byte) { le.PutUint16(b[2:], rdb.MaxShards) }, rdb.ErrFormat},
		{"no count", first, func(b []byte) { le.PutUint32(b[4:], 0) }, rdb.ErrFormat},
		{"largest count", first, func(b []byte) { le.PutUint32(b[4:], 1<<32-1) }, rdb.ErrFormat},
		{"negative offset", first, func(b []byte) { le.PutUint64(b[8:], 1<<63) }, rdb.ErrFormat},
		{"negative keys", first, func(b []byte) { le.PutUint64(b[16:], 1<<63) }, rdb.ErrFormat},
		{"fewer keys than entries", first, func(b []byte) { le.PutUint64(b[16:], 0) }, rdb.ErrFormat},
		{"offset in a later block", later, func(b []byte) { b[8] = 1 }, rdb.ErrFormat},
		{"keys in a later block", later, func(b []byte) { b[16] = 1 }, rdb.ErrFormat},
	} {
		t.Run(c.name, func(t *testing.T) {
			body := slices.Clone(c.body)
			c.mutate(body)
			if _, err := rdb.ParseBlock(body); !errors.Is(err, c.want) {
				t.Errorf("ParseBlock: %v", err)
			}
			stream := slices.Concat(s.raw()[:12], part(1, rdb.AppendHeader(nil, s.header)))
			if &c.body[0] == &later[0] {
				stream = append(stream, part(2, first)...)
			}
			_, err := read(bytes.NewReader(append(stream, part(2, body)...)))
			wantReadError(t, err, c.want)
		})
	}
	for n := range 24 {
		if _, err := rdb.ParseBlock(first[:n]); !errors.Is(err, rdb.ErrFormat) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

// A block beyond the limit is refused before a byte of it is written.
func TestBlockBeyondTheLimit(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 256 MiB of address space")
	}
	data := make([]byte, rdb.MaxBlockBytes-23) // never touched, so never resident
	b := &rdb.Block{First: true, Last: true, Keys: 1, Count: 1, Data: data}
	s := newSample(34, 1, 0, 0)
	b.At = s.header.Position.Offset
	w, err := rdb.NewWriter(io.Discard, s.header)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.WriteBlock(b); !errors.Is(err, rdb.ErrFormat) {
		t.Errorf("a byte too many: %v", err)
	}
}

func TestFooterBody(t *testing.T) {
	f := rdb.Footer{Position: backlog.Position{History: history(3), Offset: 1 << 40}, Keys: 1 << 50, Sum: math.MaxUint64}
	body := rdb.AppendFooter(nil, f)
	if got, err := rdb.ParseFooter(body); err != nil || got != f || len(body) != rdb.FooterBytes {
		t.Errorf("got %+v, %v from %d bytes", got, err, len(body))
	}
	for n := range body {
		if _, err := rdb.ParseFooter(body[:n]); !errors.Is(err, rdb.ErrFormat) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	for name, g := range map[string]rdb.Footer{
		"no history":      {Position: backlog.Position{Offset: 1}},
		"negative offset": {Position: backlog.Position{History: history(3), Offset: -1}},
		"negative keys":   {Position: f.Position, Keys: -1},
	} {
		if _, err := rdb.ParseFooter(rdb.AppendFooter(nil, g)); !errors.Is(err, rdb.ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := rdb.ParseFooter(append(body, 0)); !errors.Is(err, rdb.ErrFormat) {
		t.Errorf("a byte too many: %v", err)
	}
}

func TestShardSet(t *testing.T) {
	var s rdb.ShardSet
	for i := 0; i < rdb.MaxShards; i += 7 {
		s.Add(i)
	}
	for i := range rdb.MaxShards {
		if s.Has(i) != (i%7 == 0) {
			t.Errorf("Has(%d) = %v", i, s.Has(i))
		}
	}
}
