package kv_test

import (
	"bytes"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/emberkv/ember/internal/heap"
	"github.com/emberkv/ember/kv"
	"github.com/emberkv/ember/rdb"
)

// withAndWithout runs a test with the index and without.
func withAndWithout(t *testing.T, test func(t *testing.T, opts *kv.Options)) {
	t.Run("ordered", func(t *testing.T) { test(t, &kv.Options{Ordered: true}) })
	t.Run("plain", func(t *testing.T) { test(t, nil) })
}

// numbered returns a store with keys 0 to n-1, each its number as the value.
func numbered(t *testing.T, opts *kv.Options, n int) *kv.Store {
	t.Helper()
	s := open(t, opts)
	for i := range n {
		set(t, s, key(i), fmt.Sprint(i))
	}
	return s
}

func keysOf(seq iter.Seq2[string, []byte]) (keys []string) {
	for k := range seq {
		keys = append(keys, k)
	}
	return keys
}

func TestRangeStopsEarlyAndNests(t *testing.T) {
	withAndWithout(t, func(t *testing.T, opts *kv.Options) {
		s := numbered(t, opts, 500)
		outer := 0
		for a := range s.Range(key(10), key(14)) {
			if a != key(10+outer) {
				t.Fatalf("%q at %d", a, outer)
			}
			inner := 0
			for b := range s.Backward("", a) {
				if inner++; b != key(10+outer-inner) {
					t.Fatalf("%q, %d before %q", b, inner, a)
				}
				if inner == 3 {
					break
				}
			}
			outer++
		}
		if outer != 4 {
			t.Errorf("%d keys", outer)
		}
		seq := s.Prefix("key:00000000000") // the same one twice
		if a, b := keysOf(seq), keysOf(seq); len(a) != 10 || !slices.Equal(a, b) {
			t.Errorf("%d keys, and then %d", len(a), len(b))
		}
		if got := keysOf(s.Range(key(5), key(5))); got != nil {
			t.Errorf("an empty range has %q", got)
		}
		if got := keysOf(s.Backward(key(6), key(5))); got != nil {
			t.Errorf("an inverted range has %q", got)
		}
	})
}

// The value is that of the key's turn, and keys come and go while the loop runs.
func TestRangeBodyWrites(t *testing.T) {
	withAndWithout(t, func(t *testing.T, opts *kv.Options) {
		const n = 1000
		s := numbered(t, opts, n)
		i := 0
		for k, v := range s.Range("", "") {
			want := fmt.Sprint(i)
			if i > 0 {
				want = "seen"
			}
			if k != key(i) || string(v) != want {
				t.Fatalf("%q = %q, want %q = %q", k, v, key(i), want)
			}
			set(t, s, key(i+1), "seen")
			set(t, s, key(i)+"!", "inserted behind")
			if i%2 == 0 {
				_, err := s.Delete(key(i + 2))
				must(t, err)
				set(t, s, key(i+2), "again")
			}
			_, err := s.Delete(k)
			must(t, err)
			_, err = s.Delete(k + "!")
			must(t, err)
			if i++; i == n {
				break
			}
		}
		if i != n {
			t.Errorf("%d turns, want %d", i, n)
		}
		for k := range s.Backward("", "") {
			must(t, s.Clear())
			set(t, s, k, "the last one, which had its turn")
			i++
		}
		if i != n+1 {
			t.Errorf("%d turns after Clear, want 1", i-n)
		}
	})
}

func TestRangeAndClose(t *testing.T) {
	withAndWithout(t, func(t *testing.T, opts *kv.Options) {
		s := numbered(t, opts, 300)
		n := 0
		for range s.Range("", "") {
			if n++; n == 20 {
				must(t, s.Close())
			}
		}
		if n != 20 {
			t.Errorf("%d keys, want those before Close", n)
		}
		if got := keysOf(s.Backward("", "")); got != nil {
			t.Errorf("%d keys after Close", len(got))
		}
		if _, _, err := s.Min(); err != kv.ErrClosed {
			t.Errorf("Min: %v", err)
		}
		if _, _, err := s.Max(); err != kv.ErrClosed {
			t.Errorf("Max: %v", err)
		}
	})
}

// When the contents are replaced in the middle of a loop, it goes on in the others.
func TestRangeAndRestore(t *testing.T) {
	t.Parallel()
	other := numbered(t, nil, 400)
	for i := range 200 {
		set(t, other, key(2*i), "new")
	}
	n, err := other.Snapshot()
	must(t, err)
	defer n.Close()
	var saved bytes.Buffer
	_, err = n.WriteTo(&saved)
	must(t, err)

	for at := range 150 { // also at the first key of a chunk, and at the last one
		s := open(t, &kv.Options{Ordered: true})
		for i := range 200 {
			set(t, s, key(2*i), "old")
		}
		var got []string
		for k, v := range s.Range("", "") {
			got = append(got, k)
			if old := len(got) <= at+1; old != (string(v) == "old") {
				t.Fatalf("turn %d: %q = %q", len(got), k, v)
			}
			if len(got) == at+1 {
				must(t, s.Restore(bytes.NewReader(saved.Bytes())))
			}
		}
		// One of two keys up to there, and every one behind.
		if want := at + 1 + 400 - (2*at + 1); len(got) != want || !slices.IsSorted(got) {
			t.Fatalf("%d keys when restored at %d, want %d", len(got), at, want)
		}
		wantIndex(t, s)
		must(t, s.Drop(rdb.Header{}))
		wantIndex(t, s)
		set(t, s, "k", "v")
		if got := keysOf(s.Range("", "")); len(got) != 1 {
			t.Fatalf("%q after Drop", got)
		}
	}
}

// Loops run while keys around theirs come and go: those that stay are seen, once, in order.
func TestRangeWhileWriting(t *testing.T) {
	s := numbered(t, &kv.Options{Ordered: true}, 0)
	const n = 2000
	for i := range n {
		set(t, s, key(i)+"/stays", "v")
	}
	var stop atomic.Bool
	var writers sync.WaitGroup
	for w := range 2 {
		writers.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 1))
			for !stop.Load() {
				k := fmt.Sprintf("%s/goes/%0*d", key(r.IntN(n)), r.IntN(30), w)
				if err := s.Set(k, []byte("v")); err != nil {
					t.Error(err)
				}
				if r.IntN(5) == 0 {
					for k := range s.Range(key(r.IntN(n)), "") {
						if strings.Contains(k, "/goes") {
							if _, err := s.Delete(k); err != nil {
								t.Error(err)
							}
							if r.IntN(20) == 0 {
								break
							}
						}
					}
				}
			}
		})
	}
	rounds := 30
	if raceEnabled {
		rounds = 8
	}
	for round := range rounds {
		seq, last, sign := s.Range("", ""), "", 1
		if round%2 == 1 {
			seq, last, sign = s.Backward("", ""), "~", -1
		}
		stay := 0
		for k := range seq {
			if strings.Compare(k, last) != sign {
				t.Fatalf("%q behind %q", k, last)
			}
			if last = k; strings.HasSuffix(k, "/stays") {
				stay++
			}
		}
		if stay != n {
			t.Fatalf("%d of %d keys that stay were seen", stay, n)
		}
	}
	stop.Store(true)
	writers.Wait()
	wantIndex(t, s)
}

// A loop whose body takes its time keeps nothing alive but what it has yielded.
func TestRangeBodyHoldsNoMemory(t *testing.T) {
	if raceEnabled {
		t.Skip("sizes differ")
	}
	value := make([]byte, 1000)
	heap.Try(t, func() (err error) {
		empty := heap.Live()
		s := open(t, &kv.Options{Ordered: true, LogBytes: -1})
		for i := range 20_000 {
			must(t, s.Set(key(i), value))
		}
		n := 0
		for range s.Range("", "") {
			if n++; n < 100 {
				continue
			}
			full := heap.Live() - empty
			must(t, s.Clear())
			if left := heap.Live() - empty; left > full/8 {
				err = fmt.Errorf("%d of %d bytes are left after Clear in a loop", left, full)
			}
		}
		if n != 100 {
			t.Errorf("%d turns", n)
		}
		return err
	})
}

// A key that was read is in the order, whoever wrote it: Get and Range do not disagree.
func TestOrderHasWhatWasRead(t *testing.T) {
	s := open(t, &kv.Options{Ordered: true})
	const n = 5000
	done := make(chan bool)
	go func() {
		defer close(done)
		for i := range n {
			if err := s.Set(key(i), nil); err != nil {
				t.Error(err)
			}
		}
	}()
	for i := range n {
		for {
			if ok, err := s.Has(key(i)); ok || err != nil {
				must(t, err)
				break
			}
		}
		if k, _, err := s.Max(); err != nil || k < key(i) {
			t.Fatalf("%q is there, and the last key is %q, %v", key(i), k, err)
		}
	}
	<-done
}

// A key that is not in the order is not there either, though several go at once and what
// they were is still in the table for a moment.
func TestOrderMissesWhatIsGone(t *testing.T) {
	const n = 3000
	s := numbered(t, &kv.Options{Ordered: true}, 3*n)
	done := make(chan bool)
	go func() {
		defer close(done)
		for i := range n {
			if err := s.Update(func(tx *kv.Tx) error {
				for _, k := range []string{key(3 * i), key(3*i + 1), key(3*i + 2)} {
					if _, err := tx.Delete(k); err != nil {
						return err
					}
				}
				return nil
			}); err != nil {
				t.Error(err)
			}
		}
	}()
	for i := 0; i < n; {
		first, _, err := s.Min()
		if err != nil && err != kv.ErrNotFound {
			t.Fatal(err)
		}
		for ; i < n && (err != nil || first > key(3*i)); i++ {
			if ok, err := s.Has(key(3 * i)); ok || err != nil {
				t.Fatalf("%q is not in the order, and Has says %v, %v", key(3*i), ok, err)
			}
		}
	}
	<-done
}

// A snapshot's order is that of its moment, while writers go on.
func TestSnapshotOrderIsExact(t *testing.T) {
	withAndWithout(t, func(t *testing.T, opts *kv.Options) {
		s := numbered(t, opts, 3000)
		var stop atomic.Bool
		var writer sync.WaitGroup
		writer.Go(func() {
			r := rand.New(rand.NewPCG(1, 1))
			for i := 0; !stop.Load(); i++ {
				// One key moves: at every moment there are as many.
				k := key(r.IntN(6000)) + strings.Repeat("x", r.IntN(20))
				if err := s.Set(k, []byte(k)); err != nil {
					t.Error(err)
				}
				if i%3 == 0 {
					if first, _, err := s.Min(); err == nil {
						if _, err := s.Delete(first); err != nil {
							t.Error(err)
						}
					}
				}
			}
		})
		for range 10 {
			n, err := s.Snapshot()
			must(t, err)
			first := keysOf(n.Range("", ""))
			all := keysOf(n.All())
			slices.Sort(all)
			backward := keysOf(n.Backward("", ""))
			slices.Reverse(backward)
			if len(first) != n.Len() || !slices.Equal(first, all) || !slices.Equal(first, backward) {
				t.Fatalf("%d keys in order, %d in reverse, %d at all, Len %d", len(first), len(backward), len(all), n.Len())
			}
			if k, _, err := n.Min(); err != nil || k != first[0] {
				t.Fatalf("Min = %q, %v, want %q", k, err, first[0])
			}
			must(t, n.Close())
			if keysOf(n.Range("", "")) != nil {
				t.Fatal("keys in a closed snapshot")
			}
			if _, _, err := n.Max(); err != kv.ErrClosed {
				t.Fatalf("Max of a closed snapshot: %v", err)
			}
		}
		stop.Store(true)
		writer.Wait()
	})
}

// Snapshots overlap, and the contents are cleared and replaced between them.
func TestSnapshotOrderOutlivesClear(t *testing.T) {
	s := numbered(t, &kv.Options{Ordered: true}, 500)
	var open []*kv.Snapshot
	var want [][]string
	take := func() {
		n, err := s.Snapshot()
		must(t, err)
		open, want = append(open, n), append(want, keysOf(s.Range("", "")))
	}
	change := func(round int) {
		for i := range 300 {
			set(t, s, fmt.Sprintf("%s/%d", key(7*i%500), round), "v")
		}
		i := 0
		for k := range s.Range("", "") {
			if i++; i%3 == 0 {
				_, err := s.Delete(k)
				must(t, err)
			}
		}
	}
	for round := range 12 {
		take()
		change(round)
		switch round % 4 {
		case 1:
			must(t, s.Clear())
		case 2:
			restoreFromSnapshot(t, s)
		case 3:
			must(t, s.Drop(rdb.Header{}))
		}
		change(round + 100)
		take()
		change(round + 200)
		for len(open) > 3 {
			for i, n := range open {
				if got := keysOf(n.Range("", "")); !slices.Equal(got, want[i]) {
					t.Fatalf("round %d: a snapshot has %d keys, had %d", round, len(got), len(want[i]))
				}
			}
			must(t, open[0].Close())
			open, want = open[1:], want[1:]
			change(round + 300) // that an older one was closed does not concern the others
		}
		wantIndex(t, s)
	}
	for _, n := range open {
		must(t, n.Close())
	}
}

// A full copy builds the index while the copy's old contents are read and written, and the
// log goes on.
func TestOrderOfALoadedStore(t *testing.T) {
	from, to := open(t, nil), numbered(t, &kv.Options{Ordered: true}, 500)
	r := rand.New(rand.NewPCG(5, 5))
	for _, k := range awkwardKeys(r, 8000) {
		set(t, from, k, k)
	}
	var stop atomic.Bool
	var others sync.WaitGroup
	others.Go(func() {
		r := rand.New(rand.NewPCG(6, 6))
		for !stop.Load() {
			k := fmt.Sprintf("new%0*d", r.IntN(30), r.IntN(1000))
			if err := from.Set(k, []byte(k)); err != nil {
				t.Error(err)
			}
			if first, _, err := from.Min(); err == nil && r.IntN(20) == 0 {
				if _, err := from.Delete(first); err != nil {
					t.Error(err)
				}
			}
		}
	})
	others.Go(func() {
		for !stop.Load() {
			if keys := keysOf(to.Range("", "")); !slices.IsSorted(keys) {
				t.Error("not in order")
			}
		}
	})
	for range 3 {
		f := fullCopy(t, from, to)
		wantIndex(t, to)
		f.catchUp(t)
	}
	stop.Store(true)
	others.Wait()
	f := fullCopy(t, from, to)
	f.catchUp(t)
	wantSame(t, from, to)
	wantIndex(t, to)
	if a, b := keysOf(from.Range("", "")), keysOf(to.Range("", "")); !slices.Equal(a, b) {
		t.Errorf("%d keys at the master, %d in the copy", len(a), len(b))
	}
}

// Keys that differ in nothing but the number of zeros at their end are told apart, short and
// long ones together.
func TestOrderOfLoadedZeros(t *testing.T) {
	from, to := open(t, nil), open(t, &kv.Options{Ordered: true})
	for i := range 200 {
		for n := range 60 {
			set(t, from, fmt.Sprintf("%03d%s", i, strings.Repeat("\x00", n)), "v")
		}
	}
	fullCopy(t, from, to)
	wantIndex(t, to)
}

// Long keys that have gone give their memory back, also when they go a few at a time.
func TestDeadLongKeysAreReclaimed(t *testing.T) {
	t.Parallel()
	s := open(t, &kv.Options{Ordered: true, LogBytes: -1})
	r := rand.New(rand.NewPCG(1, 1))
	long := func(i int) string { return fmt.Sprintf("a key that does not fit into the index: %012d", i) }
	alive, next := []int(nil), 0
	const n = 3000
	for round := range 20 {
		for len(alive) < n {
			set(t, s, long(next), "v")
			alive = append(alive, next)
			next++
		}
		r.Shuffle(n, func(i, j int) { alive[i], alive[j] = alive[j], alive[i] })
		for _, i := range alive[:n*2/3] {
			if ok, err := s.Delete(long(i)); !ok || err != nil {
				t.Fatal(ok, err)
			}
		}
		alive = alive[n*2/3:]
		held, used, dead := kv.IndexKeyBytes(s)
		if living := int64(len(alive) * 53); used-dead < living || used-dead > living*5/4 || held > 5*living {
			t.Fatalf("round %d: %d bytes of living keys, %d held, %d used, %d dead", round, living, held, used, dead)
		}
	}
	slices.Sort(alive)
	i := 0
	for k := range s.Range("", "") {
		if k != long(alive[i]) {
			t.Fatalf("key %d is %q, want %q", i, k, long(alive[i]))
		}
		i++
	}
	for k := range s.All() {
		if _, err := s.Delete(k); err != nil {
			t.Fatal(err)
		}
	}
	if held, used, dead := kv.IndexKeyBytes(s); held > 64<<10 || used != dead {
		t.Errorf("of no key: %d bytes held, %d used, %d dead", held, used, dead)
	}
}

// TestRangeReadsNothingBehindAnEntry: a scan asks for entries before their turn. What it
// reads of them is not what others write behind. Only the race detector sees a difference.
func TestRangeReadsNothingBehindAnEntry(t *testing.T) {
	s := open(t, &kv.Options{Ordered: true})
	r := rand.New(rand.NewPCG(1, 4))
	write := func() {
		if err := s.Set(fmt.Sprintf("k%03d", r.IntN(500)), make([]byte, 100+r.IntN(200))); err != nil {
			t.Error(err)
		}
	}
	for range 1000 {
		write()
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 5000 {
			write()
		}
	}()
	for {
		for range s.Range("", "") {
		}
		select {
		case <-done:
			return
		default:
		}
	}
}
