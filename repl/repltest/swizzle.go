package repltest

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"
)

// Swizzle stalls a random subset of the named hosts one by one, at random
// instants within the time over, and then resumes them one by one in another
// order, again within over. No names means all hosts. It blocks until the last
// is resumed, or until ctx ends; then it resumes all and returns ctx.Err.
//
// FoundationDB found this, "swizzle-clogging", to uncover what cutting links at
// random does not (https://apple.github.io/foundationdb/testing.html).
func (n *Network) Swizzle(ctx context.Context, over time.Duration, hosts ...string) error {
	mustNot(over <= 0, "swizzle without time")
	stalled, rng := n.chooseSubset(hosts)
	defer func() {
		for _, h := range stalled {
			h.Resume()
		}
	}()
	for _, step := range []func(*Host){(*Host).Stall, (*Host).Resume} {
		rng.Shuffle(len(stalled), func(i, j int) { stalled[i], stalled[j] = stalled[j], stalled[i] })
		instants := make([]time.Duration, len(stalled))
		for i := range instants {
			instants[i] = time.Duration(rng.Int64N(int64(over)))
		}
		slices.Sort(instants)
		begin := n.now()
		for i, h := range stalled {
			if err := sleep(ctx, begin+instants[i]-n.now()); err != nil {
				return err
			}
			step(h)
		}
		if err := sleep(ctx, begin+over-n.now()); err != nil {
			return err
		}
	}
	return nil
}

// chooseSubset returns at least one of the hosts, each with probability 1/2, and
// the random numbers for what follows. The order of calls decides both.
func (n *Network) chooseSubset(names []string) ([]*Host, *rand.Rand) {
	n.mu.Lock()
	defer n.mu.Unlock()
	rng := rand.New(rand.NewPCG(mix(n.seed, "swizzle"), n.mu.swizzlers))
	n.mu.swizzlers++
	hosts := slices.Clone(n.mu.order)
	if len(names) > 0 {
		hosts = nil
		for _, name := range names {
			hosts = append(hosts, n.hostLocked(name))
		}
	}
	var chosen []*Host
	for _, h := range hosts {
		if rng.IntN(2) == 0 {
			chosen = append(chosen, h)
		}
	}
	if len(chosen) == 0 && len(hosts) > 0 {
		chosen = append(chosen, hosts[rng.IntN(len(hosts))])
	}
	return chosen, rng
}

// sleep blocks for d or until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
