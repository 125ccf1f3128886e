package kv_test

import (
	"bytes"
	"fmt"
	"iter"
	"math/rand/v2"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/rdb"
)

// selfConsistent reports whether a value is one that churn writes under key.
func selfConsistent(key string, value []byte) bool {
	head, tail, ok := strings.Cut(string(value), "|")
	return ok && head == key && strings.Trim(tail, "x") == ""
}

// churn writes random keys of its own until it has made n writes. Growth, compaction
// and expiry go on under it.
func churn(tb testing.TB, s *kv.Store, writer, keys, n int) {
	r := rand.New(rand.NewPCG(uint64(writer), 7))
	for i := range n {
		k := fmt.Sprintf("w%d:%d", writer, r.IntN(1+keys*i/n))
		var err error
		switch r.IntN(20) {
		case 0, 1:
			_, err = s.Delete(k)
		case 2:
			_, err = s.Expire(k, time.Duration(1+r.IntN(20))*time.Millisecond)
		case 3:
			_, err = s.Persist(k)
		case 4:
			if r.IntN(200) == 0 {
				err = s.Clear()
			}
		case 5:
			err = s.Set(k, []byte(k+"|"), kv.TTL(time.Hour))
		default:
			err = s.Set(k, []byte(k+"|"+strings.Repeat("x", r.IntN(150))))
		}
		if err != nil {
			tb.Error(err)
			return
		}
	}
}

// TestChurn lets writers, readers, iterators, snapshots and full copies loose on one
// store. Every value that is seen must be whole and belong to its key; every snapshot
// must be what its digest says; every copy must end with the digest of its source.
func TestChurn(t *testing.T) {
	s := open(t, nil)
	var writers, others sync.WaitGroup
	var done atomic.Bool
	var reads, found, copies, snapshots atomic.Int64
	enough := func() bool { return found.Load() >= 100 && copies.Load() > 0 && snapshots.Load() > 0 }
	for w := range 2 {
		writers.Go(func() {
			churn(t, s, w, 2000, 12_000)
			for !enough() && !t.Failed() { // the others get no turns on a busy machine
				churn(t, s, w, 2000, 1000)
			}
		})
	}
	check := func(k string, v []byte) {
		if !selfConsistent(k, v) {
			t.Errorf("%q under %q", v, k)
		}
	}
	loop := func(f func()) {
		others.Go(func() {
			for !done.Load() && !t.Failed() {
				f()
			}
		})
	}
	r := rand.New(rand.NewPCG(3, 3))
	loop(func() {
		k := fmt.Sprintf("w%d:%d", r.IntN(2), r.IntN(2000))
		v, err := s.Get(k)
		reads.Add(1)
		if err == nil {
			check(k, v)
			found.Add(1)
		}
	})
	loop(func() {
		for k, v := range s.All() {
			check(k, v)
		}
	})
	loop(func() {
		snapshots.Add(1)
		n, err := s.Snapshot()
		if err != nil {
			t.Error(err)
			return
		}
		defer n.Close()
		for k, v := range n.All() {
			check(k, v)
		}
		if d := recount(t, n); d != n.Digest() {
			t.Errorf("digest of the contents %+v, the store says %+v", d, n.Digest())
		}
	})
	loop(func() {
		to := kv.New(nil)
		defer to.Close()
		fullCopy(t, s, to) // Commit compares the digests
		copies.Add(1)
	})
	writers.Wait()
	done.Store(true)
	others.Wait()
	t.Logf("%d reads, %d found, %d snapshots, %d copies", reads.Load(), found.Load(), snapshots.Load(), copies.Load())
	wantTrueDigest(t, s)
	if v := kv.Views(s); v != 0 {
		t.Errorf("%d views are still in use", v)
	}
}

// TestReadsAreLinearizable has one writer count each key up, and readers check that
// they see a number no lower than what was written when they began, and no higher than
// what was being written when they ended. Other keys make the segments divide, the
// overwritten values make slabs come and go, and views make segments be copied.
func TestReadsAreLinearizable(t *testing.T) {
	s := open(t, nil)
	const counters = 64
	writes := int64(20_000)
	if raceEnabled {
		writes = 4000
	}
	var begun, ended [counters]atomic.Int64
	for i := range counters {
		set(t, s, "counter:"+strconv.Itoa(i), "0")
	}
	var writers, others sync.WaitGroup
	var done atomic.Bool
	var reads atomic.Int64
	writers.Go(func() {
		// As long as it takes until the reader has had its turns, on a busy machine, too.
		for n := int64(0); n < writes || reads.Load() < 1000 && !t.Failed(); n++ {
			i := n % counters
			begun[i].Add(1)
			v := strconv.FormatInt(begun[i].Load(), 10)
			if err := s.Set("counter:"+strconv.FormatInt(i, 10), []byte(v)); err != nil {
				t.Error(err)
			}
			ended[i].Add(1)
		}
	})
	writers.Go(func() {
		for i := range 2 * int(writes) {
			if err := s.Set(key(i), bytes.Repeat([]byte("y"), i%64)); err != nil {
				t.Error(err)
			}
		}
	})
	others.Go(func() {
		for !done.Load() {
			if n, err := s.Snapshot(); err == nil {
				n.Close()
			}
		}
	})
	others.Go(func() {
		for i := 0; !done.Load() && !t.Failed(); i = (i + 1) % counters {
			low := ended[i].Load()
			v, err := s.Get("counter:" + strconv.Itoa(i))
			high := begun[i].Load()
			got, _ := strconv.ParseInt(string(v), 10, 64)
			if err != nil || got < low || got > high {
				t.Errorf("counter %d: read %q, %v, want %d to %d", i, v, err, low, high)
			}
			reads.Add(1)
		}
	})
	writers.Wait()
	done.Store(true)
	others.Wait()
}

// A snapshot is the state at one offset: the records up to there, applied elsewhere,
// give the same digest.
func TestSnapshotIsAnExactCut(t *testing.T) {
	s := open(t, nil)
	var writers sync.WaitGroup
	for w := range 2 {
		writers.Go(func() { churn(t, s, w, 500, 4000) })
	}
	var cuts []kv.Digest
	var taken []*kv.Snapshot
	for range 20 {
		n, err := s.Snapshot()
		must(t, err)
		defer n.Close()
		cuts, taken = append(cuts, n.Digest()), append(taken, n)
	}
	writers.Wait()
	for i, n := range taken {
		if d := recount(t, n); d != cuts[i] {
			t.Errorf("cut %d: contents %+v, the store says %+v", i, d, cuts[i])
		}
		replayed := open(t, nil)
		replay(t, s, replayed, cuts[i].Position.Offset)
		if d := digest(t, replayed); d != cuts[i] {
			t.Errorf("cut %d: replayed %+v, the store says %+v", i, d, cuts[i])
		}
	}
}

// replay applies the first end bytes of a store's log, which must hold them, to an
// empty store.
func replay(tb testing.TB, from, to *kv.Store, end int64) {
	tb.Helper()
	f := followEmpty(tb, from, to)
	for f.reader.Offset() < end {
		at := to.Position()
		records, err := f.reader.Next(end)
		must(tb, err)
		must(tb, to.Apply(at, records))
	}
}

// A store that follows can be copied from while records are applied to it.
func TestCopyFromAFollower(t *testing.T) {
	s, middle := open(t, nil), open(t, nil)
	s.SetFollower(true) // nothing is to expire between the last record and the comparison
	middle.SetFollower(true)
	f := followEmpty(t, s, middle)
	var others sync.WaitGroup
	var done atomic.Bool
	var copies atomic.Int64
	others.Go(func() {
		for !done.Load() && !t.Failed() {
			leaf := kv.New(nil)
			fullCopy(t, middle, leaf)
			copies.Add(1)
			leaf.Close()
		}
	})
	for w := 0; w < 6 || copies.Load() == 0 && !t.Failed(); w++ {
		// Written first and applied afterwards, so that there are large batches.
		churn(t, s, w, 1000, 4000)
		f.catchUp(t)
	}
	done.Store(true)
	others.Wait()
	wantSame(t, s, middle)
}

// While a batch of records is applied, the log has more than the table. Nobody who asks
// for a position with the contents is given the one without the other.
func TestNobodySeesHalfABatchByPosition(t *testing.T) {
	s, to := open(t, nil), open(t, nil)
	to.SetFollower(true)
	followEmpty(t, s, to)
	records, n := []byte(nil), 5000
	for i := range n {
		records = append(records, appendEntry(nil, key(i), "value", 0)...)
	}
	for round := range 10 {
		before := to.Position()
		set(t, s, "round", strconv.Itoa(round))
		b := append(records, appendEntry(nil, "round", strconv.Itoa(round), 0)...)
		after := before
		after.Offset += int64(len(b))
		var sums sync.Map
		var watchers sync.WaitGroup
		var done atomic.Bool
		see := func(d kv.Digest) {
			if old, _ := sums.LoadOrStore(d.Position, d.Sum); old != d.Sum {
				t.Errorf("at %v there are two states", d.Position)
			}
		}
		watchers.Go(func() {
			for !done.Load() {
				see(digest(t, to))
			}
		})
		watchers.Go(func() {
			for !done.Load() {
				n, err := to.Snapshot()
				must(t, err)
				see(n.Digest())
				must(t, n.Close())
			}
		})
		watchers.Go(func() {
			for to.Position() != after {
				runtime.Gosched()
			}
			must(t, to.Wait(t.Context(), after))
			wantValue(t, to, "round", strconv.Itoa(round))
		})
		must(t, to.Apply(before, b))
		see(digest(t, to))
		done.Store(true)
		watchers.Wait()
	}
}

// oneShard returns a store with a table of a single shard that holds n keys with the
// value "old".
func oneShard(t *testing.T, n int) *kv.Store {
	t.Helper()
	s := open(t, nil)
	b := newSnapshotMaker(s, 1)
	for i := range n {
		b.put(key(i), "old")
	}
	must(t, b.load(s))
	return s
}

// An iteration shows a shard as it was when it came to it, whatever its body does, and a
// snapshot that is closed in the middle of one goes on to its end.
func TestIterationsAreUndisturbed(t *testing.T) {
	const keys = 3000
	for name, all := range map[string]func(s *kv.Store) (iter.Seq2[string, []byte], func()){
		"store": func(s *kv.Store) (iter.Seq2[string, []byte], func()) { return s.All(), func() {} },
		"snapshot": func(s *kv.Store) (iter.Seq2[string, []byte], func()) {
			n, err := s.Snapshot()
			must(t, err)
			return n.All(), func() { must(t, n.Close()) }
		},
	} {
		s := oneShard(t, keys)
		if name == "snapshot" { // exact throughout, so there may be more shards
			s = open(t, nil)
			for i := range keys {
				set(t, s, key(i), "old")
			}
		}
		seq, end := all(s)
		seen := 0
		for k, v := range seq {
			if string(v) != "old" {
				t.Fatalf("%s: %q = %q", name, k, v)
			}
			if seen++; seen == 1 {
				end()
				for i := range keys {
					set(t, s, key(i), "new")
					set(t, s, key(keys+i), "new")
				}
			}
			if seen%3 == 0 {
				_, err := s.Delete(k)
				must(t, err)
			}
		}
		if seen != keys {
			t.Errorf("%s: %d keys seen, want %d", name, seen, keys)
		}
		if v := kv.Views(s); v != 0 {
			t.Errorf("%s: %d views are still in use", name, v)
		}
		wantTrueDigest(t, s)
	}
}

// A write that meets an exchange of the contents is in the log and the table of after,
// or in those of before; never in one of each.
func TestWritesMeetARestore(t *testing.T) {
	s := open(t, nil)
	for i := range 100 {
		set(t, s, key(i), "v")
	}
	n, err := s.Snapshot()
	must(t, err)
	defer n.Close()
	var saved bytes.Buffer
	_, err = n.WriteTo(&saved)
	must(t, err)
	for range 100 {
		var writer sync.WaitGroup
		var done atomic.Bool
		writer.Go(func() {
			for i := 0; !done.Load(); i++ {
				must(t, s.Set("k", strconv.AppendInt(nil, int64(i), 10)))
			}
		})
		must(t, s.Restore(bytes.NewReader(saved.Bytes())))
		done.Store(true)
		writer.Wait()
		last := ""
		r, err := s.Log().NewReader(s.Log().Window().First)
		must(t, err)
		for {
			b, err := r.Next(s.Log().End())
			must(t, err)
			if b == nil {
				break
			}
			for len(b) > 0 {
				e, size, err := rdb.CutEntry(b)
				must(t, err)
				last, b = string(e.Value), b[size:]
			}
		}
		wantValue(t, s, "k", last)
	}
}

// A store whose contents are exchanged under a dump says so.
func TestDumpOfReplacedContents(t *testing.T) {
	s := open(t, nil)
	for i := range 1000 {
		set(t, s, key(i), "v")
	}
	n, err := s.Snapshot()
	must(t, err)
	defer n.Close()
	var saved bytes.Buffer
	_, err = n.WriteTo(&saved)
	must(t, err)
	for _, at := range []int{1, 0} {
		w := &replacing{at: at, replace: func() { must(t, s.Restore(bytes.NewReader(saved.Bytes()))) }}
		if err := s.Dump(t.Context(), w); err == nil || !strings.Contains(err.Error(), kv.ErrReplaced.Error()) {
			t.Errorf("replaced at block %d: %v", at, err)
		}
	}
	if v := kv.Views(s); v != 0 {
		t.Errorf("%d views are still in use", v)
	}
}

// A replacing calls replace at a block, of as many as there are shards.
type replacing struct {
	next, blocks atomic.Int64
	shards       int
	at           int // 1 for the first block, 0 for the last
	replace      func()
}

func (w *replacing) Begin(h rdb.Header) error { w.shards = h.Shards; return nil }
func (w *replacing) Next() (int, bool)        { i := int(w.next.Add(1)) - 1; return i, i < w.shards }
func (w *replacing) End(rdb.Footer) error     { return nil }
func (w *replacing) WriteBlock(*rdb.Block) error {
	if n := int(w.blocks.Add(1)); n == w.at || w.at == 0 && n == w.shards {
		w.replace()
	}
	return nil
}
