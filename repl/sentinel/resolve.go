package sentinel

import (
	"context"
	"time"

	"github.com/emberkv/ember/repl"
)

// resolveGrace is how long the other sentinels are waited for once one has named a master:
// longer than a round trip, so that one that was cut off and is not up to date yet is
// outvoted, and short for somebody who waits while one of the sentinels is gone.
const resolveGrace = 200 * time.Millisecond

// Resolve asks the sentinels at these addresses, all at once, who the master of the group
// is, and returns the one of the highest epoch among the answers. It waits for the answers
// of more than half of them, and for the others a fifth of a second once there is one.
//
// Just after a failover, or on the wrong side of a broken network, even that may be a former master:
// whoever dials it should make sure of its role, as [Transport] does. Errors are a [*NoSentinelError],
// [ErrNoMaster], or an [*repl.OptionError] for invalid arguments. It may be called concurrently.
func Resolve(ctx context.Context, sentinels []string, group string, opts *ClientOptions) (Reign, error) {
	a, err := newAsker(sentinels, group, opts)
	if err != nil {
		return Reign{}, err
	}
	return a.resolve(ctx)
}

// A finding is what came of asking a sentinel.
type finding struct {
	reign Reign
	err   error
}

func (a *asker) resolve(ctx context.Context) (Reign, error) {
	asking, cancel := context.WithCancel(ctx)
	answers := make(chan finding, len(a.sentinels))
	for _, addr := range a.sentinels {
		go func() { answers <- a.askOnce(asking, addr) }()
	}
	best, errs, left := gather(ctx, answers, len(a.sentinels))
	cancel()
	for range left {
		<-answers // none of them is left behind
	}
	switch {
	case !best.IsZero():
		return best, nil
	case len(errs)+left < len(a.sentinels):
		return best, ErrNoMaster
	case ctx.Err() != nil:
		errs = append(errs, ctx.Err())
	}
	return best, &NoSentinelError{Errs: errs}
}

// gather takes in up to n answers, as many as are worth waiting for. It returns the newest
// reign, what has failed, and how many answers are still to come.
func gather(ctx context.Context, answers <-chan finding, n int) (best Reign, errs []error, left int) {
	var grace <-chan time.Time
	good := 0
	for left = n; left > 0; {
		select {
		case got := <-answers:
			left--
			if got.err != nil {
				errs = append(errs, got.err)
				continue
			}
			good++
			if got.reign.Above(best) {
				best = got.reign
			}
			if best.IsZero() {
				continue
			}
			if good > n/2 {
				return best, errs, left
			}
			if grace == nil {
				grace = time.After(resolveGrace)
			}
		case <-grace:
			return best, errs, left
		case <-ctx.Done():
			return best, errs, left
		}
	}
	return best, errs, left
}

// askOnce asks one sentinel by a link for the purpose.
func (a *asker) askOnce(ctx context.Context, addr string) finding {
	c, err := repl.DialControl(ctx, addr, a.opts)
	if err != nil {
		return finding{err: err}
	}
	defer c.Close()
	reign, err := askMaster(ctx, c, who{})
	return finding{reign, err}
}
