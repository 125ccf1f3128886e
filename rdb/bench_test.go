package rdb_test

import (
	"bytes"
	"fmt"
	"io"
	"testing"

	"github.com/emberkv/ember/rdb"
)

// newBench returns a state like that of an ordinary service: keys of 16 bytes,
// values of 100, in 128 shards.
func newBench(b *testing.B) (*sample, []byte) {
	const shards, keys = 128, 200_000
	s := newSample(60, shards, 0, 0)
	s.blocks = nil
	perShard := make([][]entry, shards)
	value := randomText(newRand(61), 100)
	for i := range keys {
		e := entry{key: fmt.Sprintf("key:%012d", i), value: value}
		perShard[i%shards] = append(perShard[i%shards], e)
		s.footer.Sum += rdb.EntrySum(e.key, []byte(e.value), 0)
	}
	s.footer.Keys = keys
	for i, entries := range perShard {
		s.blocks = append(s.blocks, blocksOf(i, s.header.Position.Offset, entries, rdb.DefaultBlockBytes)...)
	}
	return s, s.written(b)
}

func BenchmarkWriter(b *testing.B) {
	s, stream := newBench(b)
	b.SetBytes(int64(len(stream)))
	b.ReportAllocs()
	for b.Loop() {
		if err := s.writeTo(io.Discard); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(s.footer.Keys), "ns/entry")
}

func BenchmarkReader(b *testing.B) {
	s, stream := newBench(b)
	b.SetBytes(int64(len(stream)))
	b.ReportAllocs()
	for b.Loop() {
		r, err := rdb.NewReader(bytes.NewReader(stream))
		for err == nil {
			_, err = r.Next()
		}
		if err != io.EOF {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(s.footer.Keys), "ns/entry")
}

// Values like JSON; the rate is that of the uncompressed stream.
func BenchmarkCompressed(b *testing.B) {
	s := newJSON(62, 128, 20_000, rdb.DefaultBlockBytes)
	plain := int64(len(s.written(b)))
	for _, c := range []rdb.Compression{rdb.S2, rdb.Zstd} {
		b.Run(c.String()+"/write", func(b *testing.B) {
			b.SetBytes(plain)
			b.ReportAllocs()
			for b.Loop() {
				if err := s.compressTo(io.Discard, c); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(plain)/float64(len(s.compressed(b, c))), "ratio")
		})
		b.Run(c.String()+"/read", func(b *testing.B) {
			stream := s.compressed(b, c)
			b.SetBytes(plain)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := read(bytes.NewReader(stream)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkBlockSum(b *testing.B) {
	s, _ := newBench(b)
	block := s.blocks[0]
	b.SetBytes(int64(len(block.Data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := block.Sum(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(block.Count), "ns/entry")
}

func BenchmarkEntries(b *testing.B) {
	s, _ := newBench(b)
	block := s.blocks[0]
	b.SetBytes(int64(len(block.Data)))
	b.ReportAllocs()
	for b.Loop() {
		for _, err := range block.Entries() {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(block.Count), "ns/entry")
}

func BenchmarkPutEntry(b *testing.B) {
	value := bytes.Repeat([]byte("v"), 100)
	dst := make([]byte, rdb.EntrySize(16, len(value), 0))
	b.SetBytes(int64(len(dst)))
	b.ReportAllocs()
	for b.Loop() {
		rdb.PutEntry(dst, "key:000000000001", value, 0)
	}
}
