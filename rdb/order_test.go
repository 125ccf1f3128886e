package rdb_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/rdb"
)

// Streams whose every part is sound, and which as a whole are not. What a Reader
// refuses a Writer refuses to write, except for the sum and the entries, which it
// does not read.
var disorders = []struct {
	name      string
	mutate    func(s *sample)
	says      string // part of the error
	want      error  // nil for ErrFormat
	unnoticed bool   // by a Writer
}{
	{name: "an empty shard is missing", says: "3 of 4 shards", mutate: func(s *sample) {
		*s = *newSample(11, 4, 0, 400)
		s.blocks = s.blocks[1:]
	}},
	{name: "an early block holds more than its shard", says: "shard 0 misses its number of entries by -", mutate: func(s *sample) {
		s.blocks[0].Keys = s.blocks[0].Count
	}},
	{name: "a shard is missing", says: "3 of 4 shards", mutate: func(s *sample) {
		s.blocks = slices.DeleteFunc(s.blocks, func(b *rdb.Block) bool { return b.Shard == 1 })
	}},
	{name: "all blocks are missing", says: "0 of 4 shards", mutate: func(s *sample) { s.blocks = nil }},
	{name: "a first block is missing", says: "shard 0 does not begin", mutate: func(s *sample) { s.blocks = s.blocks[1:] }},
	{name: "a last block is missing", says: "3 of 4 shards", mutate: func(s *sample) { s.blocks = s.blocks[:len(s.blocks)-1] }},
	{name: "a middle block is missing", says: "shard 0 misses its number", mutate: func(s *sample) { s.blocks = slices.Delete(s.blocks, 4, 5) }},
	{name: "a first block is repeated", says: "shard 0 begins twice", mutate: func(s *sample) { s.blocks = slices.Insert(s.blocks, 4, s.blocks[0]) }},
	{name: "a middle block is repeated", says: "shard 0 misses its number", mutate: func(s *sample) { s.blocks = slices.Insert(s.blocks, 9, s.blocks[4]) }},
	{name: "a last block is repeated", says: "goes on after its last", mutate: func(s *sample) { s.blocks = append(s.blocks, s.blocks[len(s.blocks)-1]) }},
	{name: "a middle block comes first", says: "shard 0 does not begin", mutate: func(s *sample) { s.blocks[0], s.blocks[4] = s.blocks[4], s.blocks[0] }},
	{name: "the last block comes early", says: "misses its number", mutate: func(s *sample) {
		n := len(s.blocks) - 1
		s.blocks[4], s.blocks[n] = s.blocks[n], s.blocks[4]
	}},
	{name: "a block after the last", says: "goes on after its last", mutate: func(s *sample) { s.blocks = append(s.blocks, &rdb.Block{Shard: 1}) }},
	{name: "a shard out of range", says: "shard 4 of 4", mutate: func(s *sample) { s.blocks[1].Shard = 4 }},
	{name: "a shard beyond every table", says: "shard 1024, limit", mutate: func(s *sample) { s.blocks[1].Shard = rdb.MaxShards }},
	{name: "a shard claims fewer keys", says: "shard 1 misses its number of entries by -1", mutate: func(s *sample) { s.blocks[1].Keys-- }},
	{name: "a shard claims more keys", says: "shard 1 misses its number of entries by 1", mutate: func(s *sample) { s.blocks[1].Keys++ }},
	{name: "a shard claims fewer keys than its first block", says: "of 0 entries", mutate: func(s *sample) { s.blocks[1].Keys = 0 }},
	{name: "a shard stands elsewhere", says: "shard 1 stands at offset 1000001", mutate: func(s *sample) { s.blocks[1].At++ }},
	{name: "a shard stands before the log", says: "up to offset -1", mutate: func(s *sample) { s.blocks[1].At = -1 }},
	{name: "a count without data", says: "entries in 0 bytes", mutate: func(s *sample) { s.blocks[4].Data = nil }},
	{name: "data without a count", says: "with 0 entries", mutate: func(s *sample) { s.blocks[4].Count = 0 }},
	{name: "a count too large for the data", says: " entries in ", mutate: func(s *sample) { s.blocks[4].Count = len(s.blocks[4].Data) }},
	{name: "footer with fewer keys", says: "200 entries, footer says 199", mutate: func(s *sample) { s.footer.Keys-- }},
	{name: "footer with more keys", says: "200 entries, footer says 201", mutate: func(s *sample) { s.footer.Keys++ }},
	{name: "footer at another offset", says: "footer says", mutate: func(s *sample) { s.footer.Position.Offset++ }},
	{name: "footer in another history", says: "footer says", mutate: func(s *sample) { s.footer.Position.History = history(40) }},
	{name: "footer in no history", says: "00000000", mutate: func(s *sample) { s.footer.Position.History = backlog.History{} }},

	{name: "footer with another sum", says: "sum of the entries", want: rdb.ErrChecksum, unnoticed: true, mutate: func(s *sample) { s.footer.Sum++ }},
	{name: "a count off by one", says: "shard 0 holds", want: rdb.ErrFormat, unnoticed: true, mutate: func(s *sample) {
		s.blocks[0].Count, s.blocks[4].Count = s.blocks[0].Count+1, s.blocks[4].Count-1
	}},
	{name: "a changed value", says: "sum of the entries", want: rdb.ErrChecksum, unnoticed: true, mutate: func(s *sample) {
		b := s.blocks[4]
		b.Data = slices.Clone(b.Data)
		b.Data[len(b.Data)-1] ^= 1
	}},
	{name: "another block's entries", says: "sum of the entries", want: rdb.ErrChecksum, unnoticed: true, mutate: func(s *sample) {
		s.blocks[8].Data, s.blocks[8].Count = s.blocks[4].Data, s.blocks[4].Count
		for _, b := range s.blocks[:4] {
			if b.Shard == s.blocks[8].Shard {
				b.Keys = s.keysOf(b.Shard)
			}
		}
		s.footer.Keys = int64(s.keysOf(-1))
	}},
	{name: "a record that is no entry", says: "no entry in", want: rdb.ErrEntry, unnoticed: true, mutate: func(s *sample) {
		b := s.blocks[4]
		b.Data = slices.Clone(b.Data)
		b.Data[1] = 3 // a kind that only logs have
	}},
	{name: "a record that is cut", says: "malformed", want: rdb.ErrEntry, unnoticed: true, mutate: func(s *sample) {
		b := s.blocks[4]
		b.Data = b.Data[:len(b.Data)-1]
	}},
}

// keysOf returns how many entries the blocks of a shard hold, or all blocks if
// shard is negative.
func (s *sample) keysOf(shard int) (n int) {
	for _, b := range s.blocks {
		if shard < 0 || b.Shard == shard {
			n += b.Count
		}
	}
	return n
}

func newDisorder(mutate func(*sample)) *sample {
	s := newSample(11, 4, 200, 400)
	mutate(s)
	return s
}

func TestReaderRefusesDisorder(t *testing.T) {
	if _, err := read(bytes.NewReader(newDisorder(func(*sample) {}).raw())); err != nil {
		t.Fatalf("sound stream: %v", err)
	}
	for _, c := range disorders {
		t.Run(c.name, func(t *testing.T) {
			want := c.want
			if want == nil {
				want = rdb.ErrFormat
			}
			got, err := read(bytes.NewReader(newDisorder(c.mutate).raw()))
			wantReadError(t, err, want)
			if !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v does not say %q", err, c.says)
			}
			if !errors.Is(err, rdb.ErrFormat) && !errors.Is(err, rdb.ErrChecksum) {
				t.Errorf("%v is neither ErrFormat nor ErrChecksum", err)
			}
			if got.footer != (rdb.Footer{}) {
				t.Errorf("footer %+v of a snapshot that is not whole", got.footer)
			}
		})
	}
}

func TestWriterRefusesDisorder(t *testing.T) {
	for _, c := range disorders {
		t.Run(c.name, func(t *testing.T) {
			var buf bytes.Buffer
			err := newDisorder(c.mutate).writeTo(&buf)
			if c.unnoticed && err != nil {
				t.Errorf("got %v: the Writer reads entries now, say so", err)
			}
			if !c.unnoticed && !errors.Is(err, rdb.ErrFormat) {
				t.Errorf("got %v, want ErrFormat", err)
			}
			if _, err := read(&buf); err == nil {
				t.Error("what was written reads as a whole snapshot")
			}
		})
	}
}

func TestFooterCountsBlocks(t *testing.T) {
	s := newSample(12, 2, 50, 300)
	stream := s.raw()
	body := stream[len(stream)-rdb.FooterBytes-8:]
	for _, n := range []byte{0, body[rdb.FooterBytes] + 1, body[rdb.FooterBytes] - 1} {
		lie := slices.Clone(body)
		lie[rdb.FooterBytes] = n
		_, err := read(bytes.NewReader(append(stream[:len(stream)-len(body)-9:len(stream)-len(body)-9], part(3, lie)...)))
		wantReadError(t, err, rdb.ErrFormat)
	}
}

func TestNothingFollowsTheFooter(t *testing.T) {
	stream := newSample(12, 2, 50, 300).raw()
	for name, more := range map[string][]byte{"zero": {0}, "itself": stream, "footer": stream[len(stream)-57:]} {
		_, err := read(bytes.NewReader(append(slices.Clip(stream), more...)))
		if re := wantReadError(t, err, rdb.ErrFormat); re.Offset != int64(len(stream)) {
			t.Errorf("%s: offset %d, want %d", name, re.Offset, len(stream))
		}
	}
}

// A shard that outgrows its claim is refused there and then, not at its end: a
// loader has made room for what was claimed.
func TestShardOutgrowsItsClaim(t *testing.T) {
	s := newSample(11, 4, 200, 400)
	s.blocks[0].Keys = s.blocks[0].Count
	got, err := read(bytes.NewReader(s.raw()))
	wantReadError(t, err, rdb.ErrFormat)
	if len(got.blocks) != 4 || s.blocks[4].Shard != 0 || s.blocks[4].Last {
		t.Errorf("refused after %d blocks, want 4", len(got.blocks))
	}
}
