package backlog_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/emberkv/ember/backlog"
)

func FuzzCutRecord(f *testing.F) {
	for _, n := range []int{0, 1, 127, 128, 300} {
		whole := backlog.AppendRecord(nil, make([]byte, n))
		f.Add(append(whole, 1, 2, 3))
		f.Add(whole[:len(whole)-1])
		for bit := range 24 {
			b := append(bytes.Clone(whole), 0, 0, 0)
			b[bit/8] ^= 1 << (bit % 8)
			f.Add(b)
		}
	}
	f.Add(binary.AppendUvarint(nil, backlog.MaxRecordBytes+1))
	f.Add(bytes.Repeat([]byte{0x80}, 12))
	f.Fuzz(func(t *testing.T, b []byte) {
		payload, rest, err := backlog.CutRecord(b)
		if err != nil {
			if !errors.Is(err, backlog.ErrRecord) || payload != nil || rest != nil {
				t.Fatalf("%x: %x, %x, %v", b, payload, rest, err)
			}
			return
		}
		// What is taken is what would be written, to the byte.
		if again := append(backlog.AppendRecord(nil, payload), rest...); !bytes.Equal(again, b) {
			t.Fatalf("%x is written as %x", b, again)
		}
	})
}

func FuzzParsePosition(f *testing.F) {
	f.Add(digits + "-0")
	f.Add(digits + "-4611686018427387904")
	f.Add(digits + "-4611686018427387905")
	f.Add(digits + "-007")
	f.Add(digits)
	f.Add("-")
	f.Fuzz(func(t *testing.T, s string) {
		p, err := backlog.ParsePosition(s)
		if err != nil {
			if !errors.Is(err, backlog.ErrText) || !p.IsZero() {
				t.Fatalf("%q: %s, %v", s, p, err)
			}
			return
		}
		if p.String() != s || p.Offset < 0 || p.Offset > backlog.MaxOffset {
			t.Fatalf("%q is written as %s", s, p)
		}
	})
}

func FuzzCutLineage(f *testing.F) {
	for _, n := range []int{0, 1, 3, 32} {
		l, end := forked(n)
		b, _ := l.AppendBinary(nil)
		f.Add(b, end)
		f.Add(append(b, 0xff), int64(50))
		f.Add(b[:len(b)-1], end)
	}
	f.Add(make([]byte, 41), int64(-1))
	f.Add(bytes.Repeat([]byte{0xff}, 41+255*24), int64(1<<62))
	f.Fuzz(func(t *testing.T, b []byte, end int64) {
		l, rest, err := backlog.CutLineage(b, end)
		if err != nil {
			if !errors.Is(err, backlog.ErrText) || rest != nil || l.Earlier != nil {
				t.Fatalf("%x: %v, %v", b, l, err)
			}
			return
		}
		again, _ := l.AppendBinary(nil)
		if !bytes.Equal(append(again, rest...), b) {
			t.Fatalf("%x is written as %x", b, again)
		}
		// Whatever it says, the decisions that are made of it hold: a
		// log of that lineage may go on from its own end.
		log := backlog.NewLogAt(l, end, nil)
		if _, refusal := log.Continue(l, end); refusal != backlog.Accepted {
			t.Fatalf("%v at %d cannot go on from itself: %s", l, end, refusal)
		}
		if at := l.At(end / 2); at.Validate(end/2) != nil {
			t.Fatalf("%v is not valid half-way of %d", at, end)
		}
	})
}
