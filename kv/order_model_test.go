package kv_test

import (
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emberkv/ember/kv"
)

// awkwardKeys returns keys of the lengths at which the index changes how it holds them,
// many of them prefixes of one another, with zeros and 0xff.
func awkwardKeys(r *rand.Rand, n int) []string {
	keys := make(map[string]bool)
	for len(keys) < n {
		length := []int{1, 2, 8, 14, 15, 16, 17, 22, 23, 24, 25, 40, 200}[r.IntN(13)]
		fill := []byte{0, 'a', 0xff}[r.IntN(3)]
		b := []byte(strings.Repeat(string([]byte{fill}), length))
		for range r.IntN(4) {
			b[r.IntN(length)] = []byte{0, 1, 'a', 'b', 0xfe, 0xff}[r.IntN(6)]
		}
		if r.IntN(2) == 0 {
			b[length-1] = byte(r.IntN(256))
		}
		keys[string(b)] = true
	}
	return slices.Sorted(maps.Keys(keys))
}

// ordered is what is compared: a store or a snapshot.
type ordered interface {
	All() iter.Seq2[string, []byte]
	Range(from, to string) iter.Seq2[string, []byte]
	Backward(from, to string) iter.Seq2[string, []byte]
	Prefix(prefix string) iter.Seq2[string, []byte]
	Min() (string, []byte, error)
	Max() (string, []byte, error)
}

// TestOrderModel does random things to a store, lets time pass, and compares what it says
// in order with a sorted slice: of the store and of one without the index, of their
// snapshots, and of replicas that follow the log and that are copied anew.
func TestOrderModel(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { runOrderModel(t, seed) })
		})
	}
}

func runOrderModel(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 7))
	index := &kv.Options{Ordered: true}
	s, replica, plain := open(t, index), open(t, index), open(t, nil)
	replica.SetFollower(true)
	plain.SetFollower(true)
	follow, followPlain := followEmpty(t, s, replica), followEmpty(t, s, plain)
	m := model{}
	keys := awkwardKeys(r, []int{5, 300, 3000, 3000}[seed])
	steps := 12_000
	if raceEnabled {
		steps = 3000
	}
	for i := range steps {
		k := keys[r.IntN(len(keys))]
		switch r.IntN(40) {
		case 0:
			updateSome(t, r, s, m.live(), keys)
		case 1:
			prefix := k[:r.IntN(len(k)+1)]
			n, err := s.DeletePrefix(prefix)
			must(t, err)
			left := len(m.live())
			maps.DeleteFunc(m, func(k string, _ modelEntry) bool { return strings.HasPrefix(k, prefix) })
			if n != left-len(m) {
				t.Fatalf("DeletePrefix(%q) = %d, want %d", prefix, n, left-len(m))
			}
		default:
			step(t, r, s, m.live(), k)
		}
		if r.IntN(50) == 0 {
			time.Sleep(time.Duration(r.IntN(2000)) * time.Millisecond)
		}
		if r.IntN(20) == 0 {
			wantOrder(t, r, s, m.live(), keys)
		}
		if i == steps/2 || r.IntN(1500) == 0 {
			if r.IntN(2) == 0 {
				restoreFromSnapshot(t, s)
			}
			follow, followPlain = fullCopy(t, s, replica), fullCopy(t, s, plain)
		}
		if r.IntN(300) == 0 {
			follow.catchUp(t)
			followPlain.catchUp(t)
			for _, s := range []*kv.Store{s, replica, plain} {
				s.SetClock(time.Now().UnixMilli())
				wantOrder(t, r, s, m.live(), keys)
				n, err := s.Snapshot()
				must(t, err)
				wantOrder(t, r, n, m.live(), keys)
				must(t, n.Close())
			}
			synctest.Wait() // or a round of expiry deletes keys between the looks at the index and at the table
			wantIndex(t, s)
			wantIndex(t, replica)
		}
	}
	must(t, s.Clear())
	follow.catchUp(t)
	synctest.Wait()
	wantIndex(t, s)
	wantIndex(t, replica)
	if n := len(kv.IndexKeys(replica)); n != 0 {
		t.Errorf("%d keys in the index after Clear", n)
	}
}

// updateSome writes and deletes some keys in one transaction.
func updateSome(t *testing.T, r *rand.Rand, s *kv.Store, m model, keys []string) {
	t.Helper()
	must(t, s.Update(func(tx *kv.Tx) error {
		for range r.IntN(8) {
			k := keys[r.IntN(len(keys))]
			if r.IntN(2) == 0 {
				must(t, tx.Set(k, []byte("updated")))
				m[k] = modelEntry{value: "updated"}
			} else {
				_, err := tx.Delete(k)
				must(t, err)
				delete(m, k)
			}
		}
		return nil
	}))
}

// wantIndex fails unless the index has exactly the keys of the table, hidden ones too.
func wantIndex(t *testing.T, s *kv.Store) {
	t.Helper()
	keys := kv.IndexKeys(s)
	for i := 1; i < len(keys); i++ {
		if keys[i-1] >= keys[i] {
			t.Fatalf("%q before %q in the index", keys[i-1], keys[i])
		}
	}
	if n := digest(t, s).Keys; int64(len(keys)) != n {
		t.Fatalf("%d keys in the index, %d in the table", len(keys), n)
	}
	at := 0
	for k := range s.All() {
		if _, ok := slices.BinarySearch(keys, k); !ok {
			t.Fatalf("%q is not in the index", k)
		}
		at++
	}
	if at > len(keys) {
		t.Fatalf("%d keys in the index, %d are shown", len(keys), at)
	}
}

// wantOrder compares random ranges with the model.
func wantOrder(t *testing.T, r *rand.Rand, s ordered, m model, keys []string) {
	t.Helper()
	all := slices.Sorted(maps.Keys(m))
	border := func() string {
		switch k := keys[r.IntN(len(keys))]; r.IntN(5) {
		case 0:
			return ""
		case 1:
			return k[:r.IntN(len(k)+1)]
		case 2:
			return k + string([]byte{byte(r.IntN(256))})
		default:
			return k
		}
	}
	from, to, prefix := border(), border(), border()
	within := func(k string) bool { return k >= from && (to == "" || k < to) }
	wantSeq(t, m, s.Range(from, to), filter(all, within), "Range(%q, %q)", from, to)
	wantSeq(t, m, s.Prefix(prefix), filter(all, func(k string) bool { return strings.HasPrefix(k, prefix) }), "Prefix(%q)", prefix)
	backward := filter(all, within)
	slices.Reverse(backward)
	wantSeq(t, m, s.Backward(from, to), backward, "Backward(%q, %q)", from, to)

	lowest, first, err := s.Min()
	highest, last, maxErr := s.Max()
	switch {
	case len(all) == 0:
		if err != kv.ErrNotFound || maxErr != kv.ErrNotFound {
			t.Fatalf("Min and Max of nothing: %v, %v", err, maxErr)
		}
	case err != nil || lowest != all[0] || string(first) != m[lowest].value:
		t.Fatalf("Min = %q, %q, %v, want %q", lowest, first, err, all[0])
	case maxErr != nil || highest != all[len(all)-1] || string(last) != m[highest].value:
		t.Fatalf("Max = %q, %q, %v, want %q", highest, last, maxErr, all[len(all)-1])
	}
}

func filter(keys []string, keep func(string) bool) (kept []string) {
	for _, k := range keys {
		if keep(k) {
			kept = append(kept, k)
		}
	}
	return kept
}

// wantSeq fails unless seq yields exactly the keys that are wanted, with the model's values.
func wantSeq(t *testing.T, m model, seq iter.Seq2[string, []byte], want []string, format string, args ...any) {
	t.Helper()
	i := 0
	for k, v := range seq {
		if i == len(want) || k != want[i] || string(v) != m[k].value {
			t.Fatalf("%s: key %d of %d is %q = %q", fmt.Sprintf(format, args...), i, len(want), k, v)
		}
		i++
	}
	if i != len(want) {
		t.Fatalf("%s: %d keys, want %d", fmt.Sprintf(format, args...), i, len(want))
	}
}
