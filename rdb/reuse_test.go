package rdb_test

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"slices"
	"testing"

	"github.com/emberkv/ember/rdb"
)

// Blocks that are read into the memory of earlier ones are the same blocks, whatever lay
// there, and however small it was.
func TestReuse(t *testing.T) {
	s := newJSON(90, 4, 2000, 20<<10)
	for _, c := range []rdb.Compression{rdb.None, rdb.S2} {
		stream := s.compressed(t, c)
		want, err := read(bytes.NewReader(stream))
		if err != nil {
			t.Fatal(err)
		}
		r, err := rdb.NewReader(bytes.NewReader(stream))
		if err != nil {
			t.Fatal(err)
		}
		var got []*rdb.Block
		memory, reused := bytes.Repeat([]byte{0xa5}, 40<<10), 0
		for {
			b, err := r.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(b.Data) > 0 && &b.Data[0] == &memory[0] {
				reused++
			}
			copied := *b
			copied.Data = slices.Clone(b.Data)
			got = append(got, &copied)
			if len(got)%3 == 0 {
				r.Reuse(make([]byte, 10)) // of no use
				continue
			}
			for i := range memory {
				memory[i] = 0xa5
			}
			r.Reuse(memory)
		}
		if !reflect.DeepEqual(got, want.blocks) {
			t.Errorf("%v: read as something else", c)
		}
		if reused < len(got)/2 {
			t.Errorf("%v: %d of %d blocks lie in the memory that was given", c, reused, len(got))
		}
	}
}

// NextUnread leaves to its caller what is in the entries, and only that.
func TestNextUnread(t *testing.T) {
	unread := func(stream []byte) error {
		r, err := rdb.NewReader(bytes.NewReader(stream))
		for err == nil {
			_, err = r.NextUnread()
		}
		if err == io.EOF {
			return nil
		}
		return err
	}
	s := newSample(91, 4, 100, 700)
	s.blocks[1].Data[1] = 99 // no entry
	s.footer.Sum++
	stream := s.raw()
	if _, err := read(bytes.NewReader(stream)); !errors.Is(err, rdb.ErrFormat) {
		t.Errorf("Next: %v", err)
	}
	if err := unread(stream); err != nil {
		t.Errorf("NextUnread has read an entry: %v", err)
	}
	for i := 0; i < len(stream); i += 3 {
		stream[i] ^= 4
		if err := unread(stream); err == nil {
			t.Fatalf("byte %d is wrong, and was read as right", i)
		}
		stream[i] ^= 4
	}
}
