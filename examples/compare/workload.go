package main

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	// overwritesPerKey is how many overwrites a key has behind it on average before
	// they are measured: what is to be cleaned up has its final size by then.
	overwritesPerKey = 3

	// insertKeys is how many keys are added, and deleted again, in one run, unless the
	// store is so small that this would make it another one.
	insertKeys = 500_000

	// transactionKeys is how many keys a transaction reads and writes.
	transactionKeys = 4
)

// Seeds of the orders in which keys are touched.
const (
	loadSeed = iota
	insertSeed
	deleteSeed
)

// A workload is a store with its keys, and those who work on it.
type workload struct {
	store
	peer    peer
	config  *config
	workers []*worker
	fresh   int // the lowest number that no key had yet
}

// A worker is the state of one goroutine.
type worker struct {
	entry
	several []entry // of a transaction
	state   uint64  // of the random numbers
	zipf    []uint32
	at      int // in zipf
	misses  int // reads and scans that did not find what was set
	sink    int // keeps the compiler from leaving out reads
}

// newWorkload returns a workload without its store, so that the memory of one can be
// told from that of the other.
func newWorkload(p peer, c *config) *workload {
	w := &workload{peer: p, config: c, fresh: c.keys}
	for id := range c.goroutines {
		w.workers = append(w.workers, &worker{
			entry:   newEntry(),
			several: newEntries(transactionKeys),
			state:   splitmix(uint64(id + 1)),
			zipf:    newZipf(id, c.keys),
		})
	}
	return w
}

// open makes the store, empty. The caller must Close it.
func (l *workload) open() (err error) {
	if l.store, err = l.peer.open(l.config.keys); err != nil {
		err = fmt.Errorf("%s: %w", l.peer.name, err)
	}
	return err
}

// random returns a number below n: xorshift64* and a multiplication in place of a
// division.
func (w *worker) random(n int) int {
	w.state ^= w.state >> 12
	w.state ^= w.state << 25
	w.state ^= w.state >> 27
	return int((w.state * 0x2545F4914F6CDD1D >> 32) * uint64(n) >> 32)
}

// check looks at a value as a program would.
func (w *worker) check(value []byte) {
	if len(value) != valueBytes {
		w.misses++
		return
	}
	w.sink += int(value[valueBytes/2])
}

// An operation is done with the numbers from lo up to hi.
type operation func(w *worker, lo, hi int) error

// A span is a number of operations and the time that they took.
type span struct {
	n    int
	took time.Duration
}

// run does n operations, shared out among goroutines.
func (l *workload) run(goroutines, n int, op operation) (span, error) {
	begin := time.Now()
	errs := make([]error, goroutines)
	if goroutines == 1 {
		errs[0] = op(l.workers[0], 0, n)
	} else {
		var wg sync.WaitGroup
		for g := range goroutines {
			wg.Go(func() { errs[g] = op(l.workers[g], n*g/goroutines, n*(g+1)/goroutines) })
		}
		wg.Wait()
	}
	return span{n, time.Since(begin)}, errors.Join(errs...)
}

// runLimited does n operations, or as many as fit into the limit.
func (l *workload) runLimited(goroutines, n int, op operation) (total span, err error) {
	slice := max(n/50, 1)
	for total.n < n && total.took < l.config.limit {
		s, err := l.run(goroutines, min(slice, n-total.n), op)
		if err != nil {
			return total, err
		}
		total.n, total.took = total.n+s.n, total.took+s.took
	}
	return total, nil
}

// load fills the store.
func (l *workload) load() (span, error) {
	keys := l.config.order(l.config.keys, loadSeed)
	s, err := l.run(len(l.workers), l.config.keys, func(w *worker, lo, hi int) error {
		for i := lo; i < hi; i++ {
			n := keys.at(i)
			w.setKey(n)
			w.setValue(n)
			if err := l.Set(w.key, w.value); err != nil {
				return err
			}
		}
		return nil
	})
	if s, ok := l.store.(waiter); ok {
		s.Wait()
	}
	return s, err
}

// churn overwrites until the store is in its steady state. A store too slow for that
// is left where it is when the limit is over, overwritesPerKey times.
func (l *workload) churn() error {
	for range overwritesPerKey {
		if _, err := l.runLimited(len(l.workers), l.config.keys, l.overwrite); err != nil {
			return err
		}
	}
	return nil
}

// get reads keys at random.
func (l *workload) get(w *worker, lo, hi int) error {
	for i := lo; i < hi; i++ {
		w.setKey(w.random(l.config.keys))
		w.check(l.Get(w.key))
	}
	return nil
}

// overwrite gives keys at random another value.
func (l *workload) overwrite(w *worker, lo, hi int) error {
	for i := lo; i < hi; i++ {
		w.setKey(w.random(l.config.keys))
		w.value[valueBytes-10] = byte('0' + i%10)
		if err := l.Set(w.key, w.value); err != nil {
			return err
		}
	}
	return nil
}

// mix reads 19 times of 20 and writes once, by Zipf's law.
func (l *workload) mix(w *worker, lo, hi int) error {
	for i := lo; i < hi; i++ {
		w.setKey(int(w.zipf[w.at]))
		w.at = (w.at + 1) % zipfKeys
		if i%20 != 0 {
			w.check(l.Get(w.key))
		} else if err := l.Set(w.key, w.value); err != nil {
			return err
		}
	}
	return nil
}

// scan visits the hundred keys from a random one on that share its prefix, with their
// values.
func (l *workload) scan(w *worker, lo, hi int) error {
	r := l.store.(ranger)
	for i := lo; i < hi; i++ {
		w.setKey(w.random(l.config.keys) / scanKeys * scanKeys)
		prefix, left := w.key[:prefixBytes], scanKeys
		r.Range(prefix, func(key, value []byte) bool {
			if text(key[:prefixBytes]) != text(prefix) {
				return false
			}
			w.check(value)
			left--
			return left > 0
		})
		w.misses += left
	}
	return nil
}

// transact overwrites several keys at random as one transaction.
func (l *workload) transact(w *worker, lo, hi int) error {
	t := l.store.(transactor)
	keys := make([][]byte, len(w.several))
	for i := lo; i < hi; i++ {
		for n := range keys {
			w.several[n].setKey(w.random(l.config.keys))
			keys[n] = w.several[n].key
		}
		if err := t.Transact(keys, w.value); err != nil {
			return err
		}
	}
	return nil
}

// insert adds keys that were never there: the numbers of keys, behind fresh.
func (l *workload) insert(keys order) operation {
	return func(w *worker, lo, hi int) error {
		for i := lo; i < hi; i++ {
			w.setKey(l.fresh + keys.at(i))
			if err := l.Set(w.key, w.value); err != nil {
				return err
			}
		}
		return nil
	}
}

// remove deletes them.
func (l *workload) remove(keys order) operation {
	return func(w *worker, lo, hi int) error {
		for i := lo; i < hi; i++ {
			w.setKey(l.fresh + keys.at(i))
			if err := l.Delete(w.key); err != nil {
				return err
			}
		}
		return nil
	}
}

// misses returns how many reads found nothing since it was last called, and an error
// when the store promises that there are none.
func (l *workload) misses() (n int, err error) {
	for _, w := range l.workers {
		n += w.misses
		w.misses = 0
	}
	if n > 0 && l.peer.exact {
		return n, fmt.Errorf("%s: %w (%d times)", l.peer.name, errWrong, n)
	}
	return n, nil
}
