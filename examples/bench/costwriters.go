package main

import (
	"context"
	"runtime"
	"runtime/metrics"
	"sync"
	"time"

	"github.com/emberkv/ember/backlog"
	"github.com/emberkv/ember/kv"
)

// crowd is how many goroutines write at once where it is measured how far writers hold each
// other up, and for how many processors the runtime schedules them then. Where the machine has
// fewer, the system takes one away from a writer now and then, also in the middle of what the
// others wait for: a share of waiting that is measured so is not less than that of
// as many processors.
const crowd = 8

// costOfWriters measures how far writers hold each other up. The one thing that all of them
// pass through is the log: its share of a lone writer's time says how many could run at once.
func costOfWriters(_ context.Context, b *bench, s *series) error {
	store := kv.New(nil)
	defer store.Close()
	space, writes := b.pick(costSpace, 10_000), b.pick(200_000, 20_000)
	set := func(seed uint64, n int) error {
		e := newEntry(b.valueBytes)
		for i := range n {
			x := splitmix(seed + uint64(i))
			if err := store.Set(e.keyOf(x%uint64(space)), e.valueOf(x)); err != nil {
				return err
			}
		}
		return nil
	}
	for run := range b.runs {
		seed := uint64(run+1) << 32
		if err := set(seed, space); err != nil { // the first time, so that most keys are there
			return err
		}
		alone, err := timed(func() error { return set(seed, writes) })
		if err != nil {
			return err
		}
		logged, err := appendAlone(b.valueBytes, writes)
		if err != nil {
			return err
		}
		s.add("one writer", nanoseconds, float64(alone.Nanoseconds())/float64(writes))
		s.add("of that in the log", nanoseconds, float64(logged.Nanoseconds())/float64(writes))
		s.add("of that in the log, share", percent, 100*logged.Seconds()/alone.Seconds())
		took, waited, err := inCrowd(func(writer int) error { return set(seed+uint64(writer)<<24, writes/crowd) })
		if err != nil {
			return err
		}
		s.add("8 writers", perSecond, float64(writes)/took.Seconds())
		s.add("8 writers, waited for locks", percent, 100*waited/(crowd*took.Seconds()))
	}
	return nil
}

// appendAlone returns how long it takes to append as many records to a log by itself, of the
// size that a write makes.
func appendAlone(valueBytes, writes int) (time.Duration, error) {
	e := newEntry(valueBytes)
	const overhead = 4 // kind, lengths
	payload := append(make([]byte, overhead), e.keyOf(0)...)
	record := backlog.AppendRecord(nil, append(payload, e.valueOf(0)...))
	l := backlog.NewLog(nil)
	return timed(func() error {
		for range writes {
			if _, err := l.Append(record); err != nil {
				return err
			}
		}
		return nil
	})
}

// timed returns the processor time that do takes, or, where the system does not say, the time.
func timed(do func() error) (time.Duration, error) {
	worked, began := processorTime(), time.Now()
	err := do()
	if worked := processorTime() - worked; worked > 0 {
		return worked, err
	}
	return time.Since(began), err
}

// inCrowd lets a crowd of writers do what do says, and returns how long that took and for how
// many seconds goroutines have waited for locks meanwhile, taken together.
func inCrowd(do func(writer int) error) (took time.Duration, waited float64, err error) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(crowd))
	before, began := lockWait(), time.Now()
	var wg sync.WaitGroup
	errs := make(chan error, crowd)
	for w := range crowd {
		wg.Go(func() { errs <- do(w) })
	}
	wg.Wait()
	took, waited = time.Since(began), lockWait()-before
	for range crowd {
		if e := <-errs; e != nil {
			err = e
		}
	}
	return took, waited, err
}

// lockWait returns for how many seconds goroutines of this process have waited for locks.
func lockWait() float64 {
	sample := []metrics.Sample{{Name: "/sync/mutex/wait/total:seconds"}}
	metrics.Read(sample)
	return sample[0].Value.Float64()
}
