package backlog_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/emberkv/ember/backlog"
)

func TestRecordRoundTrip(t *testing.T) {
	for _, n := range []int{0, 1, 126, 127, 128, 129, 16383, 16384, 1<<21 - 1, 1 << 21} {
		payload := bytes.Repeat([]byte{0xab}, n)
		b := backlog.AppendRecord([]byte("before"), payload)
		if over := len(b) - 6 - n; over < 1 || over > backlog.MaxFrameOverhead {
			t.Errorf("payload of %d: %d bytes of frame", n, over)
		}
		b = append(b, "behind"...)
		got, rest, err := backlog.CutRecord(b[6:])
		if err != nil || !bytes.Equal(got, payload) || string(rest) != "behind" {
			t.Fatalf("payload of %d: got %d bytes, rest %q, %v", n, len(got), rest, err)
		}
		if cap(got) != n {
			t.Errorf("payload of %d: an append to it would overwrite the next record", n)
		}
		// Every truncation is refused.
		for _, short := range []int{0, 1, 2, n / 2, n - 1, len(b) - 13} {
			if short < 0 || short >= len(b)-12 {
				continue
			}
			if _, _, err := backlog.CutRecord(b[6 : 6+short]); !errors.Is(err, backlog.ErrRecord) {
				t.Errorf("payload of %d, %d bytes of it: %v", n, short, err)
			}
		}
	}
}

func TestCutRecordRefuses(t *testing.T) {
	for name, b := range map[string][]byte{
		"nothing":                nil,
		"length without end":     {0x80},
		"length of six bytes":    {0x80, 0x80, 0x80, 0x80, 0x80, 0x01, 0},
		"length of eleven bytes": bytes.Repeat([]byte{0xff}, 11),
		"zero in two bytes":      {0x80, 0x00},
		"five in two bytes":      {0x85, 0x00, 1, 2, 3, 4, 5},
		"short by one":           {5, 1, 2, 3, 4},
		"limit, nothing there":   binary.AppendUvarint(nil, backlog.MaxRecordBytes),
		"beyond the limit":       binary.AppendUvarint(nil, backlog.MaxRecordBytes+1),
		"largest of five bytes":  {0xff, 0xff, 0xff, 0xff, 0x7f},
	} {
		payload, rest, err := backlog.CutRecord(b)
		if !errors.Is(err, backlog.ErrRecord) || payload != nil || rest != nil {
			t.Errorf("%s: %x, %x, %v", name, payload, rest, err)
		}
	}
}

// A record that no reader could cut must not get into a log, and is not taken
// from outside although it is all there.
func TestRecordBeyondLimit(t *testing.T) {
	b := make([]byte, backlog.MaxRecordBytes+1+backlog.MaxFrameOverhead)
	func() {
		defer func() {
			if recover() == nil {
				t.Error("no panic")
			}
		}()
		backlog.AppendRecord(nil, b[:backlog.MaxRecordBytes+1])
	}()
	binary.PutUvarint(b, backlog.MaxRecordBytes+1)
	if _, _, err := backlog.CutRecord(b); !errors.Is(err, backlog.ErrRecord) {
		t.Errorf("one byte more than the limit: %v", err)
	}
	binary.PutUvarint(b, backlog.MaxRecordBytes)
	if payload, rest, err := backlog.CutRecord(b); len(payload) != backlog.MaxRecordBytes || len(rest) != 1 || err != nil {
		t.Errorf("the limit: %d bytes, %v", len(payload), err)
	}
}

func TestCutRecordAllocatesNothing(t *testing.T) {
	b := framed(100, 0)
	if n := testing.AllocsPerRun(100, func() { backlog.CutRecord(b) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
