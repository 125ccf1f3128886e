package rdb_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/rdb"
)

// An entry is one of a sample, in a form that compares.
type entry struct {
	key, value string
	deadline   int64
}

// A sample is a small state with its snapshot in pieces, which tests break.
type sample struct {
	header  rdb.Header
	blocks  []*rdb.Block // of the shards in turn
	footer  rdb.Footer
	entries map[string]entry
}

// history is a fixed history, so that samples repeat.
func history(n byte) (h backlog.History) {
	for i := range h {
		h[i] = n + byte(i)
	}
	return h
}

// newSample returns a state of n entries in the given number of shards, in
// blocks of about blockBytes. The same arguments give the same state.
func newSample(seed uint64, shards, n, blockBytes int) *sample {
	return newSampleOf(func(rng *rand.Rand) string { return randomText(rng, rng.IntN(80)) }, seed, shards, n, blockBytes)
}

// newJSON is newSample with values that look like JSON.
func newJSON(seed uint64, shards, n, blockBytes int) *sample {
	return newSampleOf(func(rng *rand.Rand) string {
		return fmt.Sprintf(`{"id":%d,"name":"user %d","mail":"u%d@example.com","active":%t,"score":%d,"tags":["a","b"]}`,
			rng.IntN(1e6), rng.IntN(1e6), rng.IntN(1e6), rng.IntN(2) == 0, rng.IntN(1000))
	}, seed, shards, n, blockBytes)
}

func newSampleOf(value func(*rand.Rand) string, seed uint64, shards, n, blockBytes int) *sample {
	rng := newRand(seed)
	position := backlog.Position{History: history(7), Offset: 1_000_000}
	s := &sample{
		header: rdb.Header{
			Position: position,
			Lineage: backlog.Lineage{
				Current: position.History,
				Epoch:   backlog.Epoch{Counter: 3, Node: [16]byte{7, 7}},
				Earlier: []backlog.Fork{{History: history(40), End: 900_000}, {History: history(80), End: 17}},
			},
			Seed:          rng.Uint64(),
			Shards:        shards,
			RecordVersion: rdb.RecordVersion,
			Keys:          int64(n),
		},
		footer:  rdb.Footer{Position: position, Keys: int64(n)},
		entries: map[string]entry{},
	}
	perShard := make([][]entry, shards)
	for i := range n {
		e := entry{key: fmt.Sprintf("key:%04d", i), value: value(rng)}
		if i%3 == 0 {
			e.deadline = 1_700_000_000_000 + rng.Int64N(1<<30)
		}
		s.entries[e.key] = e
		s.footer.Sum += rdb.EntrySum(e.key, []byte(e.value), e.deadline)
		shard := rng.IntN(shards)
		perShard[shard] = append(perShard[shard], e)
	}
	lists := make([][]*rdb.Block, shards)
	for i, entries := range perShard {
		lists[i] = blocksOf(i, position.Offset, entries, blockBytes)
	}
	for more := true; more; {
		more = false
		for i, list := range lists {
			if len(list) > 0 {
				s.blocks, lists[i], more = append(s.blocks, list[0]), list[1:], true
				s.header.Bytes += int64(len(list[0].Data))
			}
		}
	}
	return s
}

func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 1)) }

func randomText(rng *rand.Rand, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return string(b)
}

// encoded appends the entry's record to dst.
func (e entry) encoded(dst []byte) []byte {
	b := make([]byte, rdb.EntrySize(len(e.key), len(e.value), e.deadline))
	return append(dst, b[:rdb.PutEntry(b, e.key, []byte(e.value), e.deadline)]...)
}

// blocksOf returns the blocks of one shard.
func blocksOf(shard int, at int64, entries []entry, blockBytes int) []*rdb.Block {
	blocks := []*rdb.Block{{Shard: shard, First: true, At: at, Keys: len(entries)}}
	for _, e := range entries {
		b := blocks[len(blocks)-1]
		if len(b.Data) >= blockBytes {
			b = &rdb.Block{Shard: shard}
			blocks = append(blocks, b)
		}
		b.Data = e.encoded(b.Data)
		b.Count++
	}
	blocks[len(blocks)-1].Last = true
	return blocks
}

// writeTo writes the sample with a Writer.
func (s *sample) writeTo(w io.Writer) error { return s.compressTo(w, rdb.None) }

// compressTo writes the sample with a Writer that compresses.
func (s *sample) compressTo(w io.Writer, c rdb.Compression) error {
	sw, err := rdb.NewCompressedWriter(w, s.header, c)
	if err != nil {
		return err
	}
	for _, b := range s.blocks {
		if err := sw.WriteBlock(b); err != nil {
			return err
		}
	}
	return sw.Close(s.footer)
}

// written returns the stream of the sample.
func (s *sample) written(t testing.TB) []byte {
	t.Helper()
	var buf bytes.Buffer
	if err := s.writeTo(&buf); err != nil {
		t.Fatalf("write: %v", err)
	}
	return buf.Bytes()
}

// compressed returns the compressed stream of the sample.
func (s *sample) compressed(t testing.TB, c rdb.Compression) []byte {
	t.Helper()
	var buf bytes.Buffer
	if err := s.compressTo(&buf, c); err != nil {
		t.Fatalf("write: %v", err)
	}
	return buf.Bytes()
}

// part returns a part of a stream, framed as FORMAT.md says. It shares no code
// with the package, so it can write what a Writer refuses to.
func part(kind byte, body []byte) []byte {
	b := binary.LittleEndian.AppendUint32([]byte{kind}, uint32(len(body)))
	crc := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	crc.Write(b)
	crc.Write(body)
	b = binary.LittleEndian.AppendUint32(b, crc.Sum32())
	return append(b, body...)
}

// raw returns the stream of the sample without any of the Writer's checks.
func (s *sample) raw() []byte {
	b := []byte("EMBERRDB\x01\x00\x00\x00")
	b = append(b, part(1, rdb.AppendHeader(nil, s.header))...)
	for _, block := range s.blocks {
		b = append(b, part(2, rdb.AppendBlock(nil, block))...)
	}
	body := binary.LittleEndian.AppendUint64(rdb.AppendFooter(nil, s.footer), uint64(len(s.blocks)))
	return append(b, part(3, body)...)
}

// A reading is all that a Reader returns of a stream.
type reading struct {
	header rdb.Header
	blocks []*rdb.Block
	footer rdb.Footer
}

// read reads a stream to its end. The error is nil if that was io.EOF.
func read(r io.Reader) (*reading, error) {
	sr, err := rdb.NewReader(r)
	if err != nil {
		return nil, err
	}
	got := &reading{header: sr.Header()}
	for {
		b, err := sr.Next()
		if err != nil {
			if _, again := sr.Next(); again != err {
				return nil, fmt.Errorf("error did not stay: %v, then %v", err, again)
			}
			got.footer = sr.Footer()
			if err == io.EOF {
				err = nil
			}
			return got, err
		}
		got.blocks = append(got.blocks, b)
	}
}

// contents returns the entries of a reading.
func (r *reading) contents(t testing.TB) map[string]entry {
	t.Helper()
	m := map[string]entry{}
	for _, b := range r.blocks {
		for e, err := range b.Entries() {
			if err != nil {
				t.Fatalf("entries of shard %d: %v", b.Shard, err)
			}
			m[string(e.Key)] = entry{string(e.Key), string(e.Value), e.Deadline}
		}
	}
	return m
}

// wantReadError checks that err is a ReadError that wraps one of the targets.
func wantReadError(t testing.TB, err error, targets ...error) *rdb.ReadError {
	t.Helper()
	var re *rdb.ReadError
	if !errors.As(err, &re) {
		t.Fatalf("got error %v, want a ReadError", err)
	}
	for _, target := range targets {
		if errors.Is(err, target) {
			return re
		}
	}
	t.Fatalf("got error %v, want one of %v", err, targets)
	return nil
}
