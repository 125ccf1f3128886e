package main

const (
	// fitRuns is how often a capacity is tried to find one that fits.
	fitRuns = 5

	// fitSlack is how much more than the limit a cache may take, a part of it.
	fitSlack = 0.01

	// usualBytes is what a key takes in most caches, about.
	usualBytes = 200
)

// A limit is what caches have in common that are compared: bytes alive on the heap when
// they are full, with all that they need besides the entries, or keys.
type limit struct {
	name     string
	of       func(keys int) int64 // for a trace of so many keys
	measured func(share) int64
}

var limits = []limit{
	{"heap", func(keys int) int64 { return int64(keys) * bytesPerTraceKey }, func(s share) int64 { return s.heap }},
	{"keys", func(keys int) int64 { return int64(keys) / traceKeysPerKey }, func(s share) int64 { return int64(s.kept) }},
}

// fit returns the largest capacity tried with which a cache is within the limit at the
// end of a trace. A cache that bounds what is limited is taken at its word; what the
// others take for a key is found out by trying, from guess on, if that is not 0.
func (l limit) fit(p peer, kind traceKind, keys, guess int) (capacity int, err error) {
	want := l.of(keys)
	if p.boundsBytes == (l.name == "heap") {
		return int(want), nil
	}
	switch capacity = int(want) / usualBytes; {
	case guess != 0:
		capacity = guess
	case p.boundsBytes:
		capacity = int(want) * usualBytes
	}
	best := 0
	for range fitRuns {
		s, err := replay(func() (cache, error) { return p.bounded(capacity) }, kind, keys, 1)
		if err != nil {
			return 0, err
		}
		got := float64(l.measured(s)) / float64(want)
		if got <= 1+fitSlack {
			best = max(best, capacity)
		}
		if best == capacity && got >= 1-fitSlack {
			break
		}
		capacity = int(float64(capacity) / got)
	}
	if best == 0 {
		best = capacity // the last estimate
	}
	return best, nil
}
