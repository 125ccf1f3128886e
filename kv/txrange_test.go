package kv_test

import (
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/emberkv/ember/kv"
)

// TestTxRanges compares every range of a transaction with a map, its own writes included,
// with the index and without.
func TestTxRanges(t *testing.T) {
	for seed := range uint64(8) {
		r := rand.New(rand.NewPCG(seed, 17))
		s := open(t, &kv.Options{Ordered: seed%2 == 0})
		m := make(map[string]string)
		name := func() string { return strings.Repeat("k", r.IntN(3)) + fmt.Sprint(r.IntN(60)) }
		for range 60 {
			k := name()
			set(t, s, k, "old")
			m[k] = "old"
		}
		fn := func(tx *kv.Tx) error {
			for range 30 {
				k := name()
				if r.IntN(3) == 0 {
					_, err := tx.Delete(k)
					must(t, err)
					delete(m, k)
				} else {
					must(t, tx.Set(k, []byte("new")))
					m[k] = "new"
				}
				wantRanges(t, tx, m, name(), name())
			}
			return nil
		}
		must(t, s.Update(fn))
		if got := contents(s); !maps.Equal(got, m) {
			t.Errorf("contents: %v, want %v", got, m)
		}
		must(t, s.View(func(tx *kv.Tx) error { wantRanges(t, tx, m, "", "k"); return nil }))
	}
}

// wantRanges compares all kinds of iterations with a map.
func wantRanges(t *testing.T, tx *kv.Tx, m map[string]string, from, to string) {
	t.Helper()
	sorted := slices.Sorted(maps.Keys(m))
	within := func(in func(string) bool) (keys []string) {
		for _, k := range sorted {
			if in(k) {
				keys = append(keys, k)
			}
		}
		return keys
	}
	ranged := within(func(k string) bool { return k >= from && (to == "" || k < to) })
	backward := slices.Clone(ranged)
	slices.Reverse(backward)
	prefixed := within(func(k string) bool { return strings.HasPrefix(k, from) })
	for name, c := range map[string]struct {
		seq  iter.Seq2[string, []byte]
		want []string
		sort bool
	}{
		"All": {tx.All(), sorted, true}, "Range": {tx.Range(from, to), ranged, false},
		"Backward": {tx.Backward(from, to), backward, false}, "Prefix": {tx.Prefix(from), prefixed, false},
	} {
		var got, first []string
		for k, v := range c.seq {
			if string(v) != m[k] {
				t.Fatalf("%s: %q = %q, want %q", name, k, v, m[k])
			}
			got = append(got, k)
		}
		for k := range c.seq { // it may be ended early
			if first = append(first, k); len(first) == 2 {
				break
			}
		}
		if len(first) != min(2, len(got)) || len(got) > 0 && first[0] != got[0] && !c.sort {
			t.Fatalf("%s from %q to %q begins with %q, then with %q", name, from, to, got, first)
		}
		if c.sort {
			slices.Sort(got)
		}
		if !slices.Equal(got, c.want) {
			t.Fatalf("%s from %q to %q:\n%q, want\n%q", name, from, to, got, c.want)
		}
	}
}

// Ranges within one View go with each other and with its reads, though others write.
func TestViewRangesAreExact(t *testing.T) {
	for _, ordered := range []bool{false, true} {
		s := open(t, &kv.Options{Ordered: ordered})
		for i := range 100 {
			set(t, s, key(i), "v")
		}
		must(t, s.View(func(tx *kv.Tx) error {
			n := 0
			for k := range tx.Range("", "") {
				if n++; n <= 50 {
					_, err := s.Delete(k)
					must(t, err)
					set(t, s, "new:"+k, "w")
				}
				if v, err := tx.Get(k); string(v) != "v" || err != nil {
					t.Errorf("%q = %q, %v", k, v, err)
				}
			}
			for range tx.Backward("", "") {
				n++
			}
			if n != 200 {
				t.Errorf("%d keys in two passes", n)
			}
			if ok, err := tx.Has("new:" + key(0)); ok || err != nil {
				t.Errorf("Has: %v, %v", ok, err)
			}
			return nil
		}))
	}
}
