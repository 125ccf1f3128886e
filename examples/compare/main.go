// Command compare measures the store beside others that a Go program can embed: the
// same keys, the same values, the same operations, on the same machine. README.md says
// what can be compared with what, and has a table.
//
//	go run . [-keys N] [-stores NAME,...] [-only PART,...] >results
//	benchstat -col /store results
//	go run . -table <results
//
// Each store is measured in processes of its own: one for its speed, and one for its
// memory at each value of GOGC. Keys are key:%012d, 16 bytes; values are 100 bytes, like
// JSON, with some 30 bytes of entropy.
//
// # Lines
//
// Each run prints a line, for one goroutine and for as many as there are processors.
//
//   - Load: the store is filled, in random order.
//   - Get: keys at random, all of which are there.
//   - Mix: 95 reads of 100 and 5 overwrites, keys by Zipf's law with exponent 1.01.
//   - Scan: the 100 keys that share a prefix, with their values, in order. Stores that
//     keep no order have none.
//   - Overwrite: keys at random, after three overwrites a key; each run as many as
//     there are keys, so that compaction and collections are part of it.
//   - Transaction: 4 keys at random, read and overwritten as one, after that. Few stores have any.
//   - Insert, Delete: 500,000 keys that were never there, and the same ones again, in a store
//     that has been overwritten like that.
//   - Memory: bytes a key, first of the loaded store: alive on the heap, resident after
//     a collection, and resident at most; then the same in the steady state of
//     overwrites. GOGC is part of the name.
//   - Collection: one garbage collection of the loaded store, with its processor time
//     and its pause.
//   - Hits: the reads of 100 that a bounded cache answers, on traces of a quarter as many
//     keys; what it has not got is written to it. same=heap: all caches are alive on the
//     heap with 16 bytes for each key of the trace, all that they need included; same=keys:
//     they hold as many keys as a 16th of them. See trace.go and limit.go.
//
// cpu-ns/op is the processor time of the whole process: with two goroutines about twice
// ns/op, and steadier than that on a machine that does other things as well.
// gc-cpu-ns/op is the part of it of collections that ended in the run. B/op and allocs/op
// count the whole process, too.
//
// # Reading order
//
// config.go, store.go (what is compared) with ember.go, maps.go, trees.go and caches.go;
// data.go and workload.go (what is done); process.go, speed.go, memory.go and counters.go
// (what is measured). Of hit ratios: bounded.go, trace.go, limit.go and hits.go. line.go and
// table.go print.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

// run is the command without the process around it.
func run(args []string, out io.Writer) error {
	flags := flag.NewFlagSet("compare", flag.ContinueOnError)
	flags.SetOutput(os.Stderr)
	var c config
	flags.Var((*count)(&c.keys), "keys", "`keys` in the store (1e6, or 1e4 with -short); a multiple of 100")
	flags.IntVar(&c.runs, "runs", 0, "`runs` of each operation (5, or 1 with -short)")
	flags.IntVar(&c.goroutines, "goroutines", 0, "`goroutines` that work at once, beside one alone (one a processor)")
	flags.DurationVar(&c.time, "time", 0, "`time` of a run (300ms, or 2ms with -short)")
	flags.DurationVar(&c.limit, "limit", 0, "`time` after which a run of overwrites is cut short (20s, or 100ms with -short)")
	flags.BoolVar(&c.ascending, "ascending", false, "load, insert and delete keys in ascending order")
	stores := flags.String("stores", "", "measure only these, `NAME,...`")
	only := flags.String("only", "", "measure only these, `PART,...`: Get, Mix, Scan, Overwrite, Transaction, Insert, Memory, Hits")
	short := flags.Bool("short", false, "small sizes, one run: see that it works, in seconds")
	table := flags.Bool("table", false, "measure nothing: read lines from standard input and print them as tables")
	child := flags.String(childFlag, "", "used by the command itself")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	if *table {
		return printTables(out, os.Stdin)
	}
	config, err := newConfig(c, *short, *only)
	if err != nil {
		return err
	}
	chosen, err := choose(*stores)
	if err != nil {
		return err
	}
	if *child != "" {
		return serve(out, *child, chosen[0], config)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := printHeader(out, chosen, config); err != nil {
		return err
	}
	return compare(ctx, out, chosen, config)
}

// processTimeout ends a process that hangs, so that an unattended run fails instead.
const processTimeout = 30 * time.Minute

// gogcs are the values of GOGC at which memory is measured: the default, and what a
// program sets that is short of memory.
var gogcs = []int{100, 25}

// compare measures one peer after another, each in processes of its own.
func compare(ctx context.Context, out io.Writer, chosen []peer, c *config) error {
	for _, p := range chosen {
		if c.wants("Hits") && p.bounded != nil {
			if err := start(ctx, out, childHits, p, c, gogcs[0]); err != nil {
				return err
			}
		}
		if p.open == nil {
			continue
		}
		if c.wantsSpeed() {
			if err := start(ctx, out, childSpeed, p, c, gogcs[0]); err != nil {
				return err
			}
		}
		if !c.wants("Memory") {
			continue
		}
		for _, gogc := range gogcs {
			if err := start(ctx, out, childMemory, p, c, gogc); err != nil {
				return err
			}
		}
	}
	return nil
}
