package kv_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/emberkv/ember/kv"
)

// A journal of records of every kind, in frames of every size, leads to the same contents,
// which follow from one shard's order only, and not from that between shards.
func TestJournalOfEverything(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name           string
		fsync          kv.Fsync
		rounds, writes int
	}{
		{"a frame for each write", kv.FsyncAlways, 2, 100},
		{"frames of many", kv.FsyncNever, 4, 1500},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, opts := t.TempDir(), always()
			opts.Fsync, opts.SegmentBytes, opts.LogBytes = c.fsync, 32<<10, 100<<10
			opts.DiskTimeout = time.Minute // a real disk
			s, err := kv.Open(dir, opts)
			must(t, err)
			defer func() { s.Close() }()
			rng := rand.New(rand.NewPCG(8, uint64(c.fsync)))
			for round := range c.rounds {
				for range c.writes {
					must(t, doAnything(s, rng))
				}
				want, before := contents(s), digest(t, s)
				must(t, s.Close())
				s, err = kv.Open(dir, opts)
				must(t, err)
				if after := digest(t, s); after != before {
					t.Fatalf("round %d: %+v, was %+v", round, after, before)
				}
				if got := contents(s); !maps.Equal(got, want) {
					t.Fatalf("round %d: %d keys with other contents, were %d", round, len(got), len(want))
				}
			}
			wantFullWindow(t, s, opts.LogBytes)
		})
	}
}

// wantFullWindow fails unless the log of a store that was opened holds what it may, though
// what lies before that was not copied into it, and knows their sum.
func wantFullWindow(t *testing.T, s *kv.Store, bytes int64) {
	t.Helper()
	w := s.Log().Window()
	if held := w.End - w.First; held < bytes/2 || w.First == 0 {
		t.Errorf("the window holds %d bytes, from %d", held, w.First)
	}
	r, err := s.Log().NewReader(w.First)
	must(t, err)
	defer r.Close()
	sum, err := s.Log().Sum(w.First)
	must(t, err)
	for r.Offset() < w.End {
		run, err := r.Next(w.End)
		must(t, err)
		sum = sum.Add(run)
	}
	if is, err := s.Log().Sum(w.End); err != nil || is != sum {
		t.Errorf("sum %+v, %v, of the records %+v", is, err, sum)
	}
}

// doAnything carries out a write of any kind on one of few keys.
func doAnything(s *kv.Store, rng *rand.Rand) error {
	some := func() string { return fmt.Sprintf("k%d:%d", rng.IntN(10), rng.IntN(100)) }
	value := []byte(strings.Repeat("v", rng.IntN(300)))
	switch rng.IntN(40) {
	case 0:
		value = make([]byte, rng.IntN(100_000))
		return s.Set(some(), value)
	case 1:
		_, err := s.DeletePrefix(fmt.Sprintf("k%d:", rng.IntN(10)))
		return err
	case 2:
		if rng.IntN(20) == 0 {
			return s.Clear()
		}
		return nil
	case 3, 4, 5:
		return s.Update(func(tx *kv.Tx) error {
			for range 1 + rng.IntN(20) {
				if rng.IntN(4) == 0 {
					if _, err := tx.Delete(some()); err != nil {
						return err
					}
				} else if err := tx.Set(some(), value); err != nil {
					return err
				}
			}
			return nil
		})
	case 6, 7:
		_, err := s.Delete(some())
		return err
	case 8:
		_, err := s.Expire(some(), 100*time.Hour)
		return err
	case 9:
		_, err := s.Persist(some())
		return err
	case 10:
		return s.Set(some(), value, kv.TTL(200*time.Hour))
	}
	return s.Set(some(), value)
}
