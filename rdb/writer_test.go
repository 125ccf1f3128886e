package rdb_test

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"reflect"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/emberkv/ember/rdb"
)

func TestRoundTrip(t *testing.T) {
	for _, c := range []struct{ shards, keys, blockBytes int }{
		{1, 0, 100}, {1, 1, 100}, {64, 10, 100}, {8, 500, 1 << 10}, {2, 20_000, rdb.DefaultBlockBytes}, {1, 9_000, 1 << 30},
	} {
		s := newSample(3, c.shards, c.keys, c.blockBytes)
		stream := s.written(t)
		if !bytes.Equal(stream, s.raw()) {
			t.Errorf("%+v: stream is not what FORMAT.md says", c)
		}
		for name, r := range map[string]io.Reader{
			"whole":     bytes.NewReader(stream),
			"one byte":  iotest.OneByteReader(bytes.NewReader(stream)),
			"half":      iotest.HalfReader(bytes.NewReader(stream)),
			"data, EOF": iotest.DataErrReader(bytes.NewReader(stream)),
		} {
			got, err := read(r)
			if err != nil {
				t.Fatalf("%+v, %s: %v", c, name, err)
			}
			if !reflect.DeepEqual(got.header, s.header) || got.footer != s.footer {
				t.Errorf("%+v, %s: got %+v, %+v", c, name, got.header, got.footer)
			}
			if len(got.blocks) != len(s.blocks) {
				t.Fatalf("%+v, %s: got %d blocks, want %d", c, name, len(got.blocks), len(s.blocks))
			}
			if m := got.contents(t); !maps.Equal(m, s.entries) {
				t.Errorf("%+v, %s: entries differ", c, name)
			}
		}
	}
}

// Blocks are the caller's: neither the next call nor a change to one of them
// reaches another.
func TestBlocksAreFresh(t *testing.T) {
	s := newSample(4, 2, 300, 200)
	got, err := read(bytes.NewReader(s.written(t)))
	if err != nil {
		t.Fatal(err)
	}
	for i, b := range got.blocks {
		if !bytes.Equal(b.Data, s.blocks[i].Data) {
			t.Fatalf("block %d was overwritten", i)
		}
		clear(b.Data)
		_ = append(b.Data, 0xff)
	}
}

func TestConcurrentWriteBlock(t *testing.T) {
	s := newSample(5, 16, 4_000, 700)
	var buf bytes.Buffer
	w, err := rdb.NewWriter(&buf, s.header)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for shard := range s.header.Shards {
		wg.Go(func() {
			for _, b := range s.blocks {
				if b.Shard != shard {
					continue
				}
				if err := w.WriteBlock(b); err != nil {
					t.Errorf("shard %d: %v", shard, err)
				}
			}
		})
	}
	wg.Wait()
	if err := w.Close(s.footer); err != nil {
		t.Fatal(err)
	}
	got, err := read(&buf)
	if err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(got.contents(t), s.entries) {
		t.Error("entries differ")
	}
}

// A sink records what it is given. It fails, or is short, from its n-th call on.
type sink struct {
	calls   [][]byte
	failing int // number of the first call that fails; 0 for none
	err     error
	short   int // bytes fewer than given that the failing call claims
}

func (s *sink) Write(b []byte) (int, error) {
	s.calls = append(s.calls, b)
	if s.failing > 0 && len(s.calls) >= s.failing {
		return len(b) - min(s.short, len(b)), s.err
	}
	return len(b), nil
}

func TestLargeDataAreNotCopied(t *testing.T) {
	s := newSample(6, 1, 3_000, rdb.DefaultBlockBytes)
	var out sink
	if err := s.writeTo(&out); err != nil {
		t.Fatal(err)
	}
	data := s.blocks[0].Data
	for _, call := range out.calls {
		if len(call) == len(data) && &call[0] == &data[0] {
			return
		}
	}
	t.Errorf("no write was handed the %d bytes of the block themselves", len(data))
}

// Whichever write fails, the error arrives, stays, and is the sink's.
func TestWriterRemembersItsFirstError(t *testing.T) {
	broken := errors.New("broken sink")
	s := newSample(7, 4, 2_000, 20<<10)
	var all sink
	if err := s.writeTo(&all); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		sink sink
		want error
	}{
		{"error", sink{err: broken, short: 1}, broken},
		{"short write", sink{short: 1}, io.ErrShortWrite},
		{"nothing written", sink{short: 1 << 30}, io.ErrShortWrite},
	} {
		for n := 1; n <= len(all.calls); n++ {
			out := c.sink
			out.failing = n
			if err := s.writeTo(&out); !errors.Is(err, c.want) {
				t.Fatalf("%s in write %d: got %v", c.name, n, err)
			}
		}
		out := c.sink
		out.failing = 2
		w, err := rdb.NewWriter(&out, s.header)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range s.blocks {
			err = w.WriteBlock(b)
		}
		if !errors.Is(err, c.want) || w.Close(s.footer) != err || len(out.calls) != 2 {
			t.Errorf("%s: error did not stay, or the sink was called %d times", c.name, len(out.calls))
		}
	}
}

// A block that was refused is missing, so the snapshot cannot be completed.
func TestRefusedBlockEndsTheWriter(t *testing.T) {
	s := newSample(10, 2, 50, 300)
	w, err := rdb.NewWriter(io.Discard, s.header)
	if err != nil {
		t.Fatal(err)
	}
	first := w.WriteBlock(&rdb.Block{Shard: 2})
	if !errors.Is(first, rdb.ErrFormat) {
		t.Fatalf("got %v", first)
	}
	for _, b := range s.blocks {
		if err := w.WriteBlock(b); err != first {
			t.Fatalf("got %v, want the first error again", err)
		}
	}
	if err := w.Close(s.footer); err != first {
		t.Errorf("Close: %v, want the first error again", err)
	}
}

func TestWriterIsClosed(t *testing.T) {
	s := newSample(8, 1, 1, 100)
	var buf bytes.Buffer
	w, err := rdb.NewWriter(&buf, s.header)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.WriteBlock(s.blocks[0]); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(s.footer); err != nil {
		t.Fatal(err)
	}
	n := buf.Len()
	if err := w.WriteBlock(s.blocks[0]); err != rdb.ErrClosed {
		t.Errorf("WriteBlock after Close: %v", err)
	}
	if err := w.Close(s.footer); err != rdb.ErrClosed {
		t.Errorf("second Close: %v", err)
	}
	if buf.Len() != n {
		t.Errorf("%d bytes after the footer", buf.Len()-n)
	}
}

// The receiver of a stream learns of the header before the first block exists.
func TestHeaderGoesOutAtOnce(t *testing.T) {
	s := newSample(9, 1, 1, 100)
	var buf bytes.Buffer
	if _, err := rdb.NewWriter(&buf, s.header); err != nil {
		t.Fatal(err)
	}
	r, err := rdb.NewReader(&buf)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(r.Header(), s.header) {
		t.Errorf("got %+v", r.Header())
	}
	_, err = r.Next()
	wantReadError(t, err, io.ErrUnexpectedEOF)
}
