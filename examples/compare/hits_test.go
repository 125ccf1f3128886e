package main

import (
	"math"
	"testing"
)

const testKeys = 50_000

func peerNamed(t testing.TB, name string) peer {
	t.Helper()
	chosen, err := choose(name)
	if err != nil {
		t.Fatal(err)
	}
	return chosen[0]
}

// ratio returns how many reads of 100 a peer answers within a limit.
func ratio(t testing.TB, name string, l limit, kind traceKind) float64 {
	t.Helper()
	p := peerNamed(t, name)
	capacity, err := l.fit(p, kind, testKeys, 0)
	if err != nil {
		t.Fatal(err)
	}
	s, err := replay(func() (cache, error) { return p.bounded(capacity) }, kind, testKeys, 1)
	if err != nil {
		t.Fatal(err)
	}
	if got, most := l.measured(s), float64(l.of(testKeys))*1.05; float64(got) > most {
		t.Errorf("%s, %s: %d of the %s, more than %.0f", name, kind.name, got, l.name, most)
	}
	return s.percent()
}

// The better policy is within two points of otter's: with as many bytes, and with as many
// keys, so that it is not for its smaller entries alone. The other one is worse where
// there are scans, or it would be the better.
func TestHitRatio(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a few seconds")
	}
	for _, kind := range traceKinds {
		for _, l := range limits {
			lfu, otter := ratio(t, "ember-lfu", l, kind), ratio(t, "otter", l, kind)
			t.Logf("%s, same %s: ember-lfu %.1f%%, otter %.1f%%", kind.name, l.name, lfu, otter)
			if lfu < otter-2 {
				t.Errorf("%s, same %s: ember-lfu answers %.1f%% of the reads, otter %.1f%%", kind.name, l.name, lfu, otter)
			}
		}
		bytes := limits[0]
		lru, plain := ratio(t, "ember-lru", bytes, kind), ratio(t, "golang-lru", bytes, kind)
		t.Logf("%s: ember-lru %.1f%%, golang-lru %.1f%%", kind.name, lru, plain)
		if lru < plain-2 {
			t.Errorf("%s: ember-lru answers %.1f%% of the reads, golang-lru %.1f%%", kind.name, lru, plain)
		}
	}
}

// A trace is the same each time, and so is what a store makes of it.
func TestTracesRepeat(t *testing.T) {
	for _, kind := range traceKinds {
		a, b, other := kind.open(1000, 1), kind.open(1000, 1), kind.open(1000, 2)
		differ := false
		for range 5000 {
			ak, ac := a.next()
			bk, bc := b.next()
			ok, _ := other.next()
			if ak != bk || ac != bc || ak < 0 {
				t.Fatalf("%s: %d, %t and %d, %t", kind.name, ak, ac, bk, bc)
			}
			differ = differ || ak != ok
		}
		if !differ {
			t.Errorf("%s: two seeds give one trace", kind.name)
		}
	}
}

// Zipf's law: the frequency of a rank is its power. The generator is exact for the first
// two, and near it for the others.
func TestRanksFollowZipfsLaw(t *testing.T) {
	const n, draws = 10_000, 1_000_000
	r := newRanks(n, 1)
	counts := make([]int, n)
	for range draws {
		counts[r.draw()]++
	}
	for _, rank := range []int{1, 2, 10, 100} {
		sum, want := 0, 0.0
		for i := range rank {
			sum += counts[i]
			want += math.Pow(float64(i+1), -zipfExponent) / r.zeta * draws
		}
		if off := float64(sum)/want - 1; math.Abs(off) > 0.06 {
			t.Errorf("the first %d ranks: %d draws, want %.0f", rank, sum, want)
		}
	}
}

// No key of a scan comes back within a cache's size, or is one of the others.
func TestScansAreLong(t *testing.T) {
	const n = 1000
	tr, last, reads := traceKinds[1].open(n, 1), make(map[int]int), 0
	for i := range 90 * n {
		k, counts := tr.next()
		if counts {
			if reads++; k >= n {
				t.Fatalf("key %d is none of those that are read", k)
			}
			continue
		}
		if at, ok := last[k]; ok && i-at < scansApart*n/scanShare {
			t.Fatalf("key %d comes back after %d reads", k, i-at)
		}
		last[k] = i
	}
	if len(last) != scansApart*n/scanShare || reads != 60*n {
		t.Errorf("%d reads of the keys, scans of %d keys", reads, len(last))
	}
}
