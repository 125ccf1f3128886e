package sentinel

import (
	"context"
	"iter"
	"sync"
	"time"

	"github.com/emberkv/ember/repl"
)

// Switches yields the master of the group, and then each that takes its place, as soon as one of the sentinels at
// these addresses tells of it; the same one again when its address has changed. Epochs never fall; of several
// switches in quick succession it may yield only the last. Links that break are made again, for as long as it takes.
//
//	for reign, err := range sentinel.Switches(ctx, sentinels, "cache", nil) {
//		if err != nil {
//			log.Print(err)
//			continue
//		}
//		connect(reign.Addr)
//	}
//
// It ends when ctx does, with ctx's error, or when the loop's body leaves it, or at once with an
// [*repl.OptionError] for invalid arguments. In between, a [*NoSentinelError] says that there is no
// news because none of the sentinels answers any more: once, and then again after one has. While the
// loop lasts, so do the links, with a goroutine each.
func Switches(ctx context.Context, sentinels []string, group string, opts *ClientOptions) iter.Seq2[Reign, error] {
	return func(yield func(Reign, error) bool) {
		a, err := newAsker(sentinels, group, opts)
		if err != nil {
			yield(Reign{}, err)
			return
		}
		s := a.subscribe(ctx)
		defer s.close()
		for reign, err := range s.news(ctx) {
			if !yield(reign, err) {
				return
			}
		}
		yield(Reign{}, ctx.Err())
	}
}

// Pace of a subscription.
const (
	subscriptionWait = maxWhoWait / 2        // of one question; the answer shows that it was heard
	minResubscribe   = 50 * time.Millisecond // between two attempts to reach a sentinel
	maxResubscribe   = 2 * time.Second       // the pause doubles up to this
	minAskAgain      = 5 * time.Millisecond  // between two questions, whatever the sentinel says
)

// A subscription asks each sentinel who the master is, and again, for as long as it lasts:
// not one alone, for that one may be cut off from the others. It has a goroutine for each.
type subscription struct {
	asker   *asker
	changed chan struct{} // capacity 1
	end     context.CancelFunc
	wg      sync.WaitGroup

	mu struct {
		sync.Mutex
		best Reign   // the newest that was told, at its newest address
		said []Reign // what each sentinel has told last, which outlasts its link
		errs []error // for each sentinel, nil while it is asked for the first time, and while it answers
	}
}

// subscribe returns a subscription. The caller must call close.
func (a *asker) subscribe(ctx context.Context) *subscription {
	s := &subscription{asker: a, changed: make(chan struct{}, 1)}
	ctx, s.end = context.WithCancel(ctx)
	s.mu.said, s.mu.errs = make([]Reign, len(a.sentinels)), make([]error, len(a.sentinels))
	for i := range a.sentinels {
		s.wg.Go(func() { s.attend(ctx, i) })
	}
	return s
}

func (s *subscription) close() {
	s.end()
	s.wg.Wait()
}

// news yields reigns, each above the one before or of the same master elsewhere, and an error each time that no sentinel
// answers any more, until ctx ends.
func (s *subscription) news(ctx context.Context) iter.Seq2[Reign, error] {
	return func(yield func(Reign, error) bool) {
		var told Reign
		deaf := false
		for {
			select {
			case <-s.changed:
			case <-ctx.Done():
				return
			}
			best, err := s.look()
			if best != told {
				if told = best; !yield(best, nil) {
					return
				}
			}
			if err != nil && !deaf && !yield(Reign{}, err) {
				return
			}
			deaf = err != nil
		}
	}
}

// look returns the newest reign, and an error if no sentinel answers.
func (s *subscription) look() (Reign, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, err := range s.mu.errs {
		if err == nil {
			return s.mu.best, nil
		}
	}
	return s.mu.best, &NoSentinelError{Errs: append([]error(nil), s.mu.errs...)}
}

// told takes in what came of asking a sentinel.
func (s *subscription) told(i int, got finding) {
	s.mu.Lock()
	s.mu.errs[i] = got.err
	if got.err == nil {
		if got.reign.Above(s.mu.best) || s.hasMovedLocked(i, got.reign) {
			s.mu.best = got.reign
		}
		s.mu.said[i] = got.reign
	}
	s.mu.Unlock()
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// hasMovedLocked reports whether the newest master is at another address since, by what sentinel i tells now.
// Sentinels hear of that one after the other: one that repeats what it has told before has only not heard
// yet. One that tells another address than before has news, and so has one that tells of this master for the
// first time when nobody who answers says the same as is known.
func (s *subscription) hasMovedLocked(i int, r Reign) bool {
	best, before := s.mu.best, s.mu.said[i]
	if r.Epoch != best.Epoch || r.Addr == best.Addr {
		return false
	}
	if before.Epoch == r.Epoch {
		return before.Addr != r.Addr
	}
	for j, said := range s.mu.said {
		if s.mu.errs[j] == nil && said.Epoch == best.Epoch && said.Addr == best.Addr {
			return false
		}
	}
	return true
}

// attend keeps a link to one sentinel until ctx ends.
func (s *subscription) attend(ctx context.Context, i int) {
	pause := minResubscribe
	for {
		c, err := repl.DialControl(ctx, s.asker.sentinels[i], s.asker.opts)
		if err == nil {
			pause = minResubscribe
			err = s.listen(ctx, i, c)
			c.Close()
		}
		if ctx.Err() != nil {
			return
		}
		s.told(i, finding{err: err})
		if !sleep(ctx, pause) {
			return
		}
		pause = min(2*pause, maxResubscribe)
	}
}

// listen asks by one link until it ends. The first question is answered at once: what a link before this
// one has told may be out of date.
func (s *subscription) listen(ctx context.Context, i int, c *repl.Control) error {
	question := who{Wait: subscriptionWait}
	for {
		reign, err := askMaster(ctx, c, question)
		if err != nil {
			return err
		}
		s.told(i, finding{reign: reign})
		question.Known, question.At = reign.Epoch, reign.Addr // by this sentinel: another may know more
		if !sleep(ctx, minAskAgain) {
			return ctx.Err()
		}
	}
}

// sleep returns false if ctx ends before d is over.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
