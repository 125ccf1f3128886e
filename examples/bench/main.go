// Command bench measures replication as a program sees it that has the store
// inside: no client, no command parser, both ends of every link on this machine.
//
//	go run ./examples/bench [-json] [-short] [-only NAME,...] [-n KEYS] [-value BYTES] [-runs N] [-peer redis-server]
//
// Every node is a process of its own, started from this same executable, unless
// the line says otherwise; they talk TCP over loopback and share the machine's
// cores. Keys are key:%012d, values JSON-like with some 30 bytes of entropy; both
// follow from a seed, so two runs write the same. Each line is the median of -runs
// runs, with the least and the greatest.
//
// # Lines
//
//   - writes/R: how many writes a second reach R replicas. Two goroutines set
//     random keys of a million that exist; the clock stops when every replica
//     has applied the last write. No write may run more than 16 MiB of log ahead
//     of any replica. Then the processor time of all nodes for one write, and the
//     greatest resident memory of the nodes, from the start of the process.
//
//   - sync/idle: how long a full copy of -n keys takes, from the replica's Run
//     until it has applied what the master had when the copy was complete.
//
//   - sync/loaded: the same while the master takes 20,000 writes a second, and the
//     latency of those writes before and during the copy. They are an open loop:
//     each has an instant at which it is due, and its latency counts from there, so
//     that a stall is charged to every write that it delays. The loop sleeps for at
//     least 100 microseconds at a time; that much of a latency is its own.
//
//   - lag/memory, lag/process, lag/processes: one write at a time, from the call of Set until
//     the replica's acknowledgement that it has applied it; both nodes in one
//     process, by repl.Memory or by TCP, or in two.
//
//   - chain/memory, chain/process, chain/processes: one write at a time, from the call of Set
//     until the last of three replicas that follow one another shows it.
//
//   - catchup/blip: the link breaks and 1000 writes are missed, while the replica dials; then
//     it gets through. Until the replica is level, counted from the break, the writes
//     and the calls by which the benchmark has them made included, and from the link's return.
//
//   - catchup/second: the link is away for one second and 20,000 writes; until
//     the replica is level, counted from the link's return.
//
//   - failover/1s, failover/200ms: one master, two replicas and three sentinels whose
//     DownAfter that is, nobody writes; from kill -9 of the master to the first write that one
//     of the others takes. Both try four times a millisecond.
//
//   - disk/POLICY: how many writes a second return while 1, 8 or 64 goroutines
//     overwrite random keys, in this process, for three seconds each: in a store that is kept
//     in the temporary folder under that policy, or, as disk/memory, in memory alone.
//
//   - disk/load: how long Save takes for -n keys, and Open afterwards; and Open from the journal
//     alone. What was written last is still in the system's memory.
//
//   - cost/replicas, cost/keys, cost/value: the processor time of a write at the master and at a
//     replica, with 1, 2 and 4 replicas; with 200,000 keys and ten times as many; with values of
//     -value bytes and of ten times that.
//
//   - cost/writers: how far writers hold each other up. The processor time of a Set by one goroutine, and of
//     the append to the log within it, which is all that they have in common; then 8 goroutines on
//     as many processors, in as far as the machine has them, and the share of their time in which
//     they wait for locks.
//
// But for failovers, a replica takes one full copy, when it first attaches; after each line its keys
// are compared with the master's by digest. A further full copy, or a difference,
// ends the command with status 1.
//
// # A peer
//
// With -peer the lines are measured in turns, a run of Ember and a run of the server, and
// stand beside each other, with how many times better Ember's median is. Keys, values and
// definitions are the same. What differs is said in README.md: the server's clients are on the far end
// of a connection, Ember's writers in the master's process. A server that is not on PATH is left out,
// and the command says so.
//
// # The column for Redis
//
// Without -peer there is a column of figures from elsewhere. It
// holds what redis 7.0.15 did on a machine of the same kind (2 cores, Linux
// 6.18) on 2026-11-21, with these definitions, the best of its modes for each line.
// It was not measured in this run, and another machine makes it meaningless; see
// reference.go for what stands behind each figure.
//
// Sizes without -short: 5 million keys, 2 million writes a run, 20,000 writes of lag
// a run, 5 runs; about a quarter of an hour and 3 GB, and with a peer twice as long. With -short everything
// is small and the figures mean little: it shows that the benchmark works.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == nodeArgument {
		serveNode()
		return
	}
	b := &bench{}
	only := flag.String("only", "", "run only these lines, `NAME,...`; writes stands for writes/0, writes/1 ...")
	asJSON := flag.Bool("json", false, "print a JSON object for each line instead of a table")
	flag.BoolVar(&b.short, "short", false, "small sizes, one run: see that it works, in half a minute")
	flag.IntVar(&b.keys, "n", 0, "`keys` of a full sync (5000000, or 100000 with -short)")
	flag.IntVar(&b.valueBytes, "value", defaultValueBytes, "`bytes` of a value")
	flag.IntVar(&b.runs, "runs", 0, "`runs` of each line (5, or 1 with -short)")
	peerName := flag.String("peer", "", "measure this `server` in turns with each line: redis-server, or one that speaks as it does")
	flag.StringVar(&b.profiles, "cpuprofile", "", "write a CPU profile of each node's measured part to this `folder`")
	flag.Parse()

	b.table = table{asJSON: *asJSON, out: os.Stdout}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if *peerName != "" {
		var err error
		if b.peer, err = findPeer(*peerName); err != nil {
			fmt.Fprintf(os.Stderr, "bench: measuring without a peer: %v\n", err)
		} else {
			b.table.peer = b.peer.name
		}
	}
	if err := b.run(ctx, *only); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// Sizes for which there is a reference.
const (
	defaultKeys       = 5_000_000
	defaultValueBytes = 100
)

// A bench holds what the command line says, and the table.
type bench struct {
	short      bool
	keys       int // of a full sync
	valueBytes int
	runs       int
	profiles   string // folder, or empty
	peer       *peer  // nil for none
	table      table
}

// A line is a measurement that can be chosen by name. It may make several rows.
type line struct {
	name    string
	measure measurement
	peer    peerMeasurement // nil where the peer has nothing that could be compared
}

// A measurement adds what -runs runs of a line give to its series.
type measurement func(ctx context.Context, b *bench, s *series) error

var lines = []line{
	{"writes/0", writes(0), peerWrites(0)},
	{"writes/1", writes(1), peerWrites(1)},
	{"writes/2", writes(2), peerWrites(2)},
	{"writes/4", writes(4), peerWrites(4)},
	{"sync/idle", syncIdle, peerSyncIdle},
	{"sync/loaded", syncLoaded, peerSyncLoaded},
	{"lag/memory", lag(sameNetwork), nil},
	{"lag/process", lag(sameProcess), nil},
	{"lag/processes", lag(ownProcess), peerLag},
	{"chain/memory", chain(sameNetwork), nil},
	{"chain/process", chain(sameProcess), nil},
	{"chain/processes", chain(ownProcess), peerChain},
	{"catchup/blip", catchUpBlip, peerBlip},
	{"catchup/second", catchUpSecond, peerSecond},
	{"failover/1s", failover(time.Second), peerFailover(time.Second)},
	{"failover/200ms", failover(200 * time.Millisecond), peerFailover(200 * time.Millisecond)},
	{"disk/memory", diskWrites("memory"), peerDiskWrites("memory")},
	{"disk/never", diskWrites("never"), peerDiskWrites("never")},
	{"disk/everysec", diskWrites("everysec"), peerDiskWrites("everysec")},
	{"disk/always", diskWrites("always"), peerDiskWrites("always")},
	{"disk/load", diskLoad, peerDiskLoad},
	{"cost/replicas", costOfReplicas, nil},
	{"cost/keys", costOfKeys, nil},
	{"cost/value", costOfValue, nil},
	{"cost/writers", costOfWriters, nil},
}

// lineTimeout ends a line that hangs, so that an unattended run fails instead.
const lineTimeout = 10 * time.Minute

func (b *bench) run(ctx context.Context, only string) error {
	chosen, err := choose(only)
	if err != nil {
		return err
	}
	if err := b.normalize(); err != nil {
		return err
	}
	for _, l := range chosen {
		ctx, cancel := context.WithTimeout(ctx, lineTimeout)
		err := b.measure(ctx, l)
		cancel()
		if err != nil {
			return fmt.Errorf("%s: %w", l.name, err)
		}
	}
	return b.table.close()
}

// measure measures a line and prints it. With a peer, the two take turns, run by run,
// so that both have the same neighbours on the machine.
func (b *bench) measure(ctx context.Context, l line) error {
	s := b.newSeries(l.name)
	if b.peer == nil || l.peer == nil {
		if err := l.measure(ctx, b, s); err != nil {
			return err
		}
		return b.table.print(s, nil)
	}
	theirs, once := b.newSeries(l.name), *b
	once.runs = 1
	for range b.runs {
		if err := l.measure(ctx, &once, s); err != nil {
			return err
		}
		if err := l.peer(ctx, &once, theirs); err != nil {
			return fmt.Errorf("%s: %w", b.peer.name, err)
		}
	}
	return b.table.print(s, theirs)
}

// normalize fills in the defaults, which depend on -short.
func (b *bench) normalize() error {
	if b.keys == 0 {
		b.keys = b.pick(defaultKeys, 100_000)
	}
	if b.runs == 0 {
		b.runs = b.pick(5, 1)
	}
	if b.keys < 0 || b.runs < 0 || b.valueBytes < 0 {
		return errors.New("-n, -runs and -value must not be negative")
	}
	if b.profiles != "" {
		return os.MkdirAll(b.profiles, 0o755)
	}
	return nil
}

// pick returns the size that belongs to -short or to its absence.
func (b *bench) pick(full, short int) int {
	if b.short {
		return short
	}
	return full
}

// newSeries returns an empty series for a line. Figures of other sizes are not
// set beside those of the reference.
func (b *bench) newSeries(line string) *series {
	return newSeries(line, !b.short && b.valueBytes == defaultValueBytes && b.keys == defaultKeys)
}

// choose returns the lines that only names, by their names or by what stands
// before the slash; all when it is empty.
func choose(only string) ([]line, error) {
	if only == "" {
		return lines, nil
	}
	var chosen []line
	for name := range strings.SplitSeq(only, ",") {
		before := len(chosen)
		for _, l := range lines {
			if kind, _, _ := strings.Cut(l.name, "/"); name == l.name || name == kind {
				chosen = append(chosen, l)
			}
		}
		if len(chosen) == before {
			var names []string
			for _, l := range lines {
				names = append(names, l.name)
			}
			return nil, fmt.Errorf("-only: no line is called %q; there are %s", name, strings.Join(names, ", "))
		}
	}
	return chosen, nil
}
