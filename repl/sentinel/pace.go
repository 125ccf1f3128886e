package sentinel

import "time"

// A pace is how long a voter waits for what. Redis waits up to a second before a
// candidacy, and, when votes were split, for twice the failover timeout, so that a split costs six
// minutes; here it costs one election timeout.
type pace struct {
	delay time.Duration // at most, before a candidacy: it keeps two from beginning at once
	reask time.Duration // between the first two asks
	base  time.Duration // an election is lost after one to two times this, and
	cap   time.Duration // after lost ones after twice as long each time, up to this
}

// Bounds of a pace.
const (
	maxDelay = 100 * time.Millisecond
	minReask = 20 * time.Millisecond
	minBase  = 250 * time.Millisecond
	maxBase  = time.Second
	minCap   = 10 * time.Second
)

// paceOf returns the pace of a group whose round trips are shorter than downAfter.
func paceOf(downAfter time.Duration) pace {
	return pace{
		delay: min(downAfter/8, maxDelay),
		reask: minReask,
		base:  min(max(downAfter/2, minBase), maxBase),
		// Two round trips, at least, or nobody would ever be elected.
		cap: max(minCap, 2*downAfter),
	}
}

// again returns how long after the ask number n, from 0, the next follows.
func (p pace) again(n int) time.Duration { return min(p.reask<<min(n, 10), p.base/2) }

// timeout returns after what time an election is lost: random, so that two candidates
// that took votes from each other do not do so again and again.
func (v *voter) timeout() time.Duration {
	d := min(v.pace.base<<min(v.tries, 20), v.pace.cap/2)
	return d + v.random(d)
}

// random returns a duration in [0, d], and changes the seed.
func (v *voter) random(d time.Duration) time.Duration {
	v.seed += 0x9e3779b97f4a7c15 // SplitMix64
	x := v.seed
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	x ^= x >> 31
	return time.Duration(x % uint64(d+1))
}
