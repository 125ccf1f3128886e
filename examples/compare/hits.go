package main

import (
	"fmt"
	"io"
	"time"
)

const (
	// A trace has one key for so many of a store: so much is enough to tell policies apart.
	storeKeysPerTraceKey = 4

	// minHitKeys is the number of keys of the smallest trace: less would fit into the
	// smallest cache.
	minHitKeys = 30_000

	// A cache is given so many bytes for each key that a trace has, or, when they are to
	// hold the same number of keys, one key of so many.
	bytesPerTraceKey = 16
	traceKeysPerKey  = 16

	// warmReads and countedReads are the reads of a trace, for each of its keys: those
	// that fill the cache, and those that count.
	warmReads, countedReads = 1, 2
)

// A share is what a cache did with a trace.
type share struct {
	reads, hits int
	took        time.Duration
	heap        int64 // bytes, alive at the end
	kept        int   // keys, at the end
}

// percent returns how many of 100 reads were answered.
func (s share) percent() float64 { return 100 * float64(s.hits) / float64(s.reads) }

// replay reads a trace through a cache: what it has not got is written to it.
func replay(open func() (cache, error), kind traceKind, keys int, seed uint64) (s share, err error) {
	t, e := kind.open(keys, seed), newEntry()
	base := settle()
	c, err := open()
	if err != nil {
		return s, err
	}
	defer c.Close()
	begin := time.Now()
	for i := range (warmReads + countedReads) * keys {
		n, counts := t.next()
		e.setKey(n)
		found := c.Get(e.key) != nil
		if counts && i >= warmReads*keys {
			s.reads++
			if found {
				s.hits++
			}
		}
		if !found {
			e.setValue(n)
			if err := c.Set(e.key, e.value); err != nil {
				return s, err
			}
		}
	}
	s.took = time.Since(begin)
	if c, ok := c.(waiter); ok {
		c.Wait()
	}
	s.kept = c.Len()
	s.heap = settle().minus(base).heap
	return s, nil
}

// hits measures the hit ratios of a peer, once with as many bytes as the others, and
// once with as many keys.
func hits(out io.Writer, p peer, c *config) error {
	keys := max(c.keys/storeKeysPerTraceKey, minHitKeys)
	for _, l := range limits {
		capacity := 0
		for _, kind := range traceKinds {
			var err error
			if capacity, err = l.fit(p, kind, keys, capacity); err != nil {
				return fmt.Errorf("%s: %s: %w", p.name, kind.name, err)
			}
			for run := range c.runs {
				s, err := replay(func() (cache, error) { return p.bounded(capacity) }, kind, keys, uint64(run+1))
				if err != nil {
					return fmt.Errorf("%s: %s: %w", p.name, kind.name, err)
				}
				if err := printShare(out, kind, l, p, keys, s); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func printShare(out io.Writer, kind traceKind, l limit, p peer, keys int, s share) error {
	name := fmt.Sprintf("Hits/keys=%d/trace=%s/same=%s/store=%s", keys, kind.name, l.name, p.name)
	return printLine(out, name, s.reads, []figure{
		{float64(s.took) / float64((warmReads+countedReads)*keys), "ns/op"},
		{s.percent(), "hits-%"},
		{float64(s.heap) / (1 << 20), "heap-MiB"},
		{float64(s.kept), "kept-keys"},
	})
}
