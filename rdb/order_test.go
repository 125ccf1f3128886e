package rdb_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/emberkv/ember/rdb"
)

// Streams whose every part is sound, and which as a whole are not. What a Reader
// refuses a Writer refuses to write, except for the sum and the entries, which it
// does not read.
var disorders = []struct {
	name      string
	mutate    func(s *sample)
	want      error
	unnoticed bool // by a Writer
}{
	{name: "a shard is missing", mutate: func(s *sample) {
		s.blocks = slices.DeleteFunc(s.blocks, func(b *rdb.Block) bool { return b.Shard == 1 })
	}},
	{name: "all blocks are missing", mutate: func(s *sample) { s.blocks = nil }},
	{name: "a first block is missing", mutate: func(s *sample) { s.blocks = s.blocks[1:] }},
	{name: "a last block is missing", mutate: func(s *sample) { s.blocks = s.blocks[:len(s.blocks)-1] }},
	{name: "a middle block is missing", mutate: func(s *sample) { s.blocks = slices.Delete(s.blocks, 4, 5) }},
	{name: "a first block is repeated", mutate: func(s *sample) { s.blocks = slices.Insert(s.blocks, 4, s.blocks[0]) }},
	{name: "a middle block is repeated", mutate: func(s *sample) { s.blocks = slices.Insert(s.blocks, 9, s.blocks[4]) }},
	{name: "a last block is repeated", mutate: func(s *sample) { s.blocks = append(s.blocks, s.blocks[len(s.blocks)-1]) }},
	{name: "a middle block comes first", mutate: func(s *sample) { s.blocks[0], s.blocks[4] = s.blocks[4], s.blocks[0] }},
	{name: "the last block comes early", mutate: func(s *sample) {
		n := len(s.blocks) - 1
		s.blocks[4], s.blocks[n] = s.blocks[n], s.blocks[4]
	}},
	{name: "a block after the last", mutate: func(s *sample) { s.blocks = append(s.blocks, &rdb.Block{Shard: 1}) }},
	{name: "a shard out of range", mutate: func(s *sample) { s.blocks[1].Shard = 4 }},
	{name: "a shard beyond every table", mutate: func(s *sample) { s.blocks[1].Shard = rdb.MaxShards }},
	{name: "a shard claims fewer keys", mutate: func(s *sample) { s.blocks[1].Keys-- }},
	{name: "a shard claims more keys", mutate: func(s *sample) { s.blocks[1].Keys++ }},
	{name: "a shard claims fewer keys than its first block", mutate: func(s *sample) { s.blocks[1].Keys = 0 }},
	{name: "a shard stands elsewhere", mutate: func(s *sample) { s.blocks[1].At++ }},
	{name: "a shard stands before the log", mutate: func(s *sample) { s.blocks[1].At = -1 }},
	{name: "a count without data", mutate: func(s *sample) { s.blocks[4].Data = nil }},
	{name: "data without a count", mutate: func(s *sample) { s.blocks[4].Count = 0 }},
	{name: "a count too large for the data", mutate: func(s *sample) { s.blocks[4].Count = len(s.blocks[4].Data) }},
	{name: "footer with fewer keys", mutate: func(s *sample) { s.footer.Keys-- }},
	{name: "footer with more keys", mutate: func(s *sample) { s.footer.Keys++ }},
	{name: "footer at another offset", mutate: func(s *sample) { s.footer.Position.Offset++ }},
	{name: "footer in another history", mutate: func(s *sample) { s.footer.Position.History = history(40) }},

	{name: "footer with another sum", want: rdb.ErrChecksum, unnoticed: true, mutate: func(s *sample) { s.footer.Sum++ }},
	{name: "a count off by one", want: rdb.ErrFormat, unnoticed: true, mutate: func(s *sample) {
		s.blocks[0].Count, s.blocks[4].Count = s.blocks[0].Count+1, s.blocks[4].Count-1
	}},
	{name: "a changed value", want: rdb.ErrChecksum, unnoticed: true, mutate: func(s *sample) {
		b := s.blocks[4]
		b.Data = slices.Clone(b.Data)
		b.Data[len(b.Data)-1] ^= 1
	}},
	{name: "another block's entries", want: rdb.ErrChecksum, unnoticed: true, mutate: func(s *sample) {
		s.blocks[8].Data, s.blocks[8].Count = s.blocks[4].Data, s.blocks[4].Count
		for _, b := range s.blocks[:4] {
			if b.Shard == s.blocks[8].Shard {
				b.Keys = s.keysOf(b.Shard)
			}
		}
		s.footer.Keys = int64(s.keysOf(-1))
	}},
	{name: "a record that is no entry", want: rdb.ErrEntry, unnoticed: true, mutate: func(s *sample) {
		b := s.blocks[4]
		b.Data = slices.Clone(b.Data)
		b.Data[1] = 3 // a kind that only logs have
	}},
	{name: "a record that is cut", want: rdb.ErrEntry, unnoticed: true, mutate: func(s *sample) {
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
