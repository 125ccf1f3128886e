package main

import (
	"math"
	"math/rand/v2"
)

// zipfExponent is that of YCSB's "zipfian" workloads, and of many a recorded one.
const zipfExponent = 0.99

// A trace is the keys that are read one after the other, without an end.
type trace interface {
	// next returns the number of the next key, and whether a cache could be expected to
	// have it: if not, the read does not count.
	next() (key int, counts bool)
}

// A traceKind is a shape that recorded traces have. A trace of n keys has the same
// shape at each n.
type traceKind struct {
	name string
	open func(n int, seed uint64) trace
}

var traceKinds = []traceKind{
	{"zipf", func(n int, seed uint64) trace { return &steady{newRanks(n, seed)} }},
	{"scan", func(n int, seed uint64) trace { return &scanned{ranks: newRanks(n, seed)} }},
	{"shift", func(n int, seed uint64) trace { return &shifting{ranks: newRanks(n, seed)} }},
}

// A ranks draws ranks below n by Zipf's law, as YCSB does (Gray et al., SIGMOD 1994):
// rand.Zipf has no exponents below 1.
type ranks struct {
	random                  *rand.Rand
	n, zeta, eta, exponent2 float64
}

func newRanks(n int, seed uint64) ranks {
	r := ranks{random: rand.New(rand.NewPCG(seed, 99)), n: float64(n), exponent2: 1 / (1 - zipfExponent)}
	for i := range n {
		r.zeta += math.Pow(float64(i+1), -zipfExponent)
	}
	r.eta = (1 - math.Pow(2/r.n, 1-zipfExponent)) / (1 - (1+math.Pow(2, -zipfExponent))/r.zeta)
	return r
}

func (r *ranks) draw() int {
	u := r.random.Float64()
	switch z := u * r.zeta; {
	case z < 1:
		return 0
	case z < 1+math.Pow(0.5, zipfExponent):
		return 1
	}
	return min(int(r.n*math.Pow(r.eta*u-r.eta+1, r.exponent2)), int(r.n)-1)
}

// A steady reads the same keys with the same frequencies all the time.
type steady struct{ ranks }

func (t *steady) next() (key int, counts bool) { return t.draw(), true }

const (
	// A scanned trace reads one key of so many in a scan, after so many reads, as a
	// share of the keys.
	scanShare, readShare = 10, 5

	// scanned keys come back after so many scans.
	scansApart = 40
)

// A scanned is interrupted by scans, each as long as the cache is large or longer, of keys
// that come back only after many others: a report, a backup, a crawler. No cache can have
// them, so what counts is what they leave of the others.
type scanned struct {
	ranks
	reads, scans int // of this turn, of all turns
}

func (t *scanned) next() (key int, counts bool) {
	n := int(t.n)
	if t.reads++; t.reads <= n/readShare {
		return t.draw(), true
	}
	if t.reads == n/readShare+n/scanShare {
		t.reads = 0
	}
	t.scans++
	return n + t.scans%(scansApart*n/scanShare), false
}

// shiftReads is after how many reads a shifting trace has a new key.
const shiftReads = 50

// A shifting has a new key every now and then, which is the most popular one at once; all
// others lose a rank: news, and what people say of it.
type shifting struct {
	ranks
	reads int
}

func (t *shifting) next() (key int, counts bool) {
	t.reads++
	return int(t.n) + t.reads/shiftReads - t.draw(), true
}
