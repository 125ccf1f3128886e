package rdb_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/rdb"
)

// The bytes are part of the format, and so are the sums.
func TestEntryGolden(t *testing.T) {
	for _, c := range []struct {
		entry
		hex string
		sum uint64
	}{
		{entry{"k", "", 0}, "0301016b", 0x9c85ae6dda9745a9},
		{entry{"key", "value", 0}, "0a01036b657976616c7565", 0xd539b53e44367777},
		{entry{"key", "value", 1_700_000_000_123}, "1202037b68e5cf8b0100006b657976616c7565", 0x122cd1eece338927},
		{entry{"k", strings.Repeat("v", 128), 0}, "830101016b" + strings.Repeat("76", 128), 0xbbfb4b4f2fb97c1c},
	} {
		b := c.encoded(nil)
		if got := hex.EncodeToString(b); got != c.hex {
			t.Errorf("%q: got %s, want %s", c.key, got, c.hex)
		}
		if got := rdb.EntrySum(c.key, []byte(c.value), c.deadline); got != c.sum {
			t.Errorf("%q, %q, %d: sum %#x, want %#x", c.key, c.value, c.deadline, got, c.sum)
		}
	}
}

func TestEntryRoundTrip(t *testing.T) {
	for _, keyLen := range []int{1, 2, 127, 128, 16383, 16384, rdb.MaxKeyBytes} {
		for _, valueLen := range []int{0, 1, 100, 127, 128, 16384, 300_000} {
			for _, deadline := range []int64{0, 1, 1 << 62} {
				in := entry{strings.Repeat("k", keyLen), strings.Repeat("v", valueLen), deadline}
				b := in.encoded(nil)
				if len(b) != rdb.EntrySize(keyLen, valueLen, deadline) {
					t.Fatalf("EntrySize is not what PutEntry writes")
				}
				e, size, err := rdb.CutEntry(append(b, "rest"...))
				if err != nil || size != len(b) {
					t.Fatalf("%d, %d, %d: size %d of %d, %v", keyLen, valueLen, deadline, size, len(b), err)
				}
				if out := (entry{string(e.Key), string(e.Value), e.Deadline}); out != in {
					t.Fatalf("%d, %d, %d: entry differs", keyLen, valueLen, deadline)
				}
				if e.Sum() != rdb.EntrySum(in.key, []byte(in.value), in.deadline) {
					t.Fatalf("%d, %d, %d: sum differs", keyLen, valueLen, deadline)
				}
				if cap(e.Key) != len(e.Key) || cap(e.Value) != len(e.Value) {
					t.Fatalf("an append to the key or the value would overwrite what follows")
				}
			}
		}
	}
}

func TestEntryIsRefused(t *testing.T) {
	long := strings.Repeat("k", rdb.MaxKeyBytes+1)
	for name, payload := range map[string]string{
		"nothing":                      "",
		"kind 0":                       "\x00\x01k",
		"kind 3":                       "\x03\x01k",
		"no length of the key":         "\x01",
		"empty key":                    "\x01\x00value",
		"key cut":                      "\x01\x03ke",
		"length not in shortest form":  "\x01\x81\x00k",
		"length cut":                   "\x01\x81",
		"length of more than 64 bits":  "\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01k",
		"length of 2^64-1":             "\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01k",
		"key too long":                 "\x01\x80\x80\x04" + long,
		"deadline cut":                 "\x02\x01\x01\x00\x00\x00\x00\x00\x00",
		"deadline of 0":                "\x02\x01\x00\x00\x00\x00\x00\x00\x00\x00k",
		"negative deadline":            "\x02\x01\x00\x00\x00\x00\x00\x00\x00\x80k",
		"deadline, and the key is cut": "\x02\x02\x01\x00\x00\x00\x00\x00\x00\x00k",
	} {
		if _, err := rdb.ParseEntry([]byte(payload)); !errors.Is(err, rdb.ErrEntry) {
			t.Errorf("%s: ParseEntry: %v", name, err)
		}
		if _, _, err := rdb.CutEntry(backlog.AppendRecord(nil, []byte(payload))); !errors.Is(err, rdb.ErrEntry) {
			t.Errorf("%s: CutEntry: %v", name, err)
		}
	}
	if _, _, err := rdb.CutEntry([]byte{5, 1}); !errors.Is(err, rdb.ErrEntry) || !errors.Is(err, backlog.ErrRecord) {
		t.Errorf("record cut: %v", err)
	}
}

// The largest value is read, one byte more is not. The zeros of these payloads
// are never touched, so they take no memory.
func TestLargestValue(t *testing.T) {
	payload := make([]byte, 3+rdb.MaxValueBytes+1)
	copy(payload, "\x01\x01k")
	if e, err := rdb.ParseEntry(payload[:len(payload)-1]); err != nil || len(e.Value) != rdb.MaxValueBytes {
		t.Errorf("largest value: %d bytes, %v", len(e.Value), err)
	}
	if _, err := rdb.ParseEntry(payload); !errors.Is(err, rdb.ErrEntry) {
		t.Errorf("a byte too many: %v", err)
	}
}

// Every byte of an entry, and the border between key and value, count.
func TestEntrySumTellsEntriesApart(t *testing.T) {
	seen := map[uint64]string{}
	for _, e := range []entry{
		{"ab", "c", 0}, {"a", "bc", 0}, {"abc", "", 0}, {"ab", "c", 1}, {"ab", "c", 2}, {"ac", "b", 0},
		{"ab", "c\x00", 0}, {"ab\x00", "c", 0}, {"c", "ab", 0},
	} {
		sum := rdb.EntrySum(e.key, []byte(e.value), e.deadline)
		if other, ok := seen[sum]; ok {
			t.Errorf("%+v has the sum of %s", e, other)
		}
		seen[sum] = fmt.Sprintf("%+v", e)
	}
}

func TestEntriesStopsWhenTold(t *testing.T) {
	b := newSample(35, 1, 10, 1<<20).blocks[0]
	n := 0
	for range b.Entries() {
		if n++; n == 3 {
			break
		}
	}
	if n != 3 {
		t.Errorf("%d entries", n)
	}
	b.Count++
	n = 0
	var last error
	for _, err := range b.Entries() {
		n, last = n+1, err
	}
	if n != 11 || !errors.Is(last, rdb.ErrFormat) {
		t.Errorf("%d pairs, the last with %v", n, last)
	}
	b.Data[1] = 0
	n = 0
	for _, last = range b.Entries() {
		n++
	}
	if n != 1 || !errors.Is(last, rdb.ErrEntry) {
		t.Errorf("%d pairs, the last with %v", n, last)
	}
}
