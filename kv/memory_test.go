package kv_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/emberkv/ember/internal/heap"
	"github.com/emberkv/ember/kv"
)

// fewShards returns an empty store with so many shards, rounded up to a power of two, and
// no log. The bounds hold for shards of some hundred entries and more.
func fewShards(t *testing.T, n int) *kv.Store {
	t.Helper()
	s := open(t, &kv.Options{LogBytes: -1})
	shards := 1
	for shards < min(n, 128) {
		shards *= 2
	}
	must(t, newSnapshotMaker(s, shards).load(s))
	return s
}

// After any number of random overwrites no more than a third of the slabs is dead.
func TestDeadShareIsBounded(t *testing.T) {
	t.Parallel()
	// Of those with random sizes, shards are where slabs become too large to be emptied at once.
	keys, writes := 52_000, 600_000
	if raceEnabled {
		keys, writes = 8000, 32_000
	}
	for name, size := range map[string]func(r *rand.Rand) int{
		"equal sizes":  func(*rand.Rand) int { return 100 },
		"random sizes": func(r *rand.Rand) int { return r.IntN(400) },
	} {
		t.Run(name, func(t *testing.T) {
			s := fewShards(t, max(1, keys/1000))
			r := rand.New(rand.NewPCG(5, 6))
			value := []byte(strings.Repeat("v", 400))
			for i := range keys {
				must(t, s.Set(key(i), value[:size(r)]))
			}
			worst, worstShard := 0.0, 0.0
			for i := range writes {
				must(t, s.Set(key(r.IntN(keys)), value[:size(r)]))
				if i%2000 == 0 {
					used, dead := kv.SlabBytes(s)
					worst = max(worst, float64(dead)/float64(used))
					worstShard = max(worstShard, kv.WorstDeadShare(s))
				}
			}
			t.Logf("worst dead share %.3f, of one shard %.3f", worst, worstShard)
			if worst > 1.0/3 {
				t.Errorf("dead share rose to %.3f", worst)
			}
			if worstShard > 0.35 { // one shard may be a little above the others
				t.Errorf("dead share of one shard rose to %.3f", worstShard)
			}
			if worst < 0.1 {
				t.Errorf("dead share never exceeded %.3f: compaction does too much", worst)
			}
			wantTrueDigest(t, s)
		})
	}
}

// Where shards are small, too, and without moving entries again and again: the memory that
// overwrites take is that of the new entry and of less than one that is moved.
func TestOverwritesOfSmallStoresMoveFew(t *testing.T) {
	if raceEnabled {
		t.Skip("sizes differ")
	}
	const keys, writes, entryBytes = 10_000, 100_000, 120
	s := open(t, &kv.Options{LogBytes: -1})
	r := rand.New(rand.NewPCG(7, 8))
	value := make([]byte, 100)
	names := make([]string, keys)
	for i := range names {
		names[i] = fmt.Sprintf("key:%012d", i)
		must(t, s.Set(names[i], value))
	}
	var before, after runtime.MemStats
	worst := 0.0
	for i := range 2 * writes {
		if i == writes { // the first of them make the dead bytes
			runtime.ReadMemStats(&before)
		}
		must(t, s.Set(names[r.IntN(keys)], value))
		if i%1000 == 0 {
			worst = max(worst, kv.WorstDeadShare(s))
		}
	}
	runtime.ReadMemStats(&after)
	each := float64(after.TotalAlloc-before.TotalAlloc) / writes
	t.Logf("%.0f bytes each, worst dead share of a shard %.3f", each, worst)
	if each > 2.5*entryBytes {
		t.Errorf("each overwrite takes %.0f bytes of memory, its entry %d", each, entryBytes)
	}
	if worst > 0.358 {
		t.Errorf("dead share of one shard rose to %.3f", worst)
	}
}

// What is deleted gives its memory back, whether all of it or most.
func TestDeletedKeysFreeTheirMemory(t *testing.T) {
	const keys = 20_000
	s := open(t, &kv.Options{LogBytes: -1})
	for i := range keys {
		set(t, s, key(i), strings.Repeat("v", 200), kv.TTL(time.Hour))
	}
	full, _ := kv.SlabBytes(s)
	for i := range keys {
		if i%10 != 0 {
			_, err := s.Delete(key(i))
			must(t, err)
		}
	}
	used, _ := kv.SlabBytes(s)
	t.Logf("%d bytes of %d are left with a tenth of the keys", used, full)
	if used > full/5 {
		t.Errorf("%d bytes of %d are left with a tenth of the keys", used, full)
	}
	for i := 0; i < keys; i += 10 {
		_, err := s.Delete(key(i))
		must(t, err)
	}
	if used, _ := kv.SlabBytes(s); used > 128<<10 {
		t.Errorf("%d bytes are left without a key", used)
	}
}

// A view that is open keeps what it shows and no more than that; when it is closed,
// compaction makes good for it.
func TestSnapshotSuspendsCompaction(t *testing.T) {
	t.Parallel()
	keys := 20_000
	if raceEnabled {
		keys = 4000
	}
	s := fewShards(t, keys/1000)
	r := rand.New(rand.NewPCG(5, 6))
	value := []byte(strings.Repeat("v", 100))
	overwrite := func() {
		for range 4 * keys {
			must(t, s.Set(key(r.IntN(keys)), value))
		}
	}
	for i := range keys {
		must(t, s.Set(key(i), value))
	}
	overwrite()
	usual, _ := kv.SlabBytes(s)
	n, err := s.Snapshot()
	must(t, err)
	overwrite()
	if used, _ := kv.SlabBytes(s); used > 5*usual/2 {
		t.Errorf("%d bytes beside a snapshot, %d without", used, usual)
	}
	if d := recount(t, n); d != n.Digest() {
		t.Errorf("contents %+v, the snapshot says %+v", d, n.Digest())
	}
	must(t, n.Close())
	overwrite()
	if used, dead := kv.SlabBytes(s); dead > used/3 {
		t.Errorf("%d of %d bytes are dead after the snapshot was closed", dead, used)
	}
}

func TestEmptyStoreIsSmall(t *testing.T) {
	if raceEnabled {
		t.Skip("sizes differ")
	}
	const n = 100
	heap.Try(t, func() error {
		stores := make([]*kv.Store, n)
		before := heap.Live()
		for i := range stores {
			stores[i] = kv.New(nil)
		}
		each := (heap.Live() - before) / n
		for _, s := range stores {
			must(t, s.Close())
		}
		t.Logf("%d bytes", each)
		if each > 64<<10 {
			return fmt.Errorf("an empty store takes %d bytes", each)
		}
		return nil
	})
}

func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("counts differ")
	}
	s := open(t, nil)
	for i := range 1000 {
		set(t, s, key(i), strings.Repeat("v", 100))
	}
	set(t, s, "n", "1", kv.TTL(time.Hour))
	value, dst, several := make([]byte, 100), make([]byte, 0, 200), make([][]byte, 0, 3)
	k, i := newKeyMaker(), 0
	next := func() string { i++; return k.key(i % 1000) }
	p := s.Pipeline()
	for name, op := range map[string]func() error{
		"Pipeline": func() error {
			must(t, p.Set(next(), value))
			_, err := p.Exec()
			return err
		},
		"Get":            func() error { _, err := s.Get(next()); return err },
		"Append":         func() error { _, err := s.Append(dst, next()); return err },
		"GetMulti":       func() error { _, err := s.GetMulti(several, next(), "n", "none"); return err },
		"Has":            func() error { _, err := s.Has(next()); return err },
		"TTL":            func() error { _, err := s.TTL("n"); return err },
		"Set":            func() error { return s.Set(next(), value) },
		"Set IfPresent":  func() error { return s.Set(next(), value, kv.IfPresent(), kv.KeepTTL()) },
		"Set TTL":        func() error { return s.Set("n", value[:0], kv.TTL(time.Hour)) },
		"CompareAndSwap": func() error { _, err := s.CompareAndSwap(next(), nil, value); return err },
		"Add":            func() error { _, err := s.Add("counter", 1); return err },
	} {
		// A slab or a chunk of the log is made now and then: less than one in ten.
		if allocs := testing.AllocsPerRun(2000, func() { must(t, op()) }); allocs != 0 {
			t.Errorf("%s allocates %v times", name, allocs)
		}
	}
}
