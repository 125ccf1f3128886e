package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// patience is how long something that must happen is waited for, and maxPhases for how many
// phases: on a busy machine little is asked in one, and the answers take their time.
const (
	patience  = 30 * time.Second
	maxPhases = 10
)

// A show is what the program does, part after part.
type show struct {
	ctx   context.Context
	out   io.Writer
	phase time.Duration // how long there is load in each part

	master, replica *process // nil when they do not run
	seed            uint64
}

// A result is what came of a phase.
type result struct {
	answers  int
	p50, p99 time.Duration
	counts
}

// Counts are of both nodes together.
type counts struct {
	asked     int64 // for products, by way of the cache
	hits      int64
	loads     int64 // of products from the source for the cache
	refreshes int64 // those of them that nobody waited for
	uncached  int64 // those of them that were not kept
	unheard   int64 // times that the replica asked the master's node in vain
	loading   int   // loads that are under way now
}

func (c *counts) add(r report) {
	c.asked += r.Requests
	c.hits += r.Hits
	c.loads += r.Cache.Loads
	c.refreshes += r.Cache.Refreshes
	c.uncached += r.Cache.Uncached
	c.unheard += r.Cache.ForwardFailures
	c.loading += r.Cache.Loading
}

// since returns what has been counted since an earlier moment.
func (c counts) since(e counts) counts {
	return counts{c.asked - e.asked, c.hits - e.hits, c.loads - e.loads, c.refreshes - e.refreshes, c.uncached - e.uncached, c.unheard - e.unheard, c.loading}
}

func (c counts) hitRatio() float64 { return float64(c.hits) / float64(max(c.asked, 1)) }

func (s *show) say(format string, args ...any) { fmt.Fprintf(s.out, format+"\n", args...) }

// start starts both nodes.
func (s *show) start() (err error) {
	var at [2]string // where the master is to come back to
	for i := range at {
		if at[i], err = lastingAddr(); err != nil {
			return err
		}
	}
	if s.master, err = startProcess(s.ctx, "-http", at[0], "-repl", at[1]); err != nil {
		return err
	}
	s.replica, err = startProcess(s.ctx, "-follow", s.master.repl, "-ask", s.master.url)
	if err != nil {
		return err
	}
	s.say("A source that takes %v, a master and a replica in front of it, %d clients each", takes, clientsEach)
	s.say("\n%-36s %9s %9s %9s %9s %9s %9s", "", "answers/s", "hits", "p50", "p99", "loads", "refreshes")
	return nil
}

// nodes returns the processes that run.
func (s *show) nodes() []*process {
	return slices.DeleteFunc([]*process{s.master, s.replica}, func(p *process) bool { return p == nil })
}

// totals returns what the nodes that run have counted.
func (s *show) totals() (c counts, err error) {
	for _, p := range s.nodes() {
		r, err := p.report(s.ctx)
		if err != nil {
			return c, err
		}
		c.add(r)
	}
	return c, nil
}

// atRest returns what the nodes that run have counted when no load is under way.
func (s *show) atRest() (c counts, err error) {
	err = s.eventually(func() error {
		if c, err = s.totals(); err == nil && c.loading > 0 {
			err = fmt.Errorf("%d products are being loaded", c.loading)
		}
		return err
	})
	return c, err
}

// measure puts load on the nodes that run, for one phase, and says what came of it.
func (s *show) measure(name, path string) (result, error) {
	before, err := s.totals()
	if err != nil {
		return result{}, err
	}
	s.seed++
	l := load{ends: s.phase, seed: s.seed}
	for _, p := range s.nodes() {
		l.urls = append(l.urls, p.url+path)
	}
	took, err := l.run(s.ctx)
	if err != nil {
		return result{}, fmt.Errorf("%s: %w", name, err)
	}
	after, err := s.totals()
	if err != nil {
		return result{}, err
	}
	slices.Sort(took)
	r := result{len(took), percentile(took, 50), percentile(took, 99), after.since(before)}
	s.show(name, r)
	return r, nil
}

func (s *show) show(name string, r result) {
	hits, loads := "", int64(r.answers)
	if r.asked > 0 {
		hits, loads = fmt.Sprintf("%.1f%%", 100*r.hitRatio()), r.loads
	}
	s.say("%-36s %9.0f %9s %9s %9s %9d %9d", name, float64(r.answers)/s.phase.Seconds(), hits, milliseconds(r.p50), milliseconds(r.p99), loads, r.refreshes)
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.2f ms", float64(d)/float64(time.Millisecond))
}

func (s *show) without() error {
	r, err := s.measure("without the cache", "/uncached/")
	if err == nil && r.p50 < takes {
		err = fmt.Errorf("the source takes %v, less than it should", r.p50)
	}
	return err
}

func (s *show) cold() error {
	r, err := s.measure("with it, empty at first", "/products/")
	if err == nil && r.uncached > 0 {
		err = fmt.Errorf("%d products were not kept", r.uncached)
	}
	return err
}

func (s *show) warm() (wrong error) {
	for range maxPhases {
		r, err := s.measure("and now that it has filled", "/products/")
		switch {
		case err != nil:
			return err
		case r.hitRatio() < 0.5:
			wrong = fmt.Errorf("only %.2f of the requests were hits", r.hitRatio())
		case r.p50 >= takes:
			wrong = fmt.Errorf("%v for a hit, and the source takes %v", r.p50, takes)
		default:
			return nil
		}
	}
	return wrong
}

// away kills the master.
func (s *show) away() error {
	s.master.kill()
	addrs := *s.master
	s.master = nil
	before, err := s.atRest()
	if err != nil {
		return err
	}
	var c counts
	for n := 0; n < maxPhases && c.loads == 0; n++ {
		if _, err := s.measure("master killed: the replica by itself", "/products/"); err != nil {
			return err
		}
		after, err := s.atRest()
		if err != nil {
			return err
		}
		c = after.since(before)
	}
	if c.uncached == 0 || c.uncached != c.loads {
		return fmt.Errorf("without a master %d products were loaded, %d of them not kept; want some, and none kept", c.loads, c.uncached)
	}
	s.say("  None of these loads could be kept. The master's node was asked %d times in vain.", c.unheard)
	return s.restart(addrs)
}

// restart starts the master again where it was, with what the replica has.
func (s *show) restart(was process) (err error) {
	before, err := s.replica.report(s.ctx)
	if err != nil {
		return err
	}
	begun := time.Now()
	s.master, err = startProcess(s.ctx, "-http", was.http, "-repl", was.repl, "-from", s.replica.repl)
	if err != nil {
		return err
	}
	started := time.Since(begun)
	var after report
	err = s.eventually(func() error {
		if after, err = s.replica.report(s.ctx); err == nil && !after.Linked {
			err = errors.New("the replica has not found its master again")
		}
		return err
	})
	if err != nil {
		return err
	}
	if after.Copies != before.Copies || after.Digest.Keys < before.Digest.Keys {
		return fmt.Errorf("the replica has taken %d copies, and has %d products after %d", after.Copies-before.Copies, after.Digest.Keys, before.Digest.Keys)
	}
	s.say("  The master is back after %s, with the replica's %d products; the replica follows it again after %s, without a copy.",
		milliseconds(started), before.Digest.Keys, milliseconds(time.Since(begun)))
	return nil
}

// back measures both nodes again, when the replica has found out that it is answered again:
// for a second after a failure it does not ask.
func (s *show) back() error {
	before, err := s.replica.report(s.ctx)
	if err != nil {
		return err
	}
	err = s.eventually(func() error {
		if err := s.replica.miss(s.ctx); err != nil {
			return err
		}
		r, err := s.replica.report(s.ctx)
		if err == nil && r.answered() == before.answered() {
			err = errors.New("the replica gets no answers from the master's node")
		}
		return err
	})
	if err != nil {
		return err
	}
	r, err := s.measure("master back", "/products/")
	if err == nil && r.uncached > 0 {
		err = fmt.Errorf("%d products were not kept", r.uncached)
	}
	return err
}

// compare waits until both nodes have the same at the same place.
func (s *show) compare() error {
	return s.eventually(func() error {
		a, err := s.master.report(s.ctx)
		if err != nil {
			return err
		}
		b, err := s.replica.report(s.ctx)
		if err != nil {
			return err
		}
		if a.Digest != b.Digest {
			return fmt.Errorf("the nodes differ: %+v and %+v", a.Digest, b.Digest)
		}
		s.say("\nBoth nodes have the same %d products at %s", a.Digest.Keys, a.Digest.Position)
		return nil
	})
}

// eventually calls f until it returns nil.
func (s *show) eventually(f func() error) error {
	for deadline := time.Now().Add(patience); ; {
		err := f()
		if err == nil || time.Now().After(deadline) {
			return err
		}
		if err := s.pause(10 * time.Millisecond); err != nil {
			return err
		}
	}
}

// pause waits, at most until the program has taken too long.
func (s *show) pause(d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
}

// close ends what runs.
func (s *show) close() (err error) {
	for _, p := range s.nodes() {
		err = errors.Join(err, p.stop())
	}
	return err
}
