package main

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A config is what the command line says of the measurements.
type config struct {
	keys       int
	runs       int
	time       time.Duration // that one run of an operation takes, about
	limit      time.Duration // after which a run of overwrites ends early
	goroutines int           // the larger of the two numbers that are measured
	ascending  bool
	only       []string // parts, see parts; all when empty
}

// parts are what can be asked for by itself.
var parts = []string{"Get", "Mix", "Scan", "Overwrite", "Transaction", "Insert", "Memory", "Hits"}

// speedParts are those of parts that are measured in one process, as time.
var speedParts = parts[:6]

// A count is a flag's number, which may be written as 1e6.
type count int

func (n *count) String() string { return strconv.Itoa(int(*n)) }

func (n *count) Set(text string) error {
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || v != math.Trunc(v) || math.Abs(v) > 1<<31 {
		return errors.New("no whole number, or too large")
	}
	*n = count(v)
	return nil
}

// newConfig fills in what is 0 and refuses what makes no sense.
func newConfig(c config, short bool, only string) (*config, error) {
	full := config{keys: 1_000_000, runs: 5, time: 300 * time.Millisecond, limit: 20 * time.Second, goroutines: runtime.GOMAXPROCS(0)}
	if short {
		full = config{keys: 10_000, runs: 1, time: 2 * time.Millisecond, limit: 100 * time.Millisecond, goroutines: 2}
	}
	c.keys, c.runs, c.goroutines = or(c.keys, full.keys), or(c.runs, full.runs), or(c.goroutines, full.goroutines)
	c.time, c.limit = or(c.time, full.time), or(c.limit, full.limit)
	if c.keys < 0 || c.runs < 0 || c.goroutines < 0 || c.time < 0 || c.limit < 0 {
		return nil, errors.New("-keys, -runs, -goroutines, -time and -limit must not be negative")
	}
	if c.keys%scanKeys != 0 || c.keys > 1<<31 {
		return nil, fmt.Errorf("-keys must be a multiple of %d, and at most 2^31", scanKeys)
	}
	for part := range strings.SplitSeq(only, ",") {
		if part == "" {
			continue
		}
		if !slices.Contains(parts, part) {
			return nil, fmt.Errorf("-only: there is no %q, but %s", part, strings.Join(parts, ", "))
		}
		c.only = append(c.only, part)
	}
	return &c, nil
}

// or returns v, or other if v is 0.
func or[T comparable](v, other T) T {
	var zero T
	if v == zero {
		return other
	}
	return v
}

// wants reports whether a part is to be measured.
func (c *config) wants(part string) bool {
	return len(c.only) == 0 || slices.Contains(c.only, part)
}

// wantsSpeed reports whether one of speedParts is.
func (c *config) wantsSpeed() bool { return slices.ContainsFunc(speedParts, c.wants) }

// order returns an order of n keys.
func (c *config) order(n int, seed uint64) order {
	if c.ascending {
		return ascendingOrder(n)
	}
	return randomOrder(n, seed)
}

func (c *config) orderName() string {
	if c.ascending {
		return "ascending"
	}
	return "random"
}
