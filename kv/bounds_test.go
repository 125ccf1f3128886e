package kv_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/internal/heap"
	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/rdb"
)

// smallest returns n bytes of the smallest records there are.
func smallest(n int) []byte {
	records := make([]byte, 0, n)
	for len(records) < n {
		records = append(records, 2, 3, 'k') // delete the key k
	}
	return records
}

// TestSmallRecordsAreNotMultiplied: what a sender makes a store hold is a small
// multiple of what it sends, however many records it packs into it.
func TestSmallRecordsAreNotMultiplied(t *testing.T) {
	const sent = 4 << 20
	t.Run("Apply", func(t *testing.T) {
		records := smallest(sent)
		heap.Try(t, func() error {
			s := kv.New(nil)
			defer s.Close()
			got := heap.Allocated(func() {
				if err := s.Apply(s.Position(), records); err != nil {
					t.Fatal(err)
				}
			})
			if got > 4*sent {
				return fmt.Errorf("%d bytes of records made the store allocate %d", sent, got)
			}
			return nil
		})
	})
	t.Run("aside", func(t *testing.T) {
		heap.Try(t, func() error {
			if got := completeAside(t, sent); got > 2*sent {
				return fmt.Errorf("%d bytes kept aside made the loader allocate %d when the shard was complete", sent, got)
			}
			return nil
		})
	})
}

// completeAside returns what a loader allocates that has kept some bytes of the smallest records aside for a shard,
// when that is complete.
func completeAside(t *testing.T, bytes int64) int64 {
	t.Helper()
	s := kv.New(nil)
	defer s.Close()
	loader, err := s.Load(rdb.Header{
		Position: s.Position(), Lineage: s.Log().Lineage(), Shards: 1, RecordVersion: rdb.RecordVersion,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer loader.Abort()
	if err := loader.Block(&rdb.Block{First: true}); err != nil {
		t.Fatal(err)
	}
	for at := int64(0); at < bytes; {
		records := smallest(96 << 10)
		if err := loader.Records(at, records); err != nil {
			t.Fatal(err)
		}
		at += int64(len(records))
	}
	return heap.Allocated(func() {
		if err := loader.Block(&rdb.Block{Last: true}); err != nil {
			t.Fatal(err)
		}
		loader.Interrupted() // waits for the workers
	})
}

// TestLastRecordDoesNotDecode: among more records than are decoded at a time.
func TestLastRecordDoesNotDecode(t *testing.T) {
	s := kv.New(nil)
	defer s.Close()
	before := s.Position()
	records := append(smallest(64<<10), 2, 99, 'k')
	var bad *kv.RecordError
	if err := s.Apply(before, records); !errors.As(err, &bad) || bad.Offset != int64(len(records)-3) {
		t.Errorf("%v, want a RecordError at %d", err, len(records)-3)
	}
	if s.Position() != before {
		t.Errorf("log ends at %s, want %s", s.Position(), before)
	}
}

// TestWaitIsWokenByExpiry: the log grows by it as by any write.
func TestWaitIsWokenByExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kv.New(nil)
		defer s.Close()
		if err := s.Set("a", []byte("x"), kv.TTL(time.Second)); err != nil {
			t.Fatal(err)
		}
		after := s.Position()
		after.Offset++ // in the record of the expiry
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := s.Wait(ctx, after); err != nil {
			t.Error(err)
		}
	})
}

// TestGateRefusesWhatWouldChangeNothing: what is not so on this node may be so on
// the one that takes writes.
func TestGateRefusesWhatWouldChangeNothing(t *testing.T) {
	s := kv.New(nil)
	defer s.Close()
	if err := s.Set("v", []byte("one")); err != nil {
		t.Fatal(err)
	}
	shut := errors.New("shut")
	s.Log().SetGate(func() error { return shut })
	for name, write := range map[string]func() error{
		"Delete":         func() error { _, err := s.Delete("missing"); return err },
		"CompareAndSwap": func() error { _, err := s.CompareAndSwap("v", []byte("two"), nil); return err },
		"Pipeline":       func() error { return deleteAll(s, "missing") },
		"Expire":         func() error { _, err := s.Expire("missing", time.Second); return err },
		"Persist":        func() error { _, err := s.Persist("v"); return err },
		"Add":            func() error { _, err := s.Add("v", 1); return err },
		"past ExpireAt":  func() error { return s.Set("missing", nil, kv.ExpireAt(time.Unix(1, 0))) },
		"IfAbsent":       func() error { return s.Set("v", nil, kv.IfAbsent()) },
		"IfPresent":      func() error { return s.Set("missing", nil, kv.IfPresent()) },
	} {
		if err := write(); err != shut {
			t.Errorf("%s: %v, want the gate's error", name, err)
		}
	}
	if s.Close(); s.Set("v", nil, kv.IfAbsent()) != kv.ErrClosed {
		t.Error("a closed store does not say so")
	}
}
