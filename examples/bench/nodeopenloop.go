package main

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/emberkv/ember/kv"
)

// napBetween is how long an open loop that has nothing due sleeps. The writes
// that become due meanwhile follow each other at once.
const napBetween = 100 * time.Microsecond

// An openLoop sets random keys at a fixed rate, however long a write takes. The
// i-th write is due i intervals after the start, and its latency counts from there.
// Without a store it writes nothing: what is late then is the machine's.
type openLoop struct {
	store    *kv.Store // or nil
	began    time.Time
	interval time.Duration
	space    uint64
	seed     uint64
	entry    *entry

	quit atomic.Bool
	done chan struct{}

	mu struct {
		sync.Mutex
		latencies []time.Duration // by number of the write
		err       error
	}
}

func startOpenLoop(s *kv.Store, a LoadArgs) *openLoop {
	o := &openLoop{
		store: s, began: time.Now(), interval: time.Second / time.Duration(a.Rate),
		space: uint64(a.Space), seed: a.Seed, entry: newEntry(a.ValueBytes), done: make(chan struct{}),
	}
	o.mu.latencies = expectLatencies(a.Rate)
	go o.run()
	return o
}

func (o *openLoop) run() {
	defer close(o.done)
	defer precise()()
	for next := 0; !o.quit.Load(); {
		due := int(time.Since(o.began) / o.interval)
		if next > due {
			nap(napBetween)
			continue
		}
		for ; next <= due && !o.quit.Load(); next++ {
			if err := o.write(next); err != nil {
				o.mu.Lock()
				o.mu.err = err
				o.mu.Unlock()
				return
			}
		}
	}
}

func (o *openLoop) write(i int) error {
	x := splitmix(o.seed + uint64(i))
	key, value := o.entry.keyOf(x%o.space), o.entry.valueOf(x)
	if o.store != nil {
		if err := o.store.Set(key, value); err != nil {
			return err
		}
	}
	latency := time.Since(o.began) - time.Duration(i)*o.interval
	o.mu.Lock()
	o.mu.latencies = append(o.mu.latencies, latency)
	o.mu.Unlock()
	return nil
}

// stop ends the loop and returns the error that had ended it before, if any.
func (o *openLoop) stop() error {
	o.quit.Store(true)
	<-o.done
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.mu.err
}

// window returns the latencies of the writes that were due from one instant to
// another.
func (o *openLoop) window(from, to time.Time) []time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	return dueIn(o.mu.latencies, o.interval, from.Sub(o.began), to.Sub(o.began))
}

// dueIn returns a copy of the latencies of the writes that were due between two moments, of
// which the i-th was due i intervals after the start.
func dueIn(latencies []time.Duration, interval, from, to time.Duration) []time.Duration {
	n := len(latencies)
	lo := min(max(int(from/interval), 0), n)
	hi := min(max(int(to/interval), lo), n)
	return append([]time.Duration(nil), latencies[lo:hi]...)
}
